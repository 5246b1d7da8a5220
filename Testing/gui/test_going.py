"""A panel that is closed or reloaded leaves nothing behind."""

import gc
import os
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import slicer
from harness.desktop import Desktop
from PySide6.QtCore import QEvent

from MedSAGaSlicerLib.engine import registry
from MedSAGaSlicerLib.scene.observing import Observers
from MedSAGaSlicerLib.worker.client import InferenceClient

FAKES = Path(__file__).resolve().parent.parent / "fakes"
NAME = "MedSAGaSlicer"


@pytest.fixture(autouse=True)
def desktop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Desktop]:
    """One for each test: its module goes in the middle of it."""
    monkeypatch.setenv(registry.FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / registry.entry("sam_vit_b").file).touch()
    desktop = Desktop()
    yield desktop
    desktop.close()


@pytest.fixture
def observers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[slicer.vtkMRMLNode, int]]:
    """Every observer that anything of ours puts on a VTK object: the object, and its number."""
    found: list[tuple[slicer.vtkMRMLNode, int]] = []
    add = Observers.add

    def note(self: Observers, observed: slicer.vtkMRMLNode, *arguments: object) -> int:
        found.append((observed, add(self, observed, *arguments)))
        return found[-1][1]

    monkeypatch.setattr(Observers, "add", note)
    return found


def are_on(observers: list[tuple[slicer.vtkMRMLNode, int]]) -> bool:
    return any(node.GetCommand(number) is not None for node, number in observers)


def use(desktop: Desktop, folder: Path) -> None:
    """Have a tool in hand, the editor open and a mask on its way."""
    slicer.util.selectModule(NAME)
    widget = slicer.util.getModuleWidget(NAME)
    path = os.pathsep.join([str(FAKES), os.environ.get("PYTHONPATH", "")])
    widget.logic.annotators.make_client = lambda model: InferenceClient(
        model=model,
        predictor="fake_predictor:load",
        cache_folder=str(folder / "cache"),
        environment={**os.environ, "PYTHONPATH": path},
    )
    ui = widget.panel.ui
    volume = slicer.util.addVolumeFromArray(np.zeros((5, 60, 80), np.int16), np.eye(4))
    ui.volumeSelector.setCurrentNode(volume)
    ui.addSegmentButton.click()
    ui.correctCollapsibleButton.collapsed = False
    ui.pointButton.click()
    assert ui.pointButton.isChecked(), ui.statusLabel.text
    widget.logic.annotators.current.point("Segment 1", (40, 30, 2))


def close(desktop: Desktop) -> None:
    slicer.util.selectModule("")
    desktop.module(NAME).unload()
    desktop.app.processEvents()
    # Qt deletes what is to be deleted when it goes back to its loop, which it does not here.
    desktop.app.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()


def test_a_panel_that_is_closed_is_gone_and_watches_nothing(
    desktop: Desktop, observers: list[tuple[slicer.vtkMRMLNode, int]], tmp_path: Path
) -> None:
    use(desktop, tmp_path)
    assert are_on(observers)
    widget = slicer.util.getModuleWidget(NAME)
    parts = (widget.panel, widget.panel.sections, widget.logic.annotators.current)
    left = [weakref.ref(part) for part in parts]
    del widget, parts
    close(desktop)
    assert [part() for part in left] == [None, None, None]
    assert not are_on(observers)


def test_a_panel_that_is_made_anew_works_and_is_the_only_one(
    desktop: Desktop, observers: list[tuple[slicer.vtkMRMLNode, int]], tmp_path: Path
) -> None:
    for _ in range(2):
        use(desktop, tmp_path)
        interaction = desktop.application.interaction
        interaction.SetCurrentInteractionMode(interaction.Place)
        assert not slicer.util.getModuleWidget(NAME).panel.ui.pointButton.isChecked()
        close(desktop)
        assert not are_on(observers)


def test_a_panel_that_was_never_cleaned_up_takes_its_observers_along(
    desktop: Desktop, observers: list[tuple[slicer.vtkMRMLNode, int]], tmp_path: Path
) -> None:
    """As when Slicer's own clean-up does not come to it after an error."""
    use(desktop, tmp_path)
    widget = slicer.util.getModuleWidget(NAME)
    widget.logic.annotators.close()
    widget.cleanup = lambda: None
    widget.removeObservers()
    del widget
    close(desktop)
    assert not are_on(observers)
