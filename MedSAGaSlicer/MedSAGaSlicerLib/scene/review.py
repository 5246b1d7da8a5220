"""What is known of how sure the slices of an annotation are, and which to correct next."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from MedSAGaSlicerLib.engine.geometry import AXES
from MedSAGaSlicerLib.engine.review import Reviewed, Suggestion, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.finishing.finisher import Opinion
    from MedSAGaSlicerLib.scene.confirmations import Confirmations
    from MedSAGaSlicerLib.scene.session import Session

_PREFIX: Final = "review/"
_MOST: Final = 10


@dataclass
class _Notes:
    """Of one segment, along one axis, by slice.

    ``doubts`` are what a taught model's look said, ``passes`` what a propagation did.
    """

    axis: str
    doubts: dict[int, float] = field(default_factory=dict)
    passes: dict[int, float] = field(default_factory=dict)
    pooled: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    def reviewed(self) -> list[Reviewed]:
        """Every slice that anything is known of."""
        found = []
        for index in sorted({*self.doubts, *self.passes}):
            known = [part[index] for part in (self.doubts, self.passes) if index in part]
            found.append(Reviewed(index, sum(known) / len(known), self.pooled.get(index)))
        return found


class Review:
    """Keeps the opinions of the last look at each segment; the numbers are saved with the scene."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._of: dict[str, _Notes] = dict(_read(session))
        self._version = 0
        self._made: dict[str, tuple[Any, tuple[Suggestion, ...]]] = {}

    def note(self, segment_ids: Sequence[str], axis: str, opinions: Iterable[Opinion]) -> None:
        """Keep what a look at a volume's slices said, in place of what earlier ones did."""
        opinions = list(opinions)
        for at, segment_id in enumerate(segment_ids):
            notes = self._fresh(segment_id, axis)
            notes.doubts = {
                one.index: doubts.uncertainty
                for one in opinions
                if (doubts := one.doubts[at]) is not None
            }
            notes.pooled = {one.index: one.pooled for one in opinions if one.pooled.size}
            self._store(segment_id)

    def note_passes(self, segment_id: str, axis: str, disagreements: Mapping[int, float]) -> None:
        """Keep how doubtful a propagation's masks are, 0 to 1, in place of an earlier one's.

        That is how far they are from what the slices on either side let expect.
        """
        notes = self._fresh(segment_id, axis)
        notes.passes = dict(disagreements)
        self._store(segment_id)

    def forget(self, segment_ids: Iterable[str]) -> list[str]:
        """Drop what is known of segments, as when another model answers; those there was any of."""
        known = [segment_id for segment_id in segment_ids if segment_id in self._of]
        for segment_id in known:
            del self._of[segment_id]
            self._store(segment_id)
        return known

    def suggestions(self, segment_id: str, confirmations: Confirmations) -> tuple[Suggestion, ...]:
        """The slices to correct next, the most useful first; costs nothing while nothing is new."""
        notes = self._of.get(segment_id)
        if notes is None:
            return ()
        positions = confirmations.positions(segment_id)
        confirmed = {position.index for position in positions if position.axis == notes.axis}
        state = self._version, frozenset(confirmed)
        made = self._made.get(segment_id)
        if made is None or made[0] != state:
            slices = notes.reviewed()
            known = [one for one in slices if one.index in confirmed]
            known += [
                Reviewed(index, 0.0, notes.pooled.get(index))
                for index in sorted(confirmed - {one.index for one in slices})
            ]
            open_ones = [one for one in slices if one.index not in confirmed]
            chosen = suggest(open_ones, known, _MOST)
            found = tuple(Suggestion(notes.axis, one.index, one.uncertainty) for one in chosen)
            self._made[segment_id] = made = state, found
        return made[1]

    def _fresh(self, segment_id: str, axis: str) -> _Notes:
        notes = self._of.get(segment_id)
        if notes is None or notes.axis != axis:
            self._of[segment_id] = notes = _Notes(axis)
        return notes

    def _store(self, segment_id: str) -> None:
        self._version += 1
        node, notes = self._session.node, self._of.get(segment_id)
        if notes is None:
            node.UnsetParameter(_PREFIX + segment_id)
            return
        slices = [[one.index, round(one.uncertainty, 4)] for one in notes.reviewed()]
        text = json.dumps({"axis": notes.axis, "slices": slices})
        node.SetParameter(_PREFIX + segment_id, text)


def _read(session: Session) -> Iterable[tuple[str, _Notes]]:
    for name in session.node.GetParameterNames():
        if not name.startswith(_PREFIX):
            continue
        try:
            fields = json.loads(session.node.GetParameter(name))
            notes = _Notes(str(fields["axis"]))
            notes.doubts = {int(index): float(doubt) for index, doubt in fields["slices"]}
        except (ValueError, KeyError, TypeError):
            # Somebody edited the scene's file: the next look renews it.
            continue
        if notes.axis in AXES:
            yield name.removeprefix(_PREFIX), notes
