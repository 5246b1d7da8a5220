"""The panel: turns signals into calls, and news into words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import qt
import slicer
from slicer.i18n import tr as _

from MedSAGaSlicerLib.errors import InputError, MedSAGaError
from MedSAGaSlicerLib.gui import wording
from MedSAGaSlicerLib.gui.choices import Choices, active_volume
from MedSAGaSlicerLib.gui.controls import Controls, Situation
from MedSAGaSlicerLib.gui.desk import Desk
from MedSAGaSlicerLib.gui.focus import Focus, shown_views
from MedSAGaSlicerLib.gui.model_state import ModelState
from MedSAGaSlicerLib.gui.prompts_section import PromptsSection
from MedSAGaSlicerLib.gui.sections import Sections
from MedSAGaSlicerLib.gui.warming import Warming
from MedSAGaSlicerLib.scene.events import Closed

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from MedSAGaSlicerLib.gui.annotators import Annotators
    from MedSAGaSlicerLib.gui.parameter_node import ParameterNode
    from MedSAGaSlicerLib.scene.events import AnnotationEvent

_WAITING_MS, _IDLE_MS = 10, 100


class Panel:
    """Annotates what is chosen at its top while the module is shown.

    ``ui`` has the named widgets of the .ui files as attributes; ``parameters`` looks up the
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
        self._views: list[slicer.vtkMRMLSliceNode] = []
        self._obstacle = ""
        self._focus = Focus(slicer.mrmlScene)
        self.desk = Desk(annotators, self._focus)
        self._controls = Controls(ui)
        self._model = ModelState(ui, annotators)
        self._warming = Warming()
        self._choices = Choices(ui, self.follow, self.use_model)
        self.prompts = PromptsSection(ui, self.desk, self._on_tool)
        self.sections = Sections(
            ui,
            self.desk,
            self._controls,
            effect_chosen=self._on_effect,
            refreshed=self.onRefreshed,
            restarted=self.onRestarted,
        )
        self.desk.before, self.desk.acted = self.sections.corrections.record, self._show
        # It goes with the widget: on its own it would keep the panel, which keeps it.
        self._timer = qt.QTimer(ui.statusLabel)
        self._timer.timeout.connect(self.onTick)
        self._annotators.changed = self.onAnnotatorChanged

    def enter(self) -> None:
        """The module is shown: files, packages and nodes may have come or gone since."""
        self.sections.refresh()
        self._choices.list_models(self.sections.present_models)
        parameters = self._look_up()
        if parameters.volume is None:
            parameters.volume = active_volume(slicer.mrmlScene)
        self.desk.parameters = parameters
        self._choices.bind(parameters)
        self.sections.enter()
        self.follow()

    def exit(self) -> None:
        """The module is left: the views are other modules' now. Masks under way still come."""
        self.prompts.put_down()
        self.sections.leave()
        self._choices.bind(None)
        self.desk.parameters = None
        self._watch([])

    def cleanup(self) -> None:
        """The panel is about to be destroyed."""
        self.exit()
        self._timer.stop()
        self.prompts.close()
        self.sections.close()
        self._focus.close()
        self._annotators.close()

    def onSceneAboutToClose(self) -> None:
        """The scene is about to lose all its nodes."""
        self.prompts.put_down()
        self.sections.corrections.leave()

    def onSceneReplaced(self) -> None:
        """The scene was closed or loaded, and may have another parameter node."""
        if self.desk.parameters is not None:
            self.exit()
            self.enter()

    def onRefreshed(self) -> None:
        """Models or packages may have come or gone."""
        self._choices.list_models(self.sections.present_models)
        # A download or an installation may have begun, which has no annotator to be polled with.
        self._timer.start(_WAITING_MS)
        self.follow()

    def onRestarted(self) -> None:
        """The worker's settings were changed: begin with another worker."""
        self.prompts.put_down()
        self._watch([])
        self._annotators.close()
        self._model.forget()
        self.onRefreshed()

    def follow(self) -> None:
        """Work on what is chosen, unless something is missing for that."""
        if self.desk.parameters is not None:
            self._obstacle = self._take_up(self.desk.parameters)
            self._show()

    def onAnnotatorChanged(self) -> None:
        """Another annotator is in use, perhaps by a line in the console: show its nodes."""
        annotator, parameters = self._annotators.current, self.desk.parameters
        self._model.forget()
        self.sections.jobs.forget()
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
        self._model.forget()
        self.desk.do(lambda annotator: annotator.use_model(name))

    def onTick(self) -> None:
        """See what has come, and look again soon if something is still to come."""
        self.sections.poll()
        annotator = self._annotators.current
        if annotator is None:
            self.sections.jobs.forget()
            if not self.sections.busy:
                self._timer.stop()
            self.follow()
            return
        self.sections.corrections.record()
        for event in annotator.poll():
            self._hear(event)
        self.sections.jobs.follow()
        if self._views and self._views != shown_views(slicer.mrmlScene):
            # Another layout.
            self.follow()
        if not annotator.busy:
            self._warming.step()
        waiting = annotator.busy or self._annotators.busy or self.sections.busy
        interval = _WAITING_MS if waiting else _IDLE_MS
        if self._timer.interval != interval:
            self._timer.setInterval(interval)
        self._show()

    def _take_up(self, parameters: ParameterNode) -> str:
        """Have an annotator for what is chosen; why not, "" if there is one."""
        obstacle = wording.lacking(self.sections.missing, self.sections.present_models)
        obstacle = obstacle or wording.unchosen(parameters)
        if not obstacle:
            try:
                annotator = self._annotators.of(parameters.volume, parameters.segmentation)
                annotator.auto_predict = parameters.autoPredict
                self.prompts.aim(annotator, parameters.segmentId)
                self.sections.corrections.aim(annotator, parameters.segmentId)
                self._watch(shown_views(slicer.mrmlScene))
            except MedSAGaError as error:
                obstacle = str(error)
        if obstacle:
            self.prompts.put_down()
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

    def _on_tool(self) -> None:
        self.sections.corrections.put_down()

    def _on_effect(self) -> None:
        self.prompts.put_down()

    def _hear(self, event: AnnotationEvent) -> None:
        if isinstance(event, Closed):
            self.sections.jobs.forget()
        self.sections.hear(event)
        if self._model.hear(event):
            self.desk.say(wording.line_about(event), wording.details_about(event))

    def _show(self) -> None:
        annotator, parameters = self._annotators.current, self.desk.parameters
        if parameters is None:
            return
        situation = Situation(self._obstacle)
        if annotator is not None and not self._obstacle:
            under_way = self.sections.jobs.under_way
            try:
                situation = Situation.of(annotator, self._focus, parameters.segmentId, under_way)
            except InputError as error:
                situation = Situation(str(error))
        self._controls.show(situation)
        volumeless = "" if parameters.volume else _("Choose a volume first.")
        self._controls.allow(self.ui.addSegmentButton, volumeless)
        self.sections.show(situation)
        line = situation.obstacle or self._model.under_way(situation.position) or self.desk.said
        if not situation.obstacle and not self.sections.busy:
            # A lesson on the same processor has it wait; a job says itself how far it is.
            line = f"{line} {self._model.ahead()}".strip()
        self.ui.statusLabel.setText(line)
        self.ui.statusLabel.setToolTip(line if situation.obstacle else self.desk.details)
        if annotator is not None:
            self._choices.show_model(annotator.model)
        self._model.show()
