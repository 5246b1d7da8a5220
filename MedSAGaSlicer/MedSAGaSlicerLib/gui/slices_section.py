"""Propagating through the volume, and confirming slices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.gui.controls import unless
from MedSAGaSlicerLib.gui.gallery import Gallery
from MedSAGaSlicerLib.gui.wording import slice_name
from MedSAGaSlicerLib.scene.slice_pictures import content_stamp, is_empty_slice

if TYPE_CHECKING:
    from types import SimpleNamespace

    from MedSAGaSlicerLib.gui.controls import Controls, Situation
    from MedSAGaSlicerLib.gui.desk import Desk
    from MedSAGaSlicerLib.gui.job_row import JobRow
    from MedSAGaSlicerLib.scene.annotator import Annotator
    from MedSAGaSlicerLib.scene.slices import SlicePosition


class SlicesSection:
    """The buttons that act on slices, and the gallery of those that are confirmed."""

    def __init__(self, ui: SimpleNamespace, desk: Desk, controls: Controls, jobs: JobRow) -> None:
        """Connect the buttons."""
        self.ui, self._desk, self._controls, self._jobs = ui, desk, controls, jobs
        self._gallery = Gallery(ui, desk, controls)
        self._shown: tuple[object, ...] = ()
        self._looked_at: tuple[object, ...] = ()
        self._is_empty = False
        self.ui.propagateBackButton.clicked.connect(self.onPropagateBack)
        self.ui.propagateBothButton.clicked.connect(self.onPropagateBoth)
        self.ui.propagateForwardButton.clicked.connect(self.onPropagateForward)
        self.ui.confirmButton.clicked.connect(self.onConfirm)
        self.ui.confirmEmptyButton.clicked.connect(self.onConfirm)

    def show(self, situation: Situation) -> None:
        """Let the person do what is possible now."""
        is_empty = self._look(situation)
        if (situation, is_empty) != self._shown:
            self._shown = (situation, is_empty)
            self._show_propagation(situation)
            self._show_confirmation(situation, is_empty=is_empty)
        self._gallery.show(situation)

    def onPropagateBack(self, _checked: bool = False) -> None:
        """Carry the segment on to lower slice numbers."""
        self._propagate("back")

    def onPropagateBoth(self, _checked: bool = False) -> None:
        """Carry the segment on both ways."""
        self._propagate("both")

    def onPropagateForward(self, _checked: bool = False) -> None:
        """Carry the segment on to higher slice numbers."""
        self._propagate("forward")

    def onConfirm(self, _checked: bool = False) -> None:
        """Confirm the slice, or take its confirmation back."""

        def change(annotator: Annotator, position: SlicePosition) -> None:
            if position in annotator.confirmed():
                annotator.unconfirm(position.axis, position.index)
                text = _("No longer confirmed: {slice}.")
            else:
                annotator.confirm(position.axis, position.index)
                text = _("Confirmed: {slice}. It is not changed by us any more.")
            self._desk.say(text.format(slice=slice_name(position)))

        self._desk.do_there(change)

    def _propagate(self, direction: str) -> None:
        segment = self._desk.segment_id

        def begin(annotator: Annotator, position: SlicePosition) -> None:
            job = annotator.propagate(segment, direction, position.axis)
            self._jobs.watch(job, _("Propagating"))

        self._desk.do_there(begin)

    def _look(self, situation: Situation) -> bool:
        """Whether no segment is on the slice; looked up anew only if it may have changed."""
        annotator, position = self._desk.annotator, situation.position
        if annotator is None or position is None:
            return False
        look = (position, content_stamp(annotator.segmentation))
        if look != self._looked_at:
            self._looked_at = look
            try:
                self._is_empty = is_empty_slice(annotator.volume, annotator.segmentation, position)
            except InputError:
                # Whatever is wrong is said when the slice is confirmed.
                self._is_empty = False
        return self._is_empty

    def _show_propagation(self, situation: Situation) -> None:
        reason = situation.nowhere or situation.under_way
        for button in (
            self.ui.propagateBackButton,
            self.ui.propagateBothButton,
            self.ui.propagateForwardButton,
        ):
            self._controls.allow(button, reason)

    def _show_confirmation(self, situation: Situation, *, is_empty: bool) -> None:
        here, confirmed = situation.here, situation.is_confirmed
        text = _("Unc&onfirm {slice}") if confirmed else _("C&onfirm {slice}")
        position = situation.position
        # Short, for the panel may be narrow.
        where = "" if position is None else f"{position.axis} {position.index}"
        self.ui.confirmButton.setText(text.format(slice=where).strip())
        nothing = _("No segment is on {slice}. If that is right, use the button beside.")
        something = _("A segment is on {slice}. Erase it first, or clear its prompts.")
        already = _("Already confirmed: {slice}.")
        without = "" if confirmed or not is_empty else nothing.format(slice=here)
        with_it = already if confirmed else something
        allow = self._controls.allow
        allow(self.ui.confirmButton, situation.nowhere or without)
        possible = is_empty and not confirmed
        allow(
            self.ui.confirmEmptyButton,
            situation.nowhere or unless(possible, with_it.format(slice=here)),
        )
