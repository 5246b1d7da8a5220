"""Teaching: one button, how it goes, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from slicer.i18n import tr as _

from MedSAGaSlicerLib.engine.teaching.config import AUTO, METHODS
from MedSAGaSlicerLib.engine.teaching.events import Finished, Stopped
from MedSAGaSlicerLib.errors import MedSAGaError
from MedSAGaSlicerLib.gui.controls import unless
from MedSAGaSlicerLib.gui.curve import draw_curve
from MedSAGaSlicerLib.gui.lesson_wording import line_about, outcome_line, plan_line
from MedSAGaSlicerLib.worker.lesson_events import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import SimpleNamespace

    from MedSAGaSlicerLib.gui.controls import Controls, Situation
    from MedSAGaSlicerLib.gui.desk import Desk
    from MedSAGaSlicerLib.scene.annotator import Annotator
    from MedSAGaSlicerLib.scene.teaching import TeachingJob

_CURVE_HEIGHT: Final = 96
_NARROWEST: Final = 160
_PLANNED_TOGETHER: Final = 5
"""A plan costs the worker about a second: it is not made for each slice."""


class TeachSection:
    """Has one lesson at a time, which goes on whatever becomes of the scene it began in."""

    def __init__(self, ui: SimpleNamespace, desk: Desk, controls: Controls) -> None:
        """Offer the methods."""
        self.ui, self._desk, self._controls = ui, desk, controls
        self._job: TeachingJob | None = None
        self._drawn: tuple[int, int] | None = None
        self._planned: tuple[object, ...] = ()
        self._methods: dict[str, dict[str, Any]] = {}
        self._planned_for: tuple[object, ...] = ()
        self._lesson: tuple[object, ...] = ()
        self._steps = 0
        box = self.ui.methodSelector
        box.addItem(_("automatic"), AUTO)
        for name in METHODS:
            box.addItem(name, name)
        self._show_lesson()
        self.ui.teachButton.clicked.connect(self.onTeach)
        self.ui.stopLessonButton.clicked.connect(self.onStop)
        self.ui.useResultButton.clicked.connect(self.onUse)
        self.ui.revertButton.clicked.connect(self.onRevert)

    @property
    def job(self) -> TeachingJob | None:
        """The lesson that goes on, or the last one."""
        return self._job

    @property
    def is_teaching(self) -> bool:
        """Whether a lesson goes on."""
        return self._job is not None and self._job.running

    def poll(self) -> None:
        """See what has come of the lesson."""
        job = self._job
        if job is None or not job.running:
            return
        try:
            for event in job.poll():
                self._desk.say(line_about(event))
        except MedSAGaError as error:
            self._desk.say(str(error))
        self._show_lesson()
        self._tell_end(job.outcome)

    def _tell_end(self, outcome: Finished | Stopped | Failed | None) -> None:
        if self._job is not None and outcome is not None:
            details = outcome.stderr if isinstance(outcome, Failed) else ""
            self._desk.say(outcome_line(self._job), details)

    def show(self, situation: Situation) -> None:
        """Let the person do what is possible now."""
        confirmed = len(situation.confirmed)
        self._follow_steps()
        self._ask_for_plan(situation, confirmed)
        state = (
            situation.obstacle,
            confirmed,
            self.is_teaching,
            self._steps,
            self.ui.methodSelector.currentData,
        )
        if state == self._planned:
            return
        self._planned = state
        nothing = _("No slice is confirmed. Correct some slices, confirm them, then teach.")
        reason = situation.obstacle or unless(confirmed, nothing)
        if self.is_teaching:
            reason = _("A lesson is under way. Wait for its end, or press Stop.")
        self._controls.allow(self.ui.teachButton, reason)
        for choice in (self.ui.methodSelector, self.ui.stepsSpinBox):
            self._controls.allow(choice, reason if self.is_teaching else "")
        self.ui.planLabel.setText(reason or plan_line(self._methods, self._method(), confirmed))

    def plan(self, values: Mapping[str, Any]) -> None:
        """Take what the worker says lessons would need."""
        self._methods = {str(row["method"]): dict(row) for row in values.get("methods", ())}
        self._planned = ()

    def close(self) -> None:
        """The panel goes: the lesson ends now and can be gone on with later."""
        if self._job is not None:
            self._job.close()

    def onTeach(self, _checked: bool = False) -> None:
        """Begin a lesson."""
        self._follow_steps()

        def begin(annotator: Annotator) -> None:
            self._job = annotator.teach(self._method(), config=self._desk.annotators.lesson)
            self._drawn = None
            self._show_lesson()
            self._desk.say(_("Teaching has begun; you can go on annotating."))

        self._desk.do(begin)

    def onStop(self, _checked: bool = False) -> None:
        """End the lesson."""
        if self._job is not None:
            self._job.stop()

    def onUse(self, _checked: bool = False) -> None:
        """Have what was taught answer."""
        self._change_over(lambda job: job.adopt(), _("The taught model answers now."))

    def onRevert(self, _checked: bool = False) -> None:
        """Have answer what answered before."""
        self._change_over(lambda job: job.revert(), _("The model answers as before the lesson."))

    def _follow_steps(self) -> None:
        """The setting and the box beside the method: whichever was changed has its way."""
        settings, box = self._desk.annotators.settings, self.ui.stepsSpinBox
        if self._steps and int(box.value) != self._steps:
            settings.lesson_steps = int(box.value)
        steps = settings.lesson_steps
        if steps != self._steps:
            box.setValue(steps)
            self._steps = int(box.value)
            if self._steps != steps:
                # The box has its limits.
                settings.lesson_steps = self._steps

    def _ask_for_plan(self, situation: Situation, confirmed: int) -> None:
        """Have the worker plan once it is idle, and anew when the lesson will be another."""
        annotators, annotator = self._desk.annotators, self._desk.annotator
        lesson = (annotator and annotator.model, annotators.settings.device, annotators.lesson)
        if lesson != self._lesson:
            # What was planned is not what would be taught now.
            self._lesson, self._methods, self._planned = lesson, {}, ()
        wanted = (*lesson, confirmed // _PLANNED_TOGETHER)
        idle = not situation.obstacle and not annotators.busy and not self.is_teaching
        if confirmed and idle and wanted != self._planned_for and annotators.survey(confirmed):
            self._planned_for = wanted

    def _method(self) -> str:
        return str(self.ui.methodSelector.currentData)

    def _change_over(self, action: Callable[[TeachingJob], None], done: str) -> None:
        job = self._job
        if job is None:
            return
        try:
            action(job)
            self._desk.say(done)
        except MedSAGaError as error:
            self._desk.say(str(error))
        self._show_lesson()
        self._desk.acted()

    def _show_lesson(self) -> None:
        job = self._job
        self.ui.lessonWidget.setVisible(job is not None and (job.running or bool(job.curve)))
        self.ui.stopLessonButton.setVisible(self.is_teaching)
        self.ui.lessonBar.setVisible(self.is_teaching)
        finished = job is not None and isinstance(job.outcome, Finished)
        self.ui.resultLabel.setVisible(finished or self._has_stopped())
        self.ui.useResultButton.setVisible(finished)
        self.ui.revertButton.setVisible(finished)
        if job is None:
            return
        self.ui.lessonBar.setValue(round(100 * job.fraction))
        left = "" if job.seconds_left is None else _(", {left:.0f} s left")
        # %p is the percentage.
        self.ui.lessonBar.setFormat("%p %" + left.format(left=job.seconds_left))
        self.ui.resultLabel.setText(outcome_line(job))
        used, unused = _("The taught model is not in use."), _("It is in use already.")
        self._controls.allow(self.ui.useResultButton, unused if job.used else "")
        self._controls.allow(self.ui.revertButton, "" if job.used else used)
        self._draw(job)

    def _has_stopped(self) -> bool:
        return self._job is not None and isinstance(self._job.outcome, Stopped | Failed)

    def _draw(self, job: TeachingJob) -> None:
        width = max(_NARROWEST, self.ui.curveLabel.width)
        if (len(job.curve), width) != self._drawn:
            self._drawn = (len(job.curve), width)
            palette = self.ui.curveLabel.palette
            self.ui.curveLabel.setPixmap(draw_curve(job.curve, width, _CURVE_HEIGHT, palette))
