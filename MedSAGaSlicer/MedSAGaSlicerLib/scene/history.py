"""The one undo stack: what each action did to masks, prompts and confirmations, in slices."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from MedSAGaSlicerLib.scene.packed import PackedMask

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.scene.confirmations import Confirmation
    from MedSAGaSlicerLib.scene.contributions import Contribution
    from MedSAGaSlicerLib.scene.prompt_groups import Prompt
    from MedSAGaSlicerLib.scene.session import WorkKey
    from MedSAGaSlicerLib.scene.slice_work import WorkState
    from MedSAGaSlicerLib.scene.slices import SlicePosition

_MOST_BYTES: Final = 256 << 20

# Weighing hundreds of entries costs milliseconds, and one entry weighs next to nothing.
_PUSHES_PER_WEIGHING: Final = 64


@dataclass(frozen=True)
class SliceChange:
    """Voxels of one segment on one slice that an action set or cleared.

    ``status_before`` is the segment's status before it.
    """

    segment_id: str
    position: SlicePosition
    changed: PackedMask
    after: PackedMask
    status_before: int

    @classmethod
    def between(
        cls,
        segment_id: str,
        position: SlicePosition,
        changed: NDArray[np.bool_],
        after: NDArray[np.bool_],
        status_before: int,
    ) -> SliceChange:
        """Note a write by what it changed and what the slice was afterwards."""
        packed = PackedMask.of(changed), PackedMask.of(after & changed)
        return cls(segment_id, position, *packed, status_before)

    @property
    def key(self) -> WorkKey:
        """Segment and slice."""
        return self.segment_id, self.position

    def undone(self, current: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The slice without the action: only voxels that still hold its value go back."""
        changed, after = self.changed.unpack(), self.after.unpack()
        without: NDArray[np.bool_] = current ^ (changed & (current == after))
        return without

    def redone(self, current: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The slice with the action again, where nobody has changed it since."""
        changed, after = self.changed.unpack(), self.after.unpack()
        again: NDArray[np.bool_] = current ^ (changed & (current != after))
        return again


@dataclass(frozen=True)
class PromptChange:
    """A prompt that was placed (no ``before``), removed (no ``after``) or moved."""

    before: Prompt | None
    after: Prompt | None


@dataclass(frozen=True)
class ConfirmationChange:
    """A slice's confirmation that came, went or was renewed."""

    position: SlicePosition
    before: Confirmation | None
    after: Confirmation | None


@dataclass(frozen=True)
class ContributionChange:
    """What a job has written on a slice of a segment, as it was known before and after."""

    key: WorkKey
    before: Contribution | None
    after: Contribution | None


@dataclass(frozen=True)
class SegmentAdded:
    """A segment that an action made; undone only while it is empty."""

    segment_id: str
    name: str
    color: tuple[float, float, float]


@dataclass(frozen=True)
class OutsideEdit:
    """Something that another tool did and can undo; both return whether they could."""

    undo: Callable[[], bool]
    redo: Callable[[], bool]


Change = (
    SliceChange
    | PromptChange
    | ConfirmationChange
    | ContributionChange
    | SegmentAdded
    | OutsideEdit
)


@dataclass
class Entry:
    """One action of the person's: all of it is undone in one step.

    ``work`` has, for each segment and slice concerned, what was ours there before and after; None
    where there were no prompts.
    """

    label: str
    changes: list[Change] = field(default_factory=list)
    work: dict[WorkKey, tuple[WorkState | None, WorkState | None]] = field(default_factory=dict)

    def note_work(self, key: WorkKey, before: WorkState | None, after: WorkState | None) -> None:
        """Note what a further step of this action did to a slice's work."""
        first, _ = self.work.get(key, (before, None))
        self.work[key] = (first, after)

    @property
    def size_bytes(self) -> int:
        """About what the entry takes."""
        masks = [
            m for c in self.changes if isinstance(c, SliceChange) for m in (c.changed, c.after)
        ]
        noted = [c for c in self.changes if isinstance(c, ContributionChange)]
        for state in (s for c in noted for s in (c.before, c.after) if s is not None):
            masks += [state.ours, state.erased]
        for states in self.work.values():
            masks += [m for s in states if s is not None for m in (s.base, s.held, s.written)]
        return 500 + sum(len(mask.body) for mask in masks)


class History:
    """Done and undone actions. What undoing means is the annotation's business."""

    def __init__(self) -> None:
        self.done: list[Entry] = []
        self.undone: list[Entry] = []

    def push(self, entry: Entry) -> None:
        """Note a new action; what was undone before can no longer be redone."""
        self.done.append(entry)
        self.undone.clear()
        if len(self.done) % _PUSHES_PER_WEIGHING:
            return
        total = sum(e.size_bytes for e in self.done)
        while total > _MOST_BYTES and len(self.done) > 1:
            total -= self.done.pop(0).size_bytes

    @property
    def current(self) -> Entry:
        """The last done action, to which belongs whatever happens now.

        An answer that comes late belongs to it too, though it be to an earlier action's prompts:
        otherwise voxels would be undone in another order than they were written in.
        """
        return self.done[-1] if self.done else Entry("")

    def void_undone(self, key: WorkKey) -> None:
        """Let undone actions forget the voxels of a slice that has been written anew meanwhile.

        Redoing them brings their prompts back, and these are answered anew.
        """
        for entry in self.undone:
            entry.changes = [
                c for c in entry.changes if not (isinstance(c, SliceChange) and c.key == key)
            ]
            entry.work.pop(key, None)
