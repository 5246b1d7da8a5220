"""Work on many slices that goes on while it is polled: asked of the worker, written as answered."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from MedSAGaSlicerLib.errors import InputError, MedSAGaError, WorkerError
from MedSAGaSlicerLib.scene.events import MaskWritten
from MedSAGaSlicerLib.scene.nearer import Nearer
from MedSAGaSlicerLib.scene.writing import AutomaticWriter
from MedSAGaSlicerLib.worker.events import Decoded, Failed

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.prompts import Prompts
    from MedSAGaSlicerLib.engine.regions.window import Window
    from MedSAGaSlicerLib.scene.annotation import Annotation
    from MedSAGaSlicerLib.scene.events import AnnotationEvent
    from MedSAGaSlicerLib.scene.prefetch import SliceKeys
    from MedSAGaSlicerLib.scene.session import WorkKey
    from MedSAGaSlicerLib.scene.slices import SlicePosition
    from MedSAGaSlicerLib.scene.watching import Watch
    from MedSAGaSlicerLib.worker.client import InferenceClient
    from MedSAGaSlicerLib.worker.events import Event

RUNNING: Final = "running"
DONE: Final = "done"
STOPPED: Final = "stopped"
FAILED: Final = "failed"


@dataclass(frozen=True)
class Workplace:
    """What a job works with.

    ``tick`` polls everything once and, given a request and a time, waits for that request;
    ``tell`` takes news for whoever polls the annotator; ``ended`` is told that a job has ended.
    """

    annotation: Annotation
    client: InferenceClient
    keys: SliceKeys
    watch: Watch
    tick: Callable[[int | None, float | None], None]
    tell: Callable[[AnnotationEvent], None]
    ended: Callable[[Job], None]


@dataclass(frozen=True)
class _Asked:
    """A question under way about these pixels; ``tag`` is the job's own name for it."""

    tag: Any
    position: SlicePosition
    ask: Callable[[Window], int]
    pixels_key: str
    window: Window
    near: Prompts | None


@dataclass
class _Progress:
    done: int = 0
    total: int = 0


