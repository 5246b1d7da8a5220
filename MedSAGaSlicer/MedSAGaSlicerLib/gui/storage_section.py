"""Where pixels lie, what may be deleted, and which process computes where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from MedSAGaSlicerLib import __version__
from MedSAGaSlicerLib.gui.diagnostics import diagnostics
from MedSAGaSlicerLib.gui.machine_settings import DEVICES, PRECISIONS
from MedSAGaSlicerLib.gui.wording import size_text, survey_text
from MedSAGaSlicerLib.scene.stored_pixels import delete_examples, places
from MedSAGaSlicerLib.worker.events import Stats, Surveyed

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from MedSAGaSlicerLib.gui.controls import Controls
    from MedSAGaSlicerLib.gui.desk import Desk
    from MedSAGaSlicerLib.scene.events import AnnotationEvent


class StorageSection:
    """Shows and changes settings of the machine; ``restarted`` is called when they changed.

    ``is_teaching`` says whether a lesson goes on, whose files must stay.
    """

    def __init__(
        self,
        ui: SimpleNamespace,
        desk: Desk,
        controls: Controls,
        restarted: Callable[[], None],
        is_teaching: Callable[[], bool],
    ) -> None:
        """Show the settings."""
        self.ui, self._desk, self._controls = ui, desk, controls
        self._restarted, self._is_teaching = restarted, is_teaching
        self._settings = desk.annotators.settings
        self.survey: dict[str, Any] = {}
        self.ui.versionLabel.setText(_("MedSAGaSlicer {version}").format(version=__version__))
        names = (_("automatic"), _("CPU"), _("CUDA"), _("MPS (Apple, untested)"))
        for name, device in zip(names, DEVICES, strict=True):
            self.ui.deviceSelector.addItem(name, device)
        self.ui.deviceSelector.setCurrentIndex(DEVICES.index(self._settings.device))
        for name, precision in zip((_("exact"), _("fastest")), PRECISIONS, strict=True):
            self.ui.precisionSelector.addItem(name, precision)
        self.ui.precisionSelector.setCurrentIndex(PRECISIONS.index(self._settings.precision))
        self.ui.workerEdit.setText(self._settings.worker_command)
        self.ui.cacheLimitSpinBox.setValue(self._settings.cache_gb)
        self.ui.deviceSelector.textActivated.connect(self.onDevice)
        self.ui.precisionSelector.textActivated.connect(self.onSettings)
        self.ui.workerEdit.editingFinished.connect(self.onSettings)
        self.ui.cacheLimitSpinBox.editingFinished.connect(self.onSettings)
        self.ui.clearCacheButton.clicked.connect(self.onClearCache)
        self.ui.deletePixelsButton.clicked.connect(self.onDeletePixels)
        self.ui.testDeviceButton.clicked.connect(self.onTestDevice)
        self.ui.copyDiagnosticsButton.clicked.connect(self.onCopyDiagnostics)
        self.ui.storageCollapsibleButton.contentsCollapsed.connect(self.onCollapsed)

    def hear(self, event: AnnotationEvent) -> None:
        """Take note of what the worker told of itself."""
        if isinstance(event, Stats):
            self.measure()
        elif isinstance(event, Surveyed):
            self.survey = dict(event.values)
            self.ui.deviceTestLabel.setText(survey_text(self.survey))

    def show(self) -> None:
        """Let the person do what is possible now."""
        idle = _("No worker runs. Choose volume and segment first.")
        self._controls.allow(
            self.ui.testDeviceButton, "" if self._desk.annotators.running else idle
        )
        teaching = _("A lesson is under way, which needs its files. Stop it first.")
        self._controls.allow(self.ui.deletePixelsButton, teaching if self._is_teaching() else "")

    def measure(self) -> None:
        """Look how much lies where; only while the section is open, for it takes a moment."""
        if self.ui.storageCollapsibleButton.collapsed:
            return
        kinds = {
            "embeddings": _("Embeddings"),
            "examples": _("Examples for lessons"),
            "lessons": _("Lessons not finished"),
        }
        lines = [f"{kinds[p.kind]}, {size_text(p.size)}:\n{p.folder}" for p in places()]
        self.ui.placesEdit.setPlainText("\n".join(lines))

    def onCollapsed(self, collapsed: bool) -> None:
        """The section was opened or closed."""
        if not collapsed:
            self.measure()

    def onDevice(self, _text: str = "") -> None:
        """A device was chosen, perhaps the same again: the worker may have left a full card."""
        chosen, used = str(self.ui.deviceSelector.currentData), self._desk.annotators.device
        if chosen == self._settings.device and used not in ("", chosen):
            if not self._is_teaching():
                self._restarted()
            return
        self.onSettings()

    def onSettings(self, _text: str = "") -> None:
        """Settings may have changed: the worker is started anew with them."""
        new = (
            str(self.ui.deviceSelector.currentData),
            str(self.ui.precisionSelector.currentData),
            str(self.ui.workerEdit.text).strip(),
            int(self.ui.cacheLimitSpinBox.value),
        )
        names = ("device", "precision", "worker_command", "cache_gb")
        if new != tuple(getattr(self._settings, name) for name in names):
            for name, value in zip(names, new, strict=True):
                setattr(self._settings, name, value)
            self._restarted()

    def onClearCache(self, _checked: bool = False) -> None:
        """Delete the embeddings."""
        self._desk.annotators.clear_embeddings()
        self._desk.say(_("Embeddings are deleted; they are computed again when needed."))
        self.measure()
        self._desk.acted()

    def onDeletePixels(self, _checked: bool = False) -> None:
        """Delete all that comes from pixels, after asking."""
        question = _(
            "Delete all embeddings, the examples of earlier lessons, and lessons that are not "
            "finished? The scene and the taught models stay."
        )
        if self._is_teaching() or not self._desk.ask(question, _("Delete all pixels")):
            return
        self._desk.annotators.clear_embeddings()
        freed = delete_examples()
        self._desk.say(_("Deleted, {size} besides embeddings.").format(size=size_text(freed)))
        self.measure()
        self._desk.acted()

    def onTestDevice(self, _checked: bool = False) -> None:
        """Have the worker try its device."""
        annotator = self._desk.annotator
        # The plan of the next lesson comes along.
        slices = 0 if annotator is None else len(annotator.confirmed())
        if self._desk.annotators.survey(max(1, slices)):
            self.ui.deviceTestLabel.setText(_("The worker is trying its device …"))

    def onCopyDiagnostics(self, _checked: bool = False) -> None:
        """Put what helps to find a fault into the clipboard."""
        text = diagnostics(self._settings, self.survey, self._desk.said, self._desk.details)
        qt.QApplication.clipboard().setText(text)
        self._desk.say(_("Diagnostics are in the clipboard."))
        self._desk.acted()
