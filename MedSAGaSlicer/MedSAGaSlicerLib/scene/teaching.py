"""A lesson under way: looked after by polling, and what it changed when it has ended."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from MedSAGaSlicerLib.engine.teaching.events import (
    Finished,
    Prepared,
    Progress,
    RoomWanted,
    Started,
    Stopped,
    Validated,
)
from MedSAGaSlicerLib.errors import InputError, TeachingError, WorkerError
from MedSAGaSlicerLib.worker.lesson_events import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from MedSAGaSlicerLib.worker.client import InferenceClient
    from MedSAGaSlicerLib.worker.lesson import Lesson
    from MedSAGaSlicerLib.worker.lesson_events import LessonEvent
    from MedSAGaSlicerLib.worker.teach_client import TeachClient


@dataclass(frozen=True)
class CurvePoint:
    """A step of the live curve; ``loss`` is None if the step was left out."""

    step: int
    loss: float | None
    dice: float


class TeachingJob:
    """What ``Annotator.teach`` returns: poll it by a timer, or wait for it in a script.

    The better model is put to use as soon as it is there; ``revert`` goes back, ``adopt`` takes one
    that was not accepted, or that too few slices were confirmed to measure.

    Attributes:
        lesson: what is taught, and into which folder.
        segments: what each segment's identifier is called in it.
        curve: the steps so far.
        before, after: mean Dice on the slices kept aside, None until measured.
        outcome: how it ended, None while it goes on.
        seconds_left: None while nobody knows.
        fraction: of the steps that are done, 0 to 1.
    """

    def __init__(
        self,
        lesson: Lesson,
        segments: Mapping[str, str],
        client: TeachClient,
        inference: InferenceClient,
        *,
        finished: Callable[[TeachingJob], None],
        use: Callable[[TeachingJob], None],
        go_back: Callable[[], None],
    ) -> None:
        """Start. ``finished`` is told the end, ``use`` uses the result, ``go_back`` undoes that.

        Raises:
            WorkerError: the worker cannot be started.
        """
        self.lesson, self.segments = lesson, segments
        self.curve: list[CurvePoint] = []
        self.before: float | None = None
        self.after: float | None = None
        self.outcome: Finished | Stopped | Failed | None = None
        self.seconds_left: float | None = None
        self.fraction = 0.0
        self.used = False
        self._client, self._inference = client, inference
        self._finished, self._use, self._go_back = finished, use, go_back
        self._device = ""
        self._home_device: str | None = None
        client.start(lesson)

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.outcome is None

    def poll(self) -> list[LessonEvent]:
        """What has happened; a result that was accepted is in use then. Never waits."""
        news = self._client.poll()
        for event in list(news):
            if isinstance(event, Failed) and self._make_room(event):
                news.remove(event)
            else:
                self._heed(event)
        return news

    def stop(self) -> None:
        """Ask it to stop: within 2 s it has ended. Teaching again with the same goes on."""
        self._client.stop()

    def close(self) -> None:
        """End it now, as when the program ends; its last state stays."""
        self._client.close()
        if self.outcome is None:
            self._heed(Stopped(len(self.curve), resumable=True))

    def wait(self, timeout_s: float | None = None) -> Finished | Stopped:
        """Poll until it has ended; how.

        Raises:
            InputError: the examples cannot be taught.
            TeachingError: the lesson failed.
            WorkerError: its process failed, or ``timeout_s`` passed.
        """
        while self.outcome is None:
            for event in self._client.wait(timeout_s):
                if not (isinstance(event, Failed) and self._make_room(event)):
                    self._heed(event)
        if isinstance(self.outcome, Failed):
            kinds = {"input": InputError, "teaching": TeachingError}
            raise kinds.get(self.outcome.kind, WorkerError)(self.outcome.message)
        return self.outcome

    def adopt(self) -> None:
        """Use the result whatever was measured.

        Raises:
            InputError: there is none; the annotation has ended.
        """
        if not isinstance(self.outcome, Finished):
            msg = "The lesson has no result to use. Wait until it has finished."
            raise InputError(msg)
        if not self.used:
            self._use(self)
            self.used = True

    def revert(self) -> None:
        """Have answer again what answered before.

        Raises:
            InputError: the annotation has ended.
        """
        if self.used:
            self._go_back()
            self.used = False

    def _heed(self, event: LessonEvent) -> None:
        if isinstance(event, Started):
            self._device = event.device
            # After a crash it goes on from the last state: what came after that is void.
            self.curve = [point for point in self.curve if point.step <= event.done]
            self.fraction = event.done / event.steps
            self._inference.pause_prefetch(paused=event.device == "cpu")
        elif isinstance(event, RoomWanted):
            self._give_way()
        elif isinstance(event, Prepared):
            self.seconds_left = None
        elif isinstance(event, Progress):
            self.curve.append(CurvePoint(event.step, event.loss, event.dice))
            self.fraction, self.seconds_left = event.step / event.steps, event.seconds_left
        elif isinstance(event, Validated):
            self.before = event.dice if event.moment == "before" else self.before
            self.after = event.dice if event.moment == "after" else self.after
        elif isinstance(event, Finished | Stopped | Failed):
            self._end(event)

    def _end(self, outcome: Finished | Stopped | Failed) -> None:
        self.outcome, self.seconds_left = outcome, None
        self._inference.pause_prefetch(paused=False)
        if self._home_device is not None:
            self._inference.use_device(self._home_device)
        if isinstance(outcome, Finished):
            shutil.rmtree(self.lesson.work, ignore_errors=True)
            self.fraction, self.before = 1.0, outcome.report.get("before", self.before)
            self._finished(self)

    def _make_room(self, failed: Failed) -> bool:
        """Where a card is too small for both, answer prompts on the CPU until the lesson's end."""
        full = failed.kind == "memory" and self._device.startswith("cuda")
        if not full or self._home_device is not None:
            return False
        self._give_way()
        self._client.start(self.lesson)
        return True

    def _give_way(self) -> None:
        """Answer prompts on the CPU until the lesson's end."""
        if self._home_device is None:
            self._home_device = self._inference.device
            self._inference.use_device("cpu")
