"""What is ours on a slice and what the person's: how prompts' answers become the segment's slice.

All masks here are bool (rows, columns) of the volume's slice. The segment itself stays the only
truth: what is kept here says which of its voxels came from prompts, so that later prompts replace
only those.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.packed import PackedMask
from MedSAGaSlicerLib.scene.volumes import voxel_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.regions.window import Window
    from MedSAGaSlicerLib.scene.prompt_groups import Group, Prompt
    from MedSAGaSlicerLib.scene.slices import SlicePosition

# Answers kept per slice, so that undo and redo need not ask again.
_MOST_ANSWERS: Final = 12


@dataclass(frozen=True)
class Answer:
    """A model's mask for a group, and the name of its logits in the worker.

    ``window`` is what of the slice the model was shown.
    """

    mask: PackedMask
    logits_id: int
    score: float
    window: Window | None = None


@dataclass(frozen=True)
class WorkState:
    """What is ours and what the person's on one slice of one segment.

    ``base`` is the slice as it was at the first prompt, with the person's later edits entered;
    ``held`` are the voxels so edited, which answers leave alone; ``written`` is what the slice was
    after our last write; ``shown`` are the groups whose answers that write contained.
    """

    base: PackedMask
    held: PackedMask
    written: PackedMask
    shown: frozenset[Group] = frozenset()

    @classmethod
    def begin(cls, current: NDArray[np.bool_]) -> WorkState:
        """Start on a slice that had no prompts so far."""
        packed = PackedMask.of(current)
        return cls(packed, PackedMask.of(np.zeros_like(current)), packed)

    def absorbed(self, current: NDArray[np.bool_]) -> WorkState:
        """Enter what somebody changed since our last write: it is the person's from now on."""
        packed = PackedMask.of(current)
        if packed == self.written:
            return self
        edited = current ^ self.written.unpack()
        base = np.where(edited, current, self.base.unpack())
        held = self.held.unpack() | edited
        return WorkState(PackedMask.of(base), PackedMask.of(held), packed, self.shown)

    def crossed(self, touched: NDArray[np.bool_], current: NDArray[np.bool_]) -> WorkState:
        """Enter what our write to another slice or segment changed here, where ``touched``.

        It is no answer to this slice's prompts, and no edit of the person's either.
        """
        base = np.where(touched, current, self.base.unpack())
        written = np.where(touched, current, self.written.unpack())
        return replace(self, base=PackedMask.of(base), written=PackedMask.of(written))

    def released(self, voxels: NDArray[np.bool_], *, adds: bool) -> WorkState:
        """Let answers have their way again where a newer prompt speaks against a person's edit.

        ``voxels`` are those that the prompt points at: if one was erased by hand (or painted, for a
        prompt that removes), then erased (painted) voxels are no longer held.
        """
        held, base = self.held.unpack(), self.base.unpack()
        against = held & (base != adds)
        if not np.any(against & voxels):
            return self
        return replace(self, held=PackedMask.of(held & ~against))

    def fits(self, shape_ijk: tuple[int, int, int], position: SlicePosition) -> bool:
        """Whether a volume of this shape has such a slice."""
        column, row = position.in_plane
        inside = position.index < shape_ijk[position.normal]
        return inside and self.base.shape == (shape_ijk[row], shape_ijk[column])

    def to_text(self) -> str:
        """For a node's parameter; which answers are shown is not kept over sessions."""
        return " ".join(mask.to_text() for mask in (self.base, self.held, self.written))

    @classmethod
    def from_text(cls, text: str) -> WorkState:
        """What ``to_text`` made.

        Raises:
            InputError: the text is damaged.
        """
        masks = [PackedMask.from_text(part) for part in text.split(" ")]
        if len(masks) != 3 or len({mask.shape for mask in masks}) != 1:
            msg = f"{text[:40]!r} does not describe a slice in work; the scene was edited."
            raise InputError(msg)
        return cls(masks[0], masks[1], masks[2])


@dataclass
class SliceWork:
    """One segment on one slice with prompts: its state, and the answers had for its groups."""

    state: WorkState
    answers: dict[Group, Answer] = field(default_factory=dict)

    def missing(self, groups: Iterable[Group]) -> list[Group]:
        """The groups that still need an answer."""
        return [group for group in groups if group not in self.answers]

    def compose(self, groups: Iterable[Group]) -> NDArray[np.bool_]:
        """The slice as the groups' answers want it; they must all be there.

        The base and everything added, less everything removed; what the person edited stays.
        """
        base = self.state.base.unpack()
        result, removed = base.copy(), np.zeros_like(base)
        for group in groups:
            answer = self.answers[group].mask.unpack()
            if group.adds:
                result |= answer
            else:
                removed |= answer
        result &= ~removed
        held = self.state.held.unpack()
        result[held] = base[held]
        return result

    def keep(self, group: Group, answer: Answer) -> list[Answer]:
        """Keep an answer, and return those that had to make room for it."""
        self.answers[group] = answer
        excess = len(self.answers) - _MOST_ANSWERS
        return [self.answers.pop(oldest) for oldest in list(self.answers)[: max(0, excess)]]

    def previous_for(self, group: Group) -> Answer | None:
        """The answer to refine: that to the fullest question that ``group`` adds points to."""
        refined = [known for known in self.answers if group.refines(known)]
        if not refined:
            return None
        fullest = max(refined, key=lambda known: len(known.prompts.points))
        return self.answers[fullest]


def pointed_at(prompt: Prompt, shape: Sequence[int]) -> NDArray[np.bool_]:
    """The voxels that a prompt says something about: the one under a point, those in a box."""
    voxels = np.zeros((shape[0], shape[1]), dtype=np.bool_)
    left, top = prompt.voxel
    # A box's last corner is its second half; a point is its own.
    right, bottom = (int(n) for n in voxel_of(prompt.coordinates[-2:]))
    voxels[max(0, top) : bottom + 1, max(0, left) : right + 1] = True
    return voxels
