"""The ten minutes of a newcomer, by the mouse, with the starter and real processes."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import qt
import slicer
from harness.case import made_case, real_case
from harness.desktop import Desktop
from harness.slot_times import SlotTimes
from harness.ten_minutes import TenMinutes, save_and_reload
from harness.workplace import Workplace

from MedSAGaSlicerLib.worker.client import InferenceClient


@pytest.fixture(scope="module")
def times() -> Iterator[SlotTimes]:
    """Made before the panel: what is connected already is not timed."""
    times = SlotTimes()
    yield times
    times.close()


@pytest.fixture(autouse=True, scope="module")
def desktop(times: SlotTimes, desktop: Desktop) -> Desktop:
    return desktop


@pytest.fixture
def workplace(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Workplace]:
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


@pytest.mark.parametrize("kind", ["made", "real"])
def test_a_newcomers_ten_minutes_come_to_a_finished_volume_and_back_next_week(
    workplace: Workplace,
    times: SlotTimes,
    kind: str,
    request: pytest.FixtureRequest,
    checkout: Path,
    tmp_path: Path,
) -> None:
    installed = stamps(checkout / "MedSAGaSlicer")
    made = kind == "made"
    case = made_case() if made else real_case(request.getfixturevalue("shared_data"))
    steps: list[str] = []

    def seen(step: str) -> None:
        steps.append(step)
        workplace.save_picture(str(tmp_path / f"{step}.png"))

    torch_was_here = "torch" in sys.modules
    walk = TenMinutes(workplace, case, seen)
    walk.go()
    assert steps == ["click", "box", "propagated", "painted", "confirmed", *steps[5:]]
    assert steps[5:] == ["teaching", "taught", "finished"]
    assert ("torch" in sys.modules) == torch_was_here
    # Processor time. The longest is 150 ms at most by the benchmark; here a machine may be slower.
    assert np.percentile(times.all(), 99) <= 50
    assert np.percentile(times.of_actions(), 99) <= 150
    assert times.all().max() <= 300
    # Where Slicer is installed for everybody, nobody may write.
    assert stamps(checkout / "MedSAGaSlicer") == installed

    confirmed = workplace.annotator.confirmed()
    masks = {position: walk.mask(position.index) for position in confirmed}
    prompts = [(p.segment_id, p.position, p.positive) for p in workplace.annotator.prompts()]
    save_and_reload(str(tmp_path / "next week, ü.mrb"))
    workplace.desktop.app.processEvents()
    walk.volume = workplace.ui.volumeSelector.currentNode()
    annotator = workplace.annotator
    assert annotator.confirmed() == confirmed
    assert [(p.segment_id, p.position, p.positive) for p in annotator.prompts()] == prompts
    assert annotator.taught(case.organ) is not None
    assert all((walk.mask(p.index) == mask).all() for p, mask in masks.items())
    workplace.wait_until(lambda: workplace.ui.galleryList.count == len(confirmed))
    assert workplace.ui.reviewTable.rowCount


def stamps(folder: Path) -> dict[Path, int]:
    """The files of a folder, and when each was written last; without code, and what comes of it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    code = (".py", ".pyc")
    return {path: path.stat().st_mtime_ns for path in files if path.suffix not in code}
