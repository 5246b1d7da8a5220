"""The parent's end of the teaching worker: begin, poll, stop; never wait unless told to."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from MedSAGaSlicerLib.engine.teaching.events import (
    Finished,
    Prepared,
    Progress,
    Saved,
    Started,
    Stopped,
    Validated,
)
from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.worker.channel import Channel, Clock, ConnectionLostError
from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.events import Restarted
from MedSAGaSlicerLib.worker.launch import TEACHING, python_command, teaching_command
from MedSAGaSlicerLib.worker.lesson import Lesson
from MedSAGaSlicerLib.worker.lesson_events import Failed, LessonEvent, unpack_event
from MedSAGaSlicerLib.worker.link import LOOK_S
from MedSAGaSlicerLib.worker.protocol import Message, frame

STOP_LIMIT_S = 2.0
_RAM_BYTES = 256 << 20


class TeachClient:
    """Has a lesson given by a process of its own, without ever blocking the caller.

    A lesson ends with exactly one ``Finished``, ``Stopped`` or ``Failed``. A worker that crashes
    or is killed is started again and goes on from its last state; when that happens twice without
    a new state in between, the lesson fails. The same ``Lesson`` given to ``start`` later goes on
    likewise. All methods must be called from one thread.

        client = TeachClient()
        client.start(Lesson(examples, output, work, "starter"))
        (*_, end) = client.wait()
    """

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        device: str = "auto",
        threads: int | None = None,
        precision: str | None = None,
        cache_folder: str | None = None,
        disk_bytes: int = 8 << 30,
        predictor: str = "MedSAGaSlicerLib.engine.predictor:load_predictor",
        lesson: str = "MedSAGaSlicerLib.worker.lesson:give",
        start_limit_s: float = 120.0,
        silence_limit_s: float = 60.0,
        clock: Clock = time.monotonic,
    ) -> None:
        """Say how the worker shall be, as ``InferenceClient`` does; nothing is started yet.

        ``lesson`` is the "module:function" that gives a lesson.
        """
        self._make_channel: Callable[[], Channel] = partial(
            Channel,
            python_command(module=TEACHING) if command is None else list(command),
            environment=environment,
            start_limit_s=start_limit_s,
            silence_limit_s=silence_limit_s,
        )
        cache = {"folder": cache_folder, "ram_bytes": _RAM_BYTES, "disk_bytes": disk_bytes}
        self._settings: dict[str, Any] = {"device": device, "threads": threads, "cache": cache}
        self._settings |= {"predictor": predictor, "lesson": lesson, "precision": precision}
        self._clock = clock
        self._channel: Channel | None = None
        self._lesson: Lesson | None = None
        self._introduced = False
        self._may_restart = True
        self._stop_by: float | None = None
        self._saved: int | None = None
        self._doing = ""
        self._untold: list[LessonEvent] = []

    @classmethod
    def beside(cls, client: InferenceClient, **settings: Any) -> "TeachClient":
        """For lessons to the model that another client asks; they share Python and embeddings.

        ``settings`` are of the constructor and win over the other client's.
        """
        command = teaching_command(client.command)
        if command[0] == client.command[0]:
            shared = {"environment": client.environment, "device": client.device}
            # The embeddings of another precision would not be found.
            shared["precision"] = client.precision
            shared["cache_folder"] = client.cache_folder
        else:
            # Another machine's, or another environment's.
            shared = {}
        return cls(command, **{**shared, "disk_bytes": client.disk_bytes, **settings})

    @property
    def running(self) -> bool:
        """Whether a lesson is being given."""
        return self._channel is not None

    @property
    def process(self) -> int | None:
        """The number of the process that was started, None if there is none."""
        return None if self._channel is None else self._channel.process

    def start(self, lesson: Lesson) -> None:
        """Begin a lesson, or go on with it.

        Raises:
            WorkerError: another lesson is being given, or the command cannot be run.
        """
        if self._channel is not None:
            msg = "A lesson is being given. Stop it first, or wait for its end."
            raise WorkerError(msg)
        self._lesson = lesson
        self._may_restart, self._stop_by, self._saved = True, None, None
        self._open()

    def stop(self) -> None:
        """Ask the lesson to stop: ``Stopped``, or its end if that came first, within 2 s."""
        if self._channel is not None and self._stop_by is None:
            self._stop_by = self._clock() + STOP_LIMIT_S
            if self._introduced:
                self._channel.send(frame("stop"))

    def close(self, grace_s: float = STOP_LIMIT_S) -> None:
        """End the worker, which keeps its state if it can within ``grace_s``; nothing is told."""
        if self._channel is not None:
            self._channel.close(grace_s)
            self._channel = None

    def poll(self) -> list[LessonEvent]:
        """What has happened since the last call. Never blocks."""
        news, self._untold = self._untold, []
        if self._channel is None:
            return news
        try:
            for message in self._channel.poll(expecting=self._introduced):
                news += self._take(message)
                if not self.running:
                    return news
            self._introduce(self._channel)
        except ConnectionLostError as lost:
            return [*news, *self._recover(lost)]
        except WorkerError as error:
            return [*news, *self._recover(ConnectionLostError(str(error), restart=True))]
        if self._stop_by is not None and self._clock() >= self._stop_by:
            self._end(grace_s=0.0)
            news.append(self._stopped())
        return news

    def wait(self, timeout_s: float | None = None) -> list[LessonEvent]:
        """Poll until the lesson's end; all news, the last one being the end. For scripts.

        Raises:
            WorkerError: ``timeout_s`` passed; the lesson goes on, and its news come with ``poll``.
        """
        limit = math.inf if timeout_s is None else time.monotonic() + timeout_s
        news = self.poll()
        while self._channel is not None:
            if time.monotonic() >= limit:
                self._untold = news
                msg = f"The lesson did not end within {timeout_s:g} s; it is {self._doing}."
                raise WorkerError(msg)
            self._channel.wait(min(limit - time.monotonic(), LOOK_S))
            news += self.poll()
        return news

    def _open(self) -> None:
        self._introduced, self._doing = False, "starting"
        self._channel = self._make_channel()

    def _introduce(self, channel: Channel) -> None:
        if channel.greeting is None or self._introduced or self._lesson is None:
            return
        self._introduced = True
        channel.send(frame("teach", **self._lesson.fields(), **self._settings))
        if self._stop_by is not None:
            channel.send(frame("stop"))

    def _take(self, message: Message) -> list[LessonEvent]:
        if message.type == "error":
            kind, text = message.header["kind"], message.header["message"]
            _, stderr = self._end(grace_s=0.5)
            return [Failed(kind, text, self._saved, stderr)]
        event = unpack_event(message)
        if event is None:
            return []
        if isinstance(event, Started):
            self._doing = "looking at the examples"
            self._saved = event.done or None
        elif isinstance(event, Prepared):
            self._doing = f"encoding view {event.done} of {event.total}"
        elif isinstance(event, Validated):
            self._doing = "measuring"
        elif isinstance(event, Progress):
            self._doing = f"at step {event.step} of {event.steps}"
        elif isinstance(event, Saved):
            self._saved, self._may_restart = event.step, True
        elif isinstance(event, Finished | Stopped):
            # All it had to write is written; it ends by itself, or need not.
            self._end(grace_s=0.0)
        return [event]

    def _recover(self, lost: ConnectionLostError) -> list[LessonEvent]:
        status, stderr = self._end(grace_s=0.0)
        if self._stop_by is not None:
            return [self._stopped()]
        doing, problem = self._doing, str(lost)
        if lost.restart and self._may_restart:
            self._may_restart = False
            try:
                self._open()
            except WorkerError as error:
                problem = str(error)
            else:
                return [Restarted(doing, status, stderr)]
        text = f"{problem} It was {doing}."
        return [Failed("died", text, self._saved, stderr)]

    def _end(self, grace_s: float) -> tuple[int | None, str]:
        channel, self._channel = self._channel, None
        return (None, "") if channel is None else channel.close(grace_s)

    def _stopped(self) -> Stopped:
        return Stopped(self._saved or 0, resumable=self._saved is not None)
