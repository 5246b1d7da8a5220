"""The inside of the teaching worker: one lesson, told as it goes, and stopped in time."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from MedSAGaSlicerLib.engine.teaching.events import Event, Saved, Started, Stopped
from MedSAGaSlicerLib.worker.failures import failure_of
from MedSAGaSlicerLib.worker.lesson_events import pack_event
from MedSAGaSlicerLib.worker.loaded_model import function_of
from MedSAGaSlicerLib.worker.protocol import frame

STOP_S: Final = 1.5
"""How long a lesson may go on after it was asked to stop; the client waits a little longer."""


class Classroom:
    """Gives a lesson in a thread of its own, so that somebody listens all the while.

    ``send`` takes the bytes of a frame, ``end`` ends the process.
    """

    def __init__(self, send: Callable[[bytes], None], end: Callable[[int], None]) -> None:
        self._send, self._end = send, end
        self._stopping = threading.Event()
        self._lesson: threading.Thread | None = None
        self._saved: int | None = None

    def begin(self, order: dict[str, Any]) -> None:
        """Give the lesson that a "teach" frame asks for; the process ends with it."""
        if self._lesson is None:
            self._lesson = threading.Thread(target=self._give, args=(order,), daemon=True)
            self._lesson.start()

    def stop(self) -> None:
        """Have the lesson stop; what cannot be interrupted is left behind when time is up."""
        if not self._stopping.is_set():
            self._stopping.set()
            timer = threading.Timer(STOP_S, self._give_up)
            timer.daemon = True
            timer.start()

    def leave(self) -> None:
        """The other process is gone: keep what there is of the lesson, and end."""
        self._stopping.set()
        if self._lesson is not None:
            self._lesson.join(STOP_S)
        self._end(0)

    def _give(self, order: dict[str, Any]) -> None:
        failure = failure_of(partial(self._teach, order))
        if failure is not None:
            self._fail(*failure)
        self._end(0)

    def _teach(self, order: dict[str, Any]) -> None:
        try:
            for event in function_of(order["lesson"])(order, self._stopping.is_set):
                self._tell(event)
        except OSError as error:
            step = "" if self._saved is None else f" It goes on from step {self._saved}."
            text = f"The lesson's files cannot be read or written ({error}). Free some space or "
            self._fail("disk", f"{text}choose another folder, and teach again.{step}")

    def _tell(self, event: Event) -> None:
        if isinstance(event, Saved):
            self._saved = event.step
        elif isinstance(event, Started) and event.done:
            self._saved = event.done
        self._send(pack_event(event))

    def _fail(self, kind: str, message: str) -> None:
        self._send(frame("error", kind=kind, message=message))

    def _give_up(self) -> None:
        # An encode of seconds, most likely. The last state is on disk, as are all embeddings.
        self._send(pack_event(Stopped(self._saved or 0, resumable=self._saved is not None)))
        self._end(0)
