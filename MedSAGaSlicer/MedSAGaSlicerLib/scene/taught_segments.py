"""Which taught model answers for which segment: kept in the scene, beside the annotation."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from MedSAGaSlicerLib.engine.examples import Place
    from MedSAGaSlicerLib.scene.session import Session

_TAUGHT: Final = "taught/"
_ASIDE: Final = "heldOut"
_LESSON: Final = "lesson"
_LIBRARY: Final = "examples"
_LESSON_NAME: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Taught:
    """A taught model that answers for a segment.

    ``folder`` is the adapter's, ``segment`` the name by which it knows the segment, ``base`` the
    model it was taught from, ``depth`` the number of slices it looks at (``engine.neighbours``).
    """

    folder: str
    segment: str
    base: str
    depth: int = 1


def taught_of(session: Session, segment_id: str) -> Taught | None:
    """What was chosen for a segment, None for the model as it is."""
    fields = _json(session, _TAUGHT + segment_id)
    try:
        names = str(fields["folder"]), str(fields["segment"]), str(fields["base"])
        # Scenes of before do not tell.
        return Taught(*names, int(fields.get("depth", 1)))
    except (KeyError, TypeError, ValueError):
        return None


def choose_taught(session: Session, segment_id: str, taught: Taught | None) -> None:
    """Have a taught model, or with None the model as it is, answer for a segment."""
    if taught is None:
        session.node.UnsetParameter(_TAUGHT + segment_id)
    else:
        session.node.SetParameter(_TAUGHT + segment_id, json.dumps(asdict(taught)))


def answering(session: Session, segment_id: str) -> Taught | None:
    """The taught model that answers for a segment now, None for the model as it is.

    A taught model says nothing to prompts while another than its base is in use.
    """
    taught = taught_of(session, segment_id)
    return None if taught is None or session.model not in ("", taught.base) else taught


def decode_options(session: Session, segment_id: str) -> dict[str, Any]:
    """What to give to a client's ``decode`` besides, so that the right one answers."""
    taught = answering(session, segment_id)
    return {} if taught is None else {"taught": (taught.folder, taught.segment)}


def shown_depth(session: Session, segment_id: str) -> int:
    """How many slices who answers for a segment is to be shown."""
    taught = answering(session, segment_id)
    return 1 if taught is None else taught.depth


def slices_aside(session: Session) -> tuple[Place, ...]:
    """The slices that earlier lessons kept aside for measuring; they stay so."""
    places = _json(session, _ASIDE)
    try:
        return tuple((str(case), str(axis), int(index)) for case, axis, index in places)
    except (TypeError, ValueError):
        return ()


def keep_aside(session: Session, places: Iterable[Place]) -> None:
    """Add to the slices kept aside."""
    every = sorted({*slices_aside(session), *places})
    session.node.SetParameter(_ASIDE, json.dumps(every))


def lesson_folder(session: Session, lessons: Path, fresh: str) -> Path:
    """Where lessons of this annotation leave their state, to go on from it; ``fresh`` if none."""
    name = session.node.GetParameter(_LESSON) or ""
    # A scene is somebody's file: its text must not lead out of the folder.
    if not _LESSON_NAME.fullmatch(name):
        name = fresh
        session.node.SetParameter(_LESSON, name)
    return lessons / name


def library_entry(session: Session) -> str:
    """The name of this annotation's examples in the library, "" if there are none."""
    return str(session.node.GetParameter(_LIBRARY) or "")


def note_library_entry(session: Session, name: str) -> None:
    """Note the name of this annotation's examples in the library."""
    session.node.SetParameter(_LIBRARY, name)


def _json(session: Session, name: str) -> Any:
    try:
        return json.loads(session.node.GetParameter(name) or "null")
    except ValueError:
        return None
