"""Prompted slices are segmented, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
from made_images import save_image
from region_predictor import RegionPredictor

from MedSAGaSlicerLib.engine.images import Volume, read_image
from MedSAGaSlicerLib.engine.prompts import Prompts, SegmentPrompts, SlicePrompts
from MedSAGaSlicerLib.engine.segmenting import segment
from MedSAGaSlicerLib.errors import InputError


@pytest.fixture
def brick() -> np.ndarray:
    mask = np.zeros((6, 10, 12), bool)
    mask[1:5, 2:8, 3:9] = True
    return mask


@pytest.fixture
def volume(tmp_path: Path, brick: np.ndarray) -> Volume:
    return read_image(save_image(tmp_path / "a.nrrd", np.where(brick, 500, 10).astype(np.int16)))


def click(axis: str, index: int, a: float, b: float) -> SlicePrompts:
    return SlicePrompts(axis, index, Prompts(((a, b),), (True,)))


def test_only_prompted_slices_are_written(volume: Volume, brick: np.ndarray) -> None:
    prompts = (SegmentPrompts("brick", (0, 1, 0), (click("k", 2, 5, 5), click("k", 4, 5, 5))),)
    (found,) = segment(volume, prompts, RegionPredictor())
    expected = np.zeros_like(brick)
    expected[[2, 4]] = brick[[2, 4]]
    assert (found.mask_kji == expected).all()
    assert (found.name, found.color) == ("brick", (0, 1, 0))


def test_slices_of_several_axes_are_united(volume: Volume, brick: np.ndarray) -> None:
    places = (click("k", 2, 5, 5), click("j", 3, 5, 2), click("i", 8, 5, 2))
    (found,) = segment(volume, (SegmentPrompts("brick", None, places),), RegionPredictor())
    expected = np.zeros_like(brick)
    expected[2] = brick[2]
    expected[:, 3] |= brick[:, 3]
    expected[:, :, 8] |= brick[:, :, 8]
    assert (found.mask_kji == expected).all()


def test_a_later_segment_takes_nothing_from_an_earlier_one(volume: Volume) -> None:
    prompts = tuple(SegmentPrompts(name, None, (click("k", 2, 5, 5),)) for name in ("a", "b"))
    first, second = segment(volume, prompts, RegionPredictor())
    assert first.mask_kji.sum() == second.mask_kji.sum() == 36


def test_a_slice_is_encoded_once_however_many_segments_it_has(volume: Volume) -> None:
    prompts = tuple(
        SegmentPrompts(name, None, (click("k", 2, 5, 5), click("k", 3, 5, 5))) for name in "abc"
    )
    model = RegionPredictor()
    segment(volume, prompts, model)
    assert model.encoded == 2


def test_progress_comes_to_its_end(volume: Volume) -> None:
    steps: list[tuple[int, int]] = []
    prompts = (SegmentPrompts("a", None, (click("k", 2, 5, 5), click("k", 3, 5, 5))),)
    segment(volume, prompts, RegionPredictor(), lambda done, total, _: steps.append((done, total)))
    assert steps == [(0, 2), (1, 2), (2, 2)]


def test_a_prompt_outside_stops_before_the_model_runs(volume: Volume) -> None:
    model = RegionPredictor()
    with pytest.raises(InputError, match="last index"):
        segment(volume, (SegmentPrompts("a", None, (click("k", 6, 5, 5),)),), model)
    assert model.encoded == 0


def test_colour_reaches_the_model_as_colour(tmp_path: Path) -> None:
    picture = np.zeros((8, 9, 3), np.uint8)
    picture[2:5, 2:6] = (200, 10, 10)
    volume = read_image(save_image(tmp_path / "a.png", picture))
    prompts = (SegmentPrompts("red", None, (click("k", 0, 3, 3),)),)
    (found,) = segment(volume, prompts, RegionPredictor())
    assert found.mask_kji.shape == (1, 8, 9)
    assert found.mask_kji.sum() == 12


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 4)])
def test_an_image_that_is_the_same_everywhere_is_refused(
    tmp_path: Path, shape: tuple[int, int, int]
) -> None:
    volume = read_image(save_image(tmp_path / "flat.nrrd", np.full(shape, 7.0)))
    with pytest.raises(InputError, match=r"flat\.nrrd.*same value everywhere"):
        segment(volume, (SegmentPrompts("a", None, (click("k", 0, 0, 0),)),), RegionPredictor())


def test_an_image_of_nan_is_refused(tmp_path: Path) -> None:
    volume = read_image(save_image(tmp_path / "a.nrrd", np.full((2, 3, 4), np.nan)))
    with pytest.raises(InputError, match="no finite number"):
        segment(volume, (SegmentPrompts("a", None, (click("k", 0, 0, 0),)),), RegionPredictor())


@pytest.mark.parametrize("shape", [(1, 1, 9), (1, 9, 1), (9, 1, 1)])
def test_lines_of_voxels_are_segmented(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    line = np.zeros(9, np.float32)
    line[2:5] = 100
    line[7] = np.nan
    volume = read_image(save_image(tmp_path / "a.nrrd", line.reshape(shape)))
    axis = "k" if shape[0] == 1 else "j"
    a, b = {(1, 1, 9): (3, 0), (1, 9, 1): (0, 3), (9, 1, 1): (0, 3)}[shape]
    prompts = (SegmentPrompts("a", None, (click(axis, 0, a, b),)),)
    (found,) = segment(volume, prompts, RegionPredictor())
    assert found.mask_kji.ravel().tolist() == (line == 100).tolist()
