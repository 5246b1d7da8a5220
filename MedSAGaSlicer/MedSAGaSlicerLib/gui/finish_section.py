"""Segmenting all that is left, and the slices that are worth a look afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import qt
from slicer.i18n import tr as _

from MedSAGaSlicerLib.errors import MedSAGaError
from MedSAGaSlicerLib.gui.controls import unless
from MedSAGaSlicerLib.gui.wording import slice_name
from MedSAGaSlicerLib.scene.slices import SlicePosition

if TYPE_CHECKING:
    from types import SimpleNamespace

    from MedSAGaSlicerLib.gui.controls import Controls, Situation
    from MedSAGaSlicerLib.gui.desk import Desk
    from MedSAGaSlicerLib.gui.job_row import JobRow
    from MedSAGaSlicerLib.scene.annotator import Annotator


class FinishSection:
    """Runs the taught model over the volume and lists what it was least sure of."""

    def __init__(self, ui: SimpleNamespace, desk: Desk, controls: Controls, jobs: JobRow) -> None:
        """Connect the button and the list."""
        self.ui, self._desk, self._controls, self._jobs = ui, desk, controls, jobs
        self._review: tuple[SlicePosition, ...] = ()
        self._listed: tuple[object, ...] = ()
        self._shown: tuple[object, ...] = ()
        self.ui.finishButton.clicked.connect(self.onFinish)
        self.ui.reviewTable.itemSelectionChanged.connect(self.onReview)
        self.ui.nextReviewButton.clicked.connect(self.onNext)

    def show(self, situation: Situation) -> None:
        """Let the person do what is possible now."""
        annotator, segment_id = self._desk.annotator, self._desk.segment_id
        taught = self._taught(annotator, segment_id, situation)
        state = (situation, segment_id, taught)
        if state == self._shown:
            return
        self._shown = state
        untaught = _("No taught model answers for this segment. Teach one, or choose one below.")
        reason = situation.obstacle or situation.under_way or unless(taught, untaught)
        self._controls.allow(self.ui.finishButton, reason)
        self._list(annotator, segment_id, situation)
        left = [position for position in self._review if position not in situation.confirmed]
        if self._review:
            text = _("Least sure of these; {count} are not confirmed yet:")
            self.ui.reviewLabel.setText(text.format(count=len(left)))
        else:
            self.ui.reviewLabel.setText(_("Nothing to review: no volume was finished yet."))
        done = _("All of them are confirmed.") if self._review else _("There is nothing to review.")
        self._controls.allow(self.ui.nextReviewButton, situation.obstacle or unless(left, done))

    def onFinish(self, _checked: bool = False) -> None:
        """Have the taught model segment what is not confirmed."""
        segment = self._desk.segment_id

        def begin(annotator: Annotator) -> None:
            self._jobs.watch(annotator.finish([segment]), _("Finishing the volume"))

        self._desk.do(begin)

    def onReview(self) -> None:
        """Go to the slice that was chosen."""
        row = self.ui.reviewTable.currentRow()
        if self.ui.reviewTable.selectedItems() and 0 <= row < len(self._review):
            self._desk.jump(self._review[row])

    def onNext(self, _checked: bool = False) -> None:
        """Go to the next slice that is not confirmed."""
        annotator = self._desk.annotator
        confirmed = () if annotator is None else annotator.confirmed()
        count, now = len(self._review), self.ui.reviewTable.currentRow()
        for row in [n % count for n in range(now + 1, now + 1 + count)] if count else ():
            if self._review[row] not in confirmed:
                # The same row again would change no selection.
                self.ui.reviewTable.clearSelection()
                self.ui.reviewTable.selectRow(row)
                return

    def _taught(self, annotator: Annotator | None, segment_id: str, situation: Situation) -> bool:
        if annotator is None or situation.obstacle or not segment_id:
            return False
        try:
            return annotator.taught(segment_id) is not None
        except MedSAGaError:
            # The segment has just gone.
            return False

    def _list(self, annotator: Annotator | None, segment_id: str, situation: Situation) -> None:
        found = () if annotator is None or situation.obstacle else annotator.suggestions(segment_id)
        if found == self._listed:
            return
        self._listed = found
        self._review = tuple(SlicePosition(entry.axis, entry.index) for entry in found)
        table = self.ui.reviewTable
        table.clearSelection()
        table.setRowCount(len(found))
        for row, entry in enumerate(found):
            table.setItem(row, 0, qt.QTableWidgetItem(slice_name(self._review[row])))
            table.setItem(row, 1, qt.QTableWidgetItem(f"{entry.uncertainty:.2f}"))