class Job(ABC):
    """What a long action returns: poll it by a timer, or wait for it in a script.

    Subclasses ask by ``_ask`` from ``_step`` and from ``_answered``, write by ``_write``, count by
    ``_count``, and call ``_end`` when nothing is left. All that a job writes is one undo step; it
    leaves alone what is confirmed, slices with prompts, and what a person painted.

    Attributes:
        label: the undo step's name.
        state: "running", "done", "stopped" or "failed".
        error: what went wrong, None unless it failed.
        message: for people: how it stands, or how it ended.
    """

    def __init__(self, place: Workplace, label: str, total: int) -> None:
        """Ready to be stepped; ``label`` is the undo step's name, ``total`` the slices to do."""
        self.state = RUNNING
        self.error: MedSAGaError | None = None
        self.message = ""
        self._place = place
        self.label = label
        self._writer = AutomaticWriter(place.annotation, place.watch, label)
        self._asked: dict[int, _Asked] = {}
        self._count = _Progress(total=total)

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.state == RUNNING

    @property
    def progress(self) -> tuple[int, int]:
        """Slices done, and slices in all."""
        return self._count.done, self._count.total

    @property
    def requests(self) -> tuple[int, ...]:
        """The numbers of its questions under way, oldest first."""
        return tuple(self._asked)

    def poll(self) -> bool:
        """Let everything go on for a moment; whether the job has ended. Never waits."""
        if self.running:
            self._place.tick(None, None)
        return not self.running

    def wait(self, timeout_s: float | None = None) -> None:
        """Poll until it has ended.

        Raises:
            InputError: the volume or the segmentation cannot be used (any more).
            WorkerError: the worker failed, or ``timeout_s`` passed.
        """
        limit = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while self.running:
            left_s = limit - time.monotonic()
            if left_s <= 0:
                msg = f"{self.label} did not end within {timeout_s:g} s."
                raise WorkerError(msg)
            asked = next(iter(self._asked), None)
            self._place.tick(asked, None if timeout_s is None else left_s)
        if self.error is not None:
            raise self.error

    def stop(self, message: str = "Stopped; what was done is kept.") -> None:
        """End it; what has been written stays."""
        if self.running:
            self._end(STOPPED, message)

    def heed(self, event: Event) -> bool:
        """Take an answer to one of its questions; whether it was one."""
        if not isinstance(event, Decoded | Failed) or event.request not in self._asked:
            return False
        asked = self._asked.pop(event.request)
        if isinstance(event, Failed):
            self._failed(asked.tag, event)
            return True
        try:
            if asked.pixels_key == self._place.keys.key(asked.position):
                size = self._place.keys.size(asked.position)
                mask = asked.window.put_back(event.mask, size)
                self._answered(asked.tag, replace(event, mask=mask))
            else:
                # Voxels were edited while the model was busy: it looked at another image.
                self._put(asked.tag, asked.position, asked.ask, asked.near)
        except MedSAGaError as error:
            self._give_up(error)
        self._place.client.release(event.logits_id)
        return True

    def step(self) -> None:
        """Go on for some milliseconds; called at each poll of the annotator."""
        if self.running and self._writer.undone:
            self.stop("Stopped: it was undone.")
        elif self.running:
            try:
                self._step()
            except MedSAGaError as error:
                self._give_up(error)

    @abstractmethod
    def _step(self) -> None:
        """Ask what can be asked now, or do a part of what needs no model; ``_end`` at the end."""

    @abstractmethod
    def _answered(self, tag: Any, answer: Decoded) -> None:
        """Use an answer to the question of that tag."""

    def _failed(self, _tag: Any, failure: Failed) -> None:
        """A question could not be answered; by default the job fails."""
        self._give_up((InputError if failure.kind == "input" else WorkerError)(failure.message))

    def _ask(
        self,
        tag: Any,
        position: SlicePosition,
        prompts: Prompts,
        *,
        taught: tuple[str, str] | None = None,
        depth: int = 1,
        mask: NDArray[np.bool_] | None = None,
    ) -> int:
        """Ask the worker about a slice; ``_answered`` gets the answer with ``tag``.

        ``depth`` is how many slices ``taught`` looks at, ``mask`` (rows, columns) what is expected.
        """
        client, keys = self._place.client, self._place.keys
        options: dict[str, Any] = {} if taught is None else {"taught": taught}

        def ask(window: Window) -> int:
            if mask is not None:
                options["mask"] = window.cut(mask)
            key, inside = keys.key_of(position, window, depth), window.seen_from_within(prompts)
            pixels = partial(keys.pixels, position, window, depth)
            return client.decode(key, inside, pixels=pixels, **options)

        return self._put(tag, position, ask, prompts)

    def _put(
        self,
        tag: Any,
        position: SlicePosition,
        ask: Callable[[Window], int],
        near: Prompts | None = None,
    ) -> int:
        place = self._place
        if not place.client.running:
            place.client.start()
        key, window = place.keys.key(position), place.keys.window(position)
        if near is not None:
            window = Nearer(place.client, place.keys).for_prompts(position, near)
        request = ask(window)
        self._asked[request] = _Asked(tag, position, ask, key, window, near)
        return request

    def _write(self, key: WorkKey, mask: NDArray[np.bool_], score: float = 1.0) -> bool:
        """Put a mask on a segment's slice as ``AutomaticWriter`` does; whether that changed it."""
        changes = self._writer.write(key, mask)
        if changes:
            self._place.annotation.store()
            self._place.tell(MaskWritten(*key, score=score, milliseconds=0.0))
        return bool(changes)

    def _end(self, state: str, message: str) -> None:
        for request in self._asked:
            if self._place.client.running:
                self._place.client.cancel(request)
        self._asked.clear()
        self.state, self.message = state, message
        self._place.ended(self)

    def _give_up(self, error: MedSAGaError) -> None:
        self.error = error
        self._end(FAILED, str(error))


@dataclass
class Jobs:
    """The jobs of one annotator that go on."""

    running: list[Job] = field(default_factory=list)

    def add(self, job: Job) -> None:
        """Have a job stepped from now on."""
        self.running.append(job)

    def heed(self, event: Event) -> bool:
        """Give an answer to the job that asked; whether one did."""
        return any(job.heed(event) for job in self.running)

    def step(self) -> None:
        """Let the job whose turn it is go on for some milliseconds.

        One after the other: what two wrote by turns could not be undone one by one.
        """
        if self.running:
            self.running[0].step()
        self.running = [job for job in self.running if job.running]

    def stop(self, message: str) -> None:
        """Stop all jobs."""
        for job in self.running:
            job.stop(message)
        self.running.clear()
