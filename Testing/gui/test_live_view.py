"""A person with a mouse: real Qt events, a real worker, and the pixels that are seen."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import slicer
from harness.desktop import Desktop
from harness.workplace import LEFT, Workplace, add_ct
from PySide6.QtTest import QTest

from MedSAGaSlicerLib.engine import registry
from MedSAGaSlicerLib.engine.phantom import Phantom, make_phantom
from MedSAGaSlicerLib.scene.segments import read_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of
from MedSAGaSlicerLib.worker.client import InferenceClient

FAKES = Path(__file__).resolve().parent.parent / "fakes"
STARTER = registry.entry("starter")


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom()


@pytest.fixture
def workplace(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Workplace]:
    """The starter answers where it is; elsewhere a fake, which draws small discs."""
    options = {"cache_folder": str(tmp_path / "cache")}
    if not registry.installed(STARTER):
        path = [str(FAKES), os.environ.get("PYTHONPATH", "")]
        options["predictor"] = "fake_predictor:load"
        options["environment"] = os.environ | {"PYTHONPATH": os.pathsep.join(path)}
        monkeypatch.setenv(registry.FOLDER_VARIABLE, str(tmp_path))
        (tmp_path / registry.entry("sam_vit_b").file).touch()
    slicer.mrmlScene.Clear()
    logic = slicer.util.getModuleLogic("MedSAGaSlicer")
    logic.annotators.make_client = lambda model: InferenceClient(model=model, **options)
    workplace = Workplace(desktop)
    yield workplace
    workplace.close()
    logic.annotators.close()


def test_a_mouse_click_is_answered_in_the_segment_and_in_the_pixels(
    workplace: Workplace, phantom: Phantom
) -> None:
    workplace.choose(add_ct(phantom), "liver")
    k, j, i = (int(n) for n in np.argwhere(phantom.organs["liver"]).mean(axis=0).round())
    workplace.scroll_to((i, j, k))
    live = workplace.view().live
    before = live.grab().astype(int)
    assert not is_coloured(before).any()
    workplace.click((i, j, k))
    workplace.wait_for_masks()

    mask = mask_of(workplace, k)
    assert mask[j, i]
    (prompt,) = workplace.annotator.prompts()
    assert np.allclose(prompt.point, (i, j), atol=0.6)
    seen = is_coloured(live.grab().astype(int))
    inside = np.array([pixel_of(workplace, (c, r, k)) for r, c in np.argwhere(mask)])
    # Almost everywhere: the prompt's white "+" is drawn over some of it.
    assert seen[inside[:, 1], inside[:, 0]].mean() > 0.8

    QTest.mouseClick(workplace.ui.undoButton, LEFT)
    assert not mask_of(workplace, k).any()
    assert workplace.annotator.prompts() == ()
    assert not is_coloured(live.grab().astype(int)).any()


def test_a_view_that_comes_with_another_layout_takes_prompts_with_the_tool_in_hand(
    workplace: Workplace, phantom: Phantom, desktop: Desktop
) -> None:
    volume = add_ct(phantom)
    workplace.choose(volume, "liver")
    workplace.ui.pointButton.click()
    added = desktop.layout.add_view("Another", "Coronal")
    added.live.show(volume)
    workplace.wait_for_masks()
    assert not workplace.annotator.is_ready("j", 70)
    workplace.scroll_to((60, 70, 30), "Another")
    workplace.wait_until(lambda: workplace.annotator.is_ready("j", 70))
    workplace.click((60, 70, 30), "Another")
    (prompt,) = workplace.annotator.prompts()
    assert prompt.position == SlicePosition("j", 70)


def test_masks_on_further_slices_are_seen_as_soon_as_they_are_written(
    workplace: Workplace, phantom: Phantom
) -> None:
    workplace.choose(add_ct(phantom), "liver")
    truth = phantom.organs["liver"]
    for k in (30, 31, 32):
        corners = np.argwhere(truth[k])
        (top, left), (bottom, right) = corners.min(0).tolist(), corners.max(0).tolist()
        workplace.drag((left, top, k), (right, bottom, k))
        workplace.wait_for_masks()
        # The prompt's own frame is thin.
        seen = is_coloured(workplace.view().live.grab().astype(int)).sum()
        assert seen > mask_of(workplace, k).sum()


def is_coloured(picture: np.ndarray) -> np.ndarray:
    """Where a picture is not grey; a CT is."""
    return np.ptp(picture, axis=-1) > 8


def mask_of(workplace: Workplace, k: int) -> np.ndarray:
    ui = workplace.ui
    volume, segmentation = ui.volumeSelector.currentNode(), ui.segmentationSelector.currentNode()
    segment_id = ui.segmentSelector.currentSegmentID()
    return read_slice(segmentation, segment_id, grid_of(volume), SlicePosition("k", k))


def pixel_of(workplace: Workplace, ijk: tuple[int, int, int]) -> tuple[int, int]:
    place = workplace.scroll_to(ijk)
    return place.x(), place.y()
