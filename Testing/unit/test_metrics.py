"""Agreement of two masks."""

import numpy as np
import pytest

from MedSAGaSlicerLib.engine.metrics import dice, nsd


@pytest.fixture
def brick() -> np.ndarray:
    mask = np.zeros((10, 10, 10), bool)
    mask[2:5, 2:6, 2:7] = True
    return mask


def test_dice_counts_the_overlap_twice(brick: np.ndarray) -> None:
    assert dice(brick, brick) == 1
    assert dice(brick, np.roll(brick, 1, axis=0)) == pytest.approx(2 / 3)
    assert dice(brick, ~brick) == 0


def test_two_empty_masks_agree_and_one_empty_mask_does_not(brick: np.ndarray) -> None:
    empty = np.zeros_like(brick)
    assert dice(empty, empty) == nsd(empty, empty, (1, 1, 1), 2) == 1
    assert dice(empty, brick) == nsd(empty, brick, (1, 1, 1), 2) == 0


def test_surfaces_agree_within_the_tolerance(brick: np.ndarray) -> None:
    moved = np.roll(brick, 1, axis=0)
    assert nsd(moved, brick, (1, 1, 1), 1) == 1
    assert nsd(moved, brick, (3, 1, 1), 3) == 1
    assert nsd(moved, brick, (3, 1, 1), 1) < 0.8
    assert nsd(moved[:, 4], brick[:, 4], (1, 1), 1) == 1


def test_surfaces_match_figures_of_the_reference_implementation(brick: np.ndarray) -> None:
    # From surface-distance 0.1 by DeepMind, the authors' own code, on these masks.
    assert nsd(np.roll(brick, 1, axis=0), brick, (1, 1, 1), 0.5) == pytest.approx(0.5609743)
    assert nsd(np.roll(brick, 3, axis=0), brick, (1, 1, 1), 1) == pytest.approx(0.5)
    assert nsd(brick[3], np.roll(brick[3], 2, axis=0), (1, 1), 1) == pytest.approx(0.5594233)


def test_objects_at_the_border_of_the_image_have_a_surface_there() -> None:
    full = np.ones((1, 1), bool)
    assert nsd(full, full, (1, 1), 0.5) == 1
    corner = np.zeros((3, 5, 5), bool)
    corner[0, :2, :2] = True
    assert nsd(np.roll(corner, 1, axis=2), corner, (1, 1, 1), 0.99) == pytest.approx(0.7571346)
