"""The ten minutes of a newcomer, by the mouse, with the starter and real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import qt
import slicer
from harness.desktop import Desktop
from harness.ten_minutes import TenMinutes, save_and_reload
from harness.workplace import Workplace

from MedSAGaSlicerLib.engine import registry
from MedSAGaSlicerLib.engine.phantom import make_phantom
from MedSAGaSlicerLib.worker.client import InferenceClient


@pytest.fixture
def workplace(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Workplace]:
    if not registry.installed(registry.entry("starter")):
        pytest.skip("the starter is not in this checkout")
    for name in ("MEDSAGA_TAUGHT", "MEDSAGA_EXAMPLES", "MEDSAGA_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    slicer.mrmlScene.Clear()
    logic = slicer.util.getModuleLogic("MedSAGaSlicer")
    logic.annotators.make_client = lambda model: InferenceClient(
        model=model, cache_folder=str(tmp_path / "cache"), threads=1
    )
    workplace = Workplace(desktop)
    yield workplace
    workplace.close()
    workplace.module.panel.sections.teaching.close()
    logic.annotators.close()
    qt.QSettings().remove("MedSAGaSlicer")


def test_a_newcomers_ten_minutes_come_to_a_finished_volume_and_back_next_week(
    workplace: Workplace, tmp_path: Path
) -> None:
    steps: list[str] = []
    walk = TenMinutes(workplace, make_phantom(), steps.append)
    walk.go()
    assert steps[-1] == "finished"

    confirmed = workplace.annotator.confirmed()
    masks = {position: walk.mask(position.index) for position in confirmed}
    save_and_reload(str(tmp_path / "next week, ü.mrb"))
    workplace.desktop.app.processEvents()
    walk.volume = workplace.ui.volumeSelector.currentNode()
    assert workplace.annotator.confirmed() == confirmed
    assert workplace.annotator.taught("liver") is not None
    assert all((walk.mask(p.index) == mask).all() for p, mask in masks.items())
    workplace.wait_until(lambda: workplace.ui.galleryList.count == len(confirmed))
    assert workplace.ui.reviewTable.rowCount
