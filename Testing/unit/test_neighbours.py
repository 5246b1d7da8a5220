"""Slices among their neighbours: as arrays, as examples, and as views of these."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lessons import deep_example as deep
from lessons import discs, example

from MedSAGaSlicerLib.engine.embedding_key import check_slice, slice_key
from MedSAGaSlicerLib.engine.example_file import read_examples, write_examples
from MedSAGaSlicerLib.engine.examples import ExampleSet, merged
from MedSAGaSlicerLib.engine.geometry import Geometry
from MedSAGaSlicerLib.engine.images import Volume
from MedSAGaSlicerLib.engine.intensity import Normalisation
from MedSAGaSlicerLib.engine.neighbours import (
    among,
    mirrored,
    neighbours_of,
    parted,
    plane_size,
    stacked,
)
from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.engine.regions.examples import as_tiles
from MedSAGaSlicerLib.engine.segmenting import shown_slices
from MedSAGaSlicerLib.engine.teaching.views import make_view
from MedSAGaSlicerLib.errors import InputError


def volume_of(array: np.ndarray) -> Volume:
    shape = array.shape[2], array.shape[1], array.shape[0]
    geometry = Geometry(shape, (1.0,) * 3, (0.0,) * 3, ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    return Volume(array, geometry, False, Path("made"))


class TestStacks:
    @pytest.mark.parametrize(
        ("index", "depth", "expected"),
        [(4, 1, (4,)), (4, 5, (2, 3, 4, 5, 6)), (0, 3, (0, 0, 1)), (9, 5, (7, 8, 9, 9, 9))],
    )
    def test_the_last_slice_stands_in_for_those_beyond_the_end(
        self, index: int, depth: int, expected: tuple[int, ...]
    ) -> None:
        assert neighbours_of(index, depth, range(10).__contains__) == expected

    def test_a_picture_is_its_own_neighbour(self) -> None:
        assert neighbours_of(0, 3, lambda n: n == 0) == (0, 0, 0)

    @pytest.mark.parametrize("axis", ["k", "j", "i"])
    def test_neighbours_lie_along_the_slices_own_axis(self, axis: str) -> None:
        array = np.random.default_rng(0).integers(0, 255, (5, 6, 7)).astype(np.uint8)
        shown = shown_slices(volume_of(array), Normalisation("identity"), axis, 2, depth=3)
        along = np.moveaxis(array, "kji".index(axis), 0)
        assert np.array_equal(shown[..., 0], along[1:4])

    def test_nothing_outside_a_region_is_shown(self) -> None:
        array = np.arange(5 * 6 * 7).reshape(5, 6, 7).astype(np.uint8)
        region = RegionChoice.parse("1:5,2:6,2:4")
        shown = shown_slices(volume_of(array), Normalisation("identity"), "k", 2, region, 5)
        inside = array[:, 2:6, 1:5]
        assert np.array_equal(shown[..., 0], inside[[2, 2, 2, 3, 3]])

    def test_a_stack_is_told_from_a_slice_and_from_a_picture_in_colour(self) -> None:
        planes = np.random.default_rng(0).integers(0, 255, (3, 8, 3)).astype(np.uint8)
        others = planes[..., None], planes[None], planes
        assert len({slice_key(one) for one in others}) == 3
        assert [plane_size(one) for one in others] == [(8, 3), (3, 8), (3, 8)]

    @pytest.mark.parametrize("shape", [(2, 8, 8, 1), (3, 8, 8, 2), (0, 8, 8, 1)])
    def test_what_is_no_stack_is_refused(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(InputError, match="an odd number of them together"):
            check_slice(np.zeros(shape, np.uint8))

    @pytest.mark.parametrize("channels", [(), (3,)])
    def test_parts_and_mirror_images_are_those_of_each_slice(
        self, channels: tuple[int, ...]
    ) -> None:
        slices = np.random.default_rng(0).integers(0, 255, (3, 6, 8, *channels)).astype(np.uint8)
        stack = stacked(list(slices))
        middle, around = parted(stack)
        assert around is not None
        assert np.array_equal(middle, slices[1])
        assert np.array_equal(among(middle, around), stack)
        assert np.array_equal(mirrored(stack), stacked([mirrored(one) for one in slices]))
        window = RegionChoice.parse("2:5,1:4,:").window("k", (6, 8))
        assert np.array_equal(window.cut(stack), stacked([window.cut(one) for one in slices]))


class TestExamples:
    def test_neighbours_survive_on_disk_beside_examples_without(self, tmp_path: Path) -> None:
        given = ExampleSet(("disc",), (deep(1, 5), example(2)))
        write_examples(tmp_path / "set", given)
        one, other = read_examples(tmp_path / "set").examples
        assert one.neighbours is not None
        assert np.array_equal(one.neighbours, given.examples[0].neighbours)
        assert (one.depth, other.depth, other.neighbours) == (5, 1, None)
        assert one.key == example(1).key

    def test_damaged_neighbours_are_noticed(self, tmp_path: Path) -> None:
        write_examples(tmp_path / "set", ExampleSet(("disc",), (deep(1),)))
        path = tmp_path / "set" / "0000.npz"
        with np.load(path) as content:
            arrays = dict(content)
        np.savez_compressed(path, **{**arrays, "neighbours": arrays["neighbours"][:, 1:]})
        with pytest.raises(InputError, match="damaged"):
            read_examples(tmp_path / "set")

    def test_sets_of_before_are_as_they_were(self, tmp_path: Path) -> None:
        write_examples(tmp_path / "set", discs(2))
        with np.load(tmp_path / "set" / "0000.npz") as content:
            assert sorted(content) == ["masks", "pixels"]
        fields = json.loads((tmp_path / "set" / "examples.json").read_text())["slices"][0]
        assert "neighbours" not in fields

    def test_a_set_may_be_shown_less_deep_but_not_deeper(self) -> None:
        one = deep(1, 5)
        assert np.array_equal(one.shown(3), one.shown(5)[1:4])
        assert one.shown(1) is one.pixels
        with pytest.raises(InputError, match=r"kept without its neighbours.*Teach with depth 1"):
            one.shown(7)

    @pytest.mark.parametrize("shape", [(1, 40, 48, 1), (0, 40, 48, 1), (2, 40, 48, 3), (2, 40, 48)])
    def test_neighbours_that_do_not_fit_are_refused(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(InputError, match="n before, n after"):
            example(1, neighbours=np.zeros(shape, np.uint8))

    def test_they_go_along_into_other_sets_and_tiles(self) -> None:
        given = ExampleSet(("disc",), (deep(1), deep(2)))
        (one, *_) = merged((given, discs(5)), ("disc",)).examples
        assert one.depth == 3
        (tile, *_) = as_tiles(given, RegionChoice.parse("tiles:32")).examples
        assert tile.neighbours is not None
        assert tile.neighbours.shape == (2, *tile.size, 1)


class TestViews:
    @pytest.mark.parametrize("number", [0, 1, 3])
    def test_the_slice_itself_is_the_same_for_every_depth(self, number: int) -> None:
        alone, among_others = make_view(deep(1), number), make_view(deep(1), number, 3)
        assert alone.shown is alone.pixels
        assert np.array_equal(among_others.pixels, alone.pixels)
        assert np.array_equal(among_others.shown[1, ..., 0], alone.pixels)

    def test_neighbours_are_moved_along_and_have_the_same_light(self) -> None:
        one = example(1)
        same = replace(one, neighbours=stacked([one.pixels, one.pixels]))
        shown = make_view(same, 3, 3).shown[..., 0].astype(int)
        # But for the noise, which no two slices share.
        assert 0 < np.abs(shown[0] - shown[1]).mean() < 12
        assert np.corrcoef(shown[0].ravel(), shown[1].ravel())[0, 1] > 0.95
