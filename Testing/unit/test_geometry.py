"""Grids in space, and the slices of a volume."""

import dataclasses

import numpy as np
import pytest

from MedSAGaSlicerLib.engine.geometry import AXES, Geometry, slice_of, slice_size
from MedSAGaSlicerLib.errors import InputError

STRAIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@pytest.fixture
def grid() -> Geometry:
    return Geometry((4, 3, 2), (0.5, 1.0, 3.0), (10.0, 20.0, 30.0), STRAIGHT)


def test_a_slice_has_the_earlier_index_along_its_columns() -> None:
    volume = np.arange(24).reshape(2, 3, 4)
    for i, j, k in [(0, 0, 0), (3, 1, 1), (2, 2, 0)]:
        value = volume[k, j, i]
        assert slice_of(volume, "k", k)[j, i] == value
        assert slice_of(volume, "j", j)[k, i] == value
        assert slice_of(volume, "i", i)[k, j] == value


def test_writing_into_a_slice_changes_the_volume() -> None:
    volume = np.zeros((2, 3, 4))
    slice_of(volume, "i", 3)[...] = 1
    assert volume.sum() == 6


def test_slices_of_colour_keep_their_channels() -> None:
    assert slice_of(np.zeros((2, 3, 4, 3)), "j", 0).shape == (2, 4, 3)


def test_the_size_of_slices_is_known_without_a_volume() -> None:
    assert [slice_size((2, 3, 4), axis) for axis in AXES] == [(3, 4), (2, 4), (2, 3)]


@pytest.mark.parametrize(("axis", "index"), [("k", 2), ("k", -1), ("i", 4), ("x", 0)])
def test_a_slice_that_is_not_there_is_refused(axis: str, index: int) -> None:
    with pytest.raises(InputError, match="slice"):
        slice_of(np.zeros((2, 3, 4)), axis, index)


def test_voxels_lie_where_spacing_and_directions_put_them(grid: Geometry) -> None:
    turned = dataclasses.replace(
        grid, directions=((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    )
    assert np.allclose(grid.ijk_to_lps @ (2, 1, 1, 1), (11.0, 21.0, 33.0, 1))
    assert np.allclose(turned.ijk_to_lps @ (2, 1, 1, 1), (9.0, 21.0, 33.0, 1))


def test_grids_apart_are_told_by_the_corner_that_moves_most(grid: Geometry) -> None:
    assert grid.distance_to(grid) == 0
    moved = dataclasses.replace(grid, origin=(10.0, 20.25, 30.0))
    assert grid.distance_to(moved) == pytest.approx(0.5)
    wider = dataclasses.replace(grid, spacing_mm=(0.6, 1.0, 3.0))
    assert grid.distance_to(wider) == pytest.approx(0.6)
    assert grid.distance_to(dataclasses.replace(grid, shape_ijk=(4, 3, 3))) == float("inf")


def test_a_sheared_grid_is_recognised(grid: Geometry) -> None:
    assert grid.is_orthogonal
    sheared = dataclasses.replace(
        grid, directions=((1.0, 0.1, 0.0), (0.0, 0.995, 0.0), (0.0, 0.0, 1.0))
    )
    assert not sheared.is_orthogonal
