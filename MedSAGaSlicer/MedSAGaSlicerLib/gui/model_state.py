"""What is known of the model in use: loading, ready, on which device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from MedSAGaSlicerLib.gui import wording
from MedSAGaSlicerLib.scene.events import Problem
from MedSAGaSlicerLib.scene.stepping_down import MEMORY
from MedSAGaSlicerLib.worker.events import Died, Notice, Ready

if TYPE_CHECKING:
    from types import SimpleNamespace

    from MedSAGaSlicerLib.gui.annotators import Annotators
    from MedSAGaSlicerLib.scene.events import AnnotationEvent
    from MedSAGaSlicerLib.scene.slices import SlicePosition


class ModelState:
    """Remembers what the worker said of its model."""

    def __init__(self, ui: SimpleNamespace, annotators: Annotators) -> None:
        """Nothing is known yet."""
        self.ui, self._annotators = ui, annotators
        self.device = self.trouble = self._fled_from_card = ""

    def forget(self) -> None:
        """Another model, or another worker."""
        self.device = self.trouble = self._fled_from_card = ""

    def hear(self, event: AnnotationEvent) -> bool:
        """Take note of news; whether they are worth telling."""
        if isinstance(event, Ready):
            self.device, self.trouble = event.device, ""
            # Why it is ready on the CPU is better news.
            return not self._fled_from_card
        if isinstance(event, Notice) and event.kind == MEMORY:
            self._fled_from_card = event.message
        elif isinstance(event, Died):
            self.device, self.trouble = "", event.message
        elif isinstance(event, Problem) and not self.device:
            # Why the model could not be loaded is news; that there is none now is a consequence.
            if event.kind == "no_model" and self.trouble:
                return False
            self.trouble = event.message
        return True

    def show(self) -> None:
        """Say it beside the model's name."""
        self.ui.modelStateLabel.setText(self._text())
        about = _("Whether the model is loaded, and on which device it runs")
        self.ui.modelStateLabel.setToolTip(self._fled_from_card or self.trouble or about)

    def under_way(self, position: SlicePosition | None) -> str:
        """That the slice that is looked at is being embedded, "" if it is not."""
        annotator = self._annotators.current
        if annotator is None or position is None or not self._annotators.busy or not self.device:
            return ""
        if annotator.is_ready(position.axis, position.index):
            return ""
        text = _("Encoding {slice} …").format(slice=wording.slice_name(position))
        return str(text)

    def ahead(self) -> str:
        """How far the slices are that will be looked at next, "" if nothing is to be done."""
        annotator = self._annotators.current
        if annotator is None or not self._annotators.busy or not self.device:
            return ""
        done, total, seconds = annotator.encoding
        if done >= total or seconds is None:
            return ""
        text = _("Encoding {done}/{total}, {left:.0f} s left.")
        return str(text.format(done=done, total=total, left=seconds))

    def _text(self) -> str:
        if not self._annotators.running:
            return str(_("not running"))
        if self.device and self._fled_from_card:
            return str(_("{device}: card full").format(device=self.device))
        if self.device:
            return str(_("ready ({device})").format(device=self.device))
        if self._annotators.busy:
            return str(_("loading …"))
        return str(_("not loaded") if self.trouble else _("ready"))
