"""Pictures show a slice with its prompts, the mask and the truth, the right way up."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from MedSAGaSlicerLib.engine.geometry import Geometry
from MedSAGaSlicerLib.engine.pictures import Panel, display_flip, save_montage
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError

MASK_BLUE = (0, 190, 255)
TRUTH_YELLOW = (255, 200, 0)
PROMPT_GREEN = (60, 230, 60)
NEGATIVE_RED = (255, 70, 70)


def panel(shape: tuple[int, ...] = (40, 50), **changed: object) -> Panel:
    mask = np.zeros(shape[:2], bool)
    mask[: shape[0] // 2, : shape[1] // 2] = True
    given = {
        "title": "liver, box, slice k 3",
        "pixels": np.full(shape, 100, np.uint8),
        "spacing": (1.0, 1.0),
        "prompts": Prompts(((2, 2),), (True,), (0, 0, shape[1] // 2, shape[0] // 2)),
        "mask": mask,
        "truth": ~mask,
    }
    return Panel(**(given | changed))  # type: ignore[arg-type]


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def has(picture: np.ndarray, color: tuple[int, int, int]) -> bool:
    return bool((picture == color).all(axis=-1).any())


def test_prompts_mask_and_truth_are_drawn_in_their_colours(tmp_path: Path) -> None:
    prompts = Prompts(((2, 2), (30, 30)), (True, False), (0, 0, 20, 20))
    save_montage(tmp_path / "a.png", [panel(prompts=prompts)])
    picture = pixels(tmp_path / "a.png")
    assert all(
        has(picture, color) for color in (MASK_BLUE, TRUTH_YELLOW, PROMPT_GREEN, NEGATIVE_RED)
    )


def test_without_truth_there_is_none_in_the_picture(tmp_path: Path) -> None:
    save_montage(tmp_path / "a.png", [panel(truth=None)])
    picture = pixels(tmp_path / "a.png")
    assert has(picture, MASK_BLUE)
    assert not has(picture, TRUTH_YELLOW)


def test_panels_stand_in_columns(tmp_path: Path) -> None:
    save_montage(tmp_path / "1.png", [panel()])
    save_montage(tmp_path / "3.png", [panel()] * 3)
    one, three = pixels(tmp_path / "1.png"), pixels(tmp_path / "3.png")
    assert three.shape[0] == pytest.approx(2 * one.shape[0], abs=20)
    assert three.shape[1] == pytest.approx(2 * one.shape[1], abs=20)


def test_a_flipped_panel_shows_the_last_row_at_the_top(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(40, dtype=np.uint8)[:, None] * 6, 40, axis=1)
    empty = np.zeros((40, 40), bool)
    given = {"pixels": ramp, "prompts": Prompts(), "mask": empty, "truth": None}
    save_montage(tmp_path / "a.png", [panel(**given)])
    save_montage(tmp_path / "b.png", [panel(**given, flip=(True, False))])
    straight, flipped = pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png")
    middle = 100
    assert int(straight[80, middle, 0]) < int(straight[-40, middle, 0])
    assert int(flipped[80, middle, 0]) > int(flipped[-40, middle, 0])


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (300, 2, 3)])
def test_slices_of_any_shape_can_be_shown(tmp_path: Path, shape: tuple[int, ...]) -> None:
    save_montage(tmp_path / "a.png", [panel(shape, prompts=Prompts(((0, 0),), (True,)))])
    assert (tmp_path / "a.png").stat().st_size > 0


def test_nothing_to_show_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to show"):
        save_montage(tmp_path / "a.png", [])


def test_slices_are_turned_as_is_customary() -> None:
    lps = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    ras = ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))
    straight = Geometry((4, 4, 4), (1, 1, 1), (0, 0, 0), lps)
    turned = Geometry((4, 4, 4), (1, 1, 1), (0, 0, 0), ras)
    assert display_flip(straight, "k") == (False, False)
    assert display_flip(turned, "k") == (True, True)
    assert display_flip(straight, "j") == (True, False)
    assert display_flip(straight, "i") == (True, False)
