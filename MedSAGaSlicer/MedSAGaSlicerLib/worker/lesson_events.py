"""How the news of a lesson travel, and what the other process adds to them."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from MedSAGaSlicerLib.engine.teaching.events import (
    Event,
    Finished,
    Planned,
    Prepared,
    Progress,
    RoomWanted,
    Saved,
    Started,
    SteppedDown,
    Stopped,
    Validated,
)
from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.worker.events import Restarted
from MedSAGaSlicerLib.worker.protocol import Message, frame


@dataclass(frozen=True)
class Failed:
    """The lesson ended without a result; the model is as it was.

    ``kind`` is for programs: "input", "checkpoint", "dependency", "memory", "disk", "teaching"
    (it diverged), "died", "internal". ``message`` is for people, ``stderr`` the tail of the
    worker's log. ``step`` is that of the last state on disk, from which the same lesson would go
    on; None if there is none.
    """

    kind: str
    message: str
    step: int | None
    stderr: str


LessonEvent = Event | Restarted | Failed
"""``Started`` comes again after ``Restarted``: what came after its ``done`` steps is void then."""

_TYPES: Final[dict[str, type[Event]]] = {
    kind.__name__.lower(): kind
    for kind in (
        Planned,
        RoomWanted,
        SteppedDown,
        Started,
        Prepared,
        Progress,
        Validated,
        Saved,
        Stopped,
        Finished,
    )
}


def pack_event(event: Event) -> bytes:
    """The frame that tells an event; a report may be long and goes behind the header."""
    values = {entry.name: getattr(event, entry.name) for entry in fields(event)}
    body = b""
    if isinstance(event, Finished):
        body = json.dumps(values.pop("report"), allow_nan=False).encode()
    plain = {n: str(value) if isinstance(value, Path) else value for n, value in values.items()}
    return frame(type(event).__name__.lower(), body, **plain)


def unpack_event(message: Message) -> Event | None:
    """The event that a frame tells, None if it tells none.

    Raises:
        WorkerError: the frame makes no sense.
    """
    kind = _TYPES.get(message.type)
    if kind is None:
        return None
    try:
        values = {e.name: message.header[e.name] for e in fields(kind) if e.name != "report"}
        if "path" in values:
            values["path"] = Path(values["path"])
        if "segments" in values:
            values["segments"] = tuple(values["segments"])
        if kind is Finished:
            values["report"] = json.loads(message.body)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"The teaching worker's {message.type!r} cannot be understood ({error!r})."
        raise WorkerError(msg) from error
    return kind(**values)
