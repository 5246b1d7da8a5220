"""The panel: turns signals into calls, and news into words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import qt
import slicer
from slicer.i18n import tr as _

from MedSAGaSlicerLib.errors import InputError, MedSAGaError
from MedSAGaSlicerLib.gui import wording
from MedSAGaSlicerLib.gui.catalogue import Catalogue
from MedSAGaSlicerLib.gui.choices import Choices, active_volume
from MedSAGaSlicerLib.gui.controls import Controls, Situation
from MedSAGaSlicerLib.gui.focus import Focus, shown_views
from MedSAGaSlicerLib.gui.tools import Tools
from MedSAGaSlicerLib.scene.events import Problem
from MedSAGaSlicerLib.scene.slices import align
from MedSAGaSlicerLib.scene.volumes import grid_of
from MedSAGaSlicerLib.worker.events import Ready

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from MedSAGaSlicerLib.gui.annotators import Annotators
    from MedSAGaSlicerLib.gui.parameter_node import ParameterNode
    from MedSAGaSlicerLib.scene.annotator import Annotator
    from MedSAGaSlicerLib.scene.events import AnnotationEvent
    from MedSAGaSlicerLib.scene.slices import SlicePosition

_WAITING_MS, _IDLE_MS = 10, 100


class Panel:
    """Annotates what is chosen at its top while the module is shown.

    ``ui`` has the named widgets of MedSAGaSlicer.ui as attributes; ``parameters`` looks up the
    parameter node of the present scene. The annotator is the one that the console has, too.
    """

    def __init__(
        self,
        ui: SimpleNamespace,
        annotators: Annotators,
        parameters: Callable[[], ParameterNode],
    ) -> None:
        self.ui = ui
        self._annotators, self._look_up = annotators, parameters
        self._parameters: ParameterNode | None = None
        self._views: list[slicer.vtkMRMLSliceNode] = []
        self._obstacle = self._said = self._device = self._trouble = ""
        self._catalogue = Catalogue(ui, self.follow)
        self._choices = Choices(ui, self.follow, self.use_model)
        self._controls = Controls(ui)
        self._focus = Focus(slicer.mrmlScene)
        self._tools = Tools(ui, self.say)
        self._timer = qt.QTimer()
        self._timer.timeout.connect(self.onTick)
        self.ui.undoButton.clicked.connect(self.onUndo)
        self.ui.redoButton.clicked.connect(self.onRedo)
        self.ui.predictButton.clicked.connect(self.onPredict)
        self.ui.clearButton.clicked.connect(self.onClear)
        self.ui.confirmButton.clicked.connect(self.onConfirm)
        self.ui.alignButton.clicked.connect(self.onAlign)
        self._annotators.changed = self.onAnnotatorChanged

    def enter(self) -> None:
        """The module is shown: files, packages and nodes may have come or gone since."""
        self._catalogue.refresh()
        self._choices.list_models(self._catalogue.present)
        self._parameters = self._look_up()
        if self._parameters.volume is None:
            self._parameters.volume = active_volume(slicer.mrmlScene)
        self._choices.bind(self._parameters)
        self.follow()

    def exit(self) -> None:
        """The module is left: the views are other modules' now. Masks under way still come."""
        self._tools.put_down()
        self._choices.bind(None)
        self._parameters = None
        self._watch([])

    def cleanup(self) -> None:
        """The panel is about to be destroyed."""
        self.exit()
        self._timer.stop()
        self._tools.close()
        self._focus.close()
        self._annotators.close()

    def onSceneReplaced(self) -> None:
        """The scene was closed or loaded, and may have another parameter node."""
        if self._parameters is not None:
            self.exit()
            self.enter()

    def follow(self) -> None:
        """Work on what is chosen, unless something is missing for that."""
        if self._parameters is not None:
            self._obstacle = self._take_up(self._parameters)
            self._show()

    def onAnnotatorChanged(self) -> None:
        """Another annotator is in use, perhaps by a line in the console: show its nodes."""
        annotator, parameters = self._annotators.current, self._parameters
        self._device = self._trouble = ""
        self._timer.start(_WAITING_MS)
        if annotator is None or parameters is None:
            return
        used = annotator.volume, annotator.segmentation
        if used != (parameters.volume, parameters.segmentation):
            parameters.volume, parameters.segmentation = used
            self._choices.bind(parameters)
            self.follow()

    def use_model(self, name: str) -> None:
        """Have another model answer from now on."""
        self._device = self._trouble = ""
        self._do(lambda annotator: annotator.use_model(name))

    def onTick(self) -> None:
        """See what has come, and look again soon if something is still to come."""
        annotator = self._annotators.current
        if annotator is None:
            self._timer.stop()
            self.follow()
            return
        for event in annotator.poll():
            self._hear(event)
        if self._views and self._views != shown_views(slicer.mrmlScene):
            # Another layout.
            self.follow()
        interval = _WAITING_MS if annotator.busy or self._annotators.busy else _IDLE_MS
        if self._timer.interval != interval:
            self._timer.setInterval(interval)
        self._show()

    def say(self, line: str, details: str = "") -> None:
        """Show a line below the buttons, unless it is empty."""
        if line:
            self._said = line
            self.ui.statusLabel.setToolTip(details or line)

    def onUndo(self, _checked: bool = False) -> None:
        """Take the last action back."""
        self._do(lambda a: self.say(_("Undone: {action}.").format(action=a.undo())))

    def onRedo(self, _checked: bool = False) -> None:
        """Do again what was undone last."""
        self._do(lambda a: self.say(_("Done again: {action}.").format(action=a.redo())))

    def onPredict(self, _checked: bool = False) -> None:
        """Ask the model about the prompts placed so far."""
        self._do(lambda annotator: annotator.predict())

    def onClear(self, _checked: bool = False) -> None:
        """Remove the segment's prompts from the slice."""
        segment_id = self._parameters.segmentId if self._parameters else ""
        self._do_there(lambda a, p: a.clear_slice(segment_id, p.axis, p.index))

    def onConfirm(self, _checked: bool = False) -> None:
        """Confirm the slice, or take its confirmation back."""
        self._do_there(
            lambda annotator, position: (
                annotator.unconfirm(position.axis, position.index)
                if position in annotator.confirmed()
                else annotator.confirm(position.axis, position.index)
            )
        )

    def onAlign(self, _checked: bool = False) -> None:
        """Turn the view onto the volume's nearest slice."""
        self._do(lambda annotator: align(self._focus.view, grid_of(annotator.volume)))

    def _take_up(self, parameters: ParameterNode) -> str:
        """Have an annotator for what is chosen; why not, "" if there is one."""
        obstacle = wording.lacking(self._catalogue.missing, self._catalogue.present)
        obstacle = obstacle or wording.unchosen(parameters)
        if not obstacle:
            try:
                annotator = self._annotators.of(parameters.volume, parameters.segmentation)
                annotator.auto_predict = parameters.autoPredict
                self._tools.aim(annotator, parameters.segmentId)
                self._watch(shown_views(slicer.mrmlScene))
            except MedSAGaError as error:
                obstacle = str(error)
        if obstacle:
            self._tools.put_down()
        return obstacle

    def _watch(self, views: list[slicer.vtkMRMLSliceNode]) -> None:
        """Have the slices of these views embedded, and of no others."""
        annotator, left = self._annotators.current, set(self._views) - set(views)
        self._views = views
        if annotator is not None:
            for view in left:
                annotator.unwatch_view(view)
            for view in views:
                annotator.watch_view(view)

    def _do(self, action: Callable[[Annotator], object]) -> None:
        """Do something with the annotator, or say why that is not possible."""
        annotator = self._annotators.current
        if annotator is not None:
            try:
                action(annotator)
            except MedSAGaError as error:
                self.say(str(error))
        self._show()

    def _do_there(self, action: Callable[[Annotator, SlicePosition], object]) -> None:
        """Do something with the annotator and the slice that is looked at."""

        def act(annotator: Annotator) -> None:
            position = self._focus.position(annotator.volume)
            if position is not None:
                action(annotator, position)

        self._do(act)

    def _hear(self, event: AnnotationEvent) -> None:
        if isinstance(event, Ready):
            self._device, self._trouble = event.device, ""
        elif isinstance(event, Problem) and not self._device:
            # Why the model could not be loaded is news; that there is none now is a consequence.
            if event.kind == "no_model" and self._trouble:
                return
            self._trouble = event.message
        self.say(wording.line_about(event), wording.details_about(event))

    def _show(self) -> None:
        annotator, parameters = self._annotators.current, self._parameters
        if parameters is None:
            return
        situation = Situation(self._obstacle)
        if annotator is not None and not self._obstacle:
            try:
                situation = Situation.of(annotator, self._focus, parameters.segmentId)
            except InputError as error:
                situation = Situation(str(error))
        self._controls.show(situation)
        volumeless = "" if parameters.volume else _("Choose a volume first.")
        self._controls.allow(self.ui.addSegmentButton, volumeless)
        self.ui.statusLabel.setText(situation.obstacle or self._under_way(situation) or self._said)
        if annotator is not None:
            self._choices.show_model(annotator.model)
        self.ui.modelStateLabel.setText(self._model_state())

    def _under_way(self, situation: Situation) -> str:
        annotator, position = self._annotators.current, situation.position
        if annotator is None or position is None or not self._annotators.busy or not self._device:
            return ""
        if annotator.is_ready(position.axis, position.index):
            return ""
        text = _("Encoding {slice} …").format(slice=wording.slice_name(position))
        return str(text)

    def _model_state(self) -> str:
        if not self._annotators.running:
            return str(_("not running"))
        if self._device:
            return str(_("ready ({device})").format(device=self._device))
        if self._annotators.busy:
            return str(_("loading …"))
        return str(_("not loaded") if self._trouble else _("ready"))
