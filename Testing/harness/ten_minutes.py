"""A person's first ten minutes with the module, by the mouse: prompts to a finished volume.

The same walk is a test, a benchmark of the panel's slots, and the source of the README's pictures.
"""

from collections.abc import Callable

import numpy as np
import slicer
from harness.case import Case
from harness.workplace import LEFT, Workplace, add_ct
from PySide6 import QtCore, QtWidgets
from PySide6.QtTest import QTest
from scipy import ndimage

from MedSAGaSlicerLib.engine.metrics import dice
from MedSAGaSlicerLib.scene.segments import read_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of

STEPS = 60
"""Of the lesson: enough to see it learn, few enough for a test."""


class TenMinutes:
    """Walks; ``seen`` is called with each step's name, when there is something to look at."""

    def __init__(
        self, workplace: Workplace, case: Case, seen: Callable[[str], None] = lambda _: None
    ) -> None:
        self.place, self.ui, self.seen = workplace, workplace.ui, seen
        self.organ, self.truth = case.organ, case.truth
        self.volume = add_ct(case)
        present = np.flatnonzero(self.truth.any(axis=(1, 2)))
        self.slices = [int(k) for k in np.linspace(present[0] + 1, present[-1] - 1, 12).round()]
        outside = [k for k in range(len(self.truth)) if k < present[0] - 2 or k > present[-1] + 2]
        self.empty = outside[:: max(1, len(outside) // 3)][:3]
        QtCore.QSettings().setValue("MedSAGaSlicer/LessonSteps", str(STEPS))

    def go(self) -> None:
        """All of it."""
        self.prompt()
        self.propagate()
        self.correct_and_confirm()
        self.teach()
        self.finish()

    def prompt(self) -> None:
        """Click, undo, box: each is answered, and undone as a whole."""
        self.place.choose(self.volume, self.organ)
        k = self.slices[6]
        i, j = deepest(self.truth[k])
        self.place.click((i, j, k))
        self.place.wait_for_masks()
        assert self.mask(k)[j, i]
        self.seen("click")
        self.press(self.ui.undoButton)
        assert not self.mask(k).any()
        assert self.place.annotator.prompts() == ()
        self.box(k)
        assert dice(self.mask(k), self.truth[k]) > 0.8
        self.seen("box")

    def propagate(self) -> None:
        """The mask goes on by itself, and is one step of undo."""
        before = self.place.annotator.undo_names()[0]
        self.press(self.ui.propagateBothButton)
        assert self.place.module.panel.sections.jobs.doing
        self.place.wait_until(lambda: not self.place.module.panel.sections.jobs.doing)
        k = self.slices[6]
        assert self.mask(k + 1).any()
        self.seen("propagated")
        self.press(self.ui.undoButton)
        assert self.place.annotator.undo_names()[0] == before
        assert not self.mask(k + 1).any()

    def correct_and_confirm(self) -> None:
        """Twelve slices with the organ, one of them painted on, and three without it."""
        self.press(self.ui.boxButton, down=False)
        for n, k in enumerate(self.slices):
            if k != self.slices[6]:
                self.box(k)
            if n == 3:
                self.paint(k)
            self.look_at(k)
            self.press(self.ui.confirmButton)
        for k in self.empty:
            self.look_at(k)
            self.press(self.ui.confirmEmptyButton)
        confirmed = self.place.annotator.confirmed()
        assert len(confirmed) == len(self.slices) + len(self.empty)
        self.place.wait_until(lambda: self.ui.galleryList.count == len(confirmed))
        self.seen("confirmed")

    def teach(self) -> None:
        """A lesson in a process of its own, while another mask is predicted; it comes to an end."""
        teaching = self.place.module.panel.sections.teaching
        self.place.wait_until(self.ui.teachButton.isEnabled)
        self.press(self.ui.teachButton)
        self.place.wait_until(lambda: len(teaching.job.curve) > STEPS // 3)
        k = self.slices[6] + 1
        self.box(k)
        assert self.mask(k).any()
        assert teaching.job.running
        self.seen("teaching")
        self.place.wait_until(lambda: not teaching.job.running)
        assert teaching.job.after is not None
        if not teaching.job.used:
            self.press(self.ui.useResultButton)
        self.place.wait_for_masks()
        assert self.place.annotator.taught(self.ui.segmentSelector.currentSegmentID())
        self.seen("taught")

    def finish(self) -> None:
        """Every slice has its mask, and some are listed as worth a look."""
        jobs = self.place.module.panel.sections.jobs
        confirmed = {p.index: self.mask(p.index) for p in self.place.annotator.confirmed()}
        self.ui.finishCollapsibleButton.collapsed = False
        self.place.wait_until(self.ui.finishButton.isEnabled)
        self.press(self.ui.finishButton)
        self.place.wait_until(lambda: not jobs.doing)
        for k, mask in confirmed.items():
            np.testing.assert_array_equal(self.mask(k), mask)
        self.place.wait_until(lambda: self.ui.reviewTable.rowCount)
        # One after the other, until there is something to look at.
        for expected in range(self.ui.reviewTable.rowCount):
            self.press(self.ui.nextReviewButton)
            row = self.ui.reviewTable.currentRow()
            assert row == expected
            assert f"k {self.shown()}" in self.ui.reviewTable.item(row, 0).text()
            if self.mask(self.shown()).any():
                break
        self.seen("finished")

    def shown(self) -> int:
        """The slice that the red view shows."""
        offset = self.place.view().live.node.GetSliceToRAS()
        centre = [offset.GetElement(n, 3) for n in range(3)]
        return round(float(grid_of(self.volume).to_ijk(centre)[2]))

    def mask(self, k: int) -> np.ndarray:
        """The segment on a slice."""
        segmentation = self.ui.segmentationSelector.currentNode()
        segment_id = self.ui.segmentSelector.currentSegmentID()
        return read_slice(segmentation, segment_id, grid_of(self.volume), SlicePosition("k", k))

    def box(self, k: int) -> None:
        """A box around the organ, a little too large."""
        left, top, right, bottom = frame(self.truth[k])
        self.place.drag((left - 2, top - 2, k), (right + 2, bottom + 2, k))
        self.place.wait_for_masks()

    def paint(self, k: int) -> None:
        """A dab with the editor's brush on what the mask lacks; it is a step of our undo."""
        self.ui.correctCollapsibleButton.collapsed = False
        editor = self.place.module.panel.sections.corrections.editor
        editor.setActiveEffectByName("Paint")
        before = self.mask(k)
        i, j = deepest(self.truth[k] & ~before)
        at = self.place.scroll_to((i, j, k))
        QTest.mouseClick(self.place.view().sliceView(), LEFT, pos=at)
        self.place.module.panel.onTick()
        painted = self.mask(k)
        assert painted[j, i]
        assert self.place.annotator.undo_names()[0] == "Paint"
        self.seen("painted")
        self.press(self.ui.undoButton)
        np.testing.assert_array_equal(self.mask(k), before)
        self.press(self.ui.redoButton)
        np.testing.assert_array_equal(self.mask(k), painted)
        editor.setActiveEffectByName("")
        self.ui.correctCollapsibleButton.collapsed = True

    def look_at(self, k: int) -> None:
        """Scroll there; the mouse is over the view."""
        at = self.place.scroll_to((1, 1, k))
        QTest.mouseMove(self.place.view().sliceView(), at)
        self.place.desktop.app.processEvents()
        self.place.module.panel.onTick()

    def press(self, button: QtWidgets.QPushButton, *, down: bool | None = None) -> None:
        """Press a button with the mouse; with ``down``, only if it is not so yet."""
        if down is None or button.isChecked() != down:
            self.place.column.ensureWidgetVisible(button)
            self.place.desktop.app.processEvents()
            assert button.isEnabled(), (button.objectName, button.toolTip)
            QTest.mouseClick(button, LEFT)
        self.place.desktop.app.processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents)


def frame(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The box around a mask: first column and row, last column and row."""
    (top, left), (bottom, right) = np.argwhere(mask).min(0), np.argwhere(mask).max(0)
    return int(left), int(top), int(right), int(bottom)


def deepest(mask: np.ndarray) -> tuple[int, int]:
    """The (column, row) that is farthest from the border."""
    row, column = np.unravel_index(ndimage.distance_transform_edt(mask).argmax(), mask.shape)
    return int(column), int(row)


def save_and_reload(path: str) -> None:
    """Save the scene as a bundle, close it, and load it again."""
    assert slicer.mrmlScene.WriteToMRB(path)
    slicer.mrmlScene.Clear()
    assert slicer.mrmlScene.ReadFromMRB(path, True)
