"""The state of one annotation: prompts, what is ours on which slice, confirmations, undo.

Everything here is done at once and without a model: ``Annotator`` brings the answers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.confirmations import Confirmation
from MedSAGaSlicerLib.scene.editing import Editing
from MedSAGaSlicerLib.scene.history import ConfirmationChange, Entry, History, PromptChange
from MedSAGaSlicerLib.scene.packed import PackedMask
from MedSAGaSlicerLib.scene.prompt_groups import groups_of
from MedSAGaSlicerLib.scene.prompts import PromptStore
from MedSAGaSlicerLib.scene.segments import make_surface, read_slice, remove_surface, segment_ids
from MedSAGaSlicerLib.scene.session import Session
from MedSAGaSlicerLib.scene.slice_work import Answer, SliceWork, WorkState, pointed_at
from MedSAGaSlicerLib.scene.slices import check_position, meeting
from MedSAGaSlicerLib.scene.volumes import Grid, grid_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import slicer
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.scene.history import Change, SliceChange
    from MedSAGaSlicerLib.scene.prompt_groups import Group, Prompt
    from MedSAGaSlicerLib.scene.session import WorkKey
    from MedSAGaSlicerLib.scene.slices import SlicePosition


class Annotation:
    """One volume, one segmentation, and what was said and done about them.

    ``work`` has the slices with prompts, by segment and slice; ``prompts`` the prompts by number.
    ``discard`` is told the logits of answers that are no longer wanted; ``markups_changed`` is
    called when somebody touches the prompts' markups.
    """

    def __init__(
        self,
        volume: slicer.vtkMRMLVolumeNode,
        segmentation: slicer.vtkMRMLSegmentationNode,
        editor: slicer.vtkMRMLSegmentEditorNode | None,
        *,
        discard: Callable[[int], None],
        markups_changed: Callable[..., None],
    ) -> None:
        grid = grid_of(volume)
        self.volume, self.segmentation = volume, segmentation
        self.session = Session.of(volume, segmentation)
        self.editing = Editing(volume, segmentation, editor)
        self.history = History()
        self.confirmations = self.session.confirmations(grid.shape_ijk)
        self.markups = PromptStore(self.session, segmentation, markups_changed)
        self.work = {
            key: SliceWork(state)
            for key, state in self.session.stored_work().items()
            if key[0] in segment_ids(segmentation) and state.fits(grid.shape_ijk, key[1])
        }
        self._discard = discard
        self._follow(grid)
        self.prompts = self.markups.read(grid)
        # Prompts that came with the scene were answered before it was saved.
        for key, work in self.work.items():
            work.state = replace(work.state, shown=frozenset(self.groups(key)))

    def read(self, key: WorkKey) -> NDArray[np.bool_]:
        """The segment's slice as it is."""
        return read_slice(self.segmentation, key[0], grid_of(self.volume), key[1])

    def groups(self, key: WorkKey) -> tuple[Group, ...]:
        """What the prompts of a segment on a slice ask for."""
        return groups_of(
            prompt
            for prompt in self.prompts.values()
            if (prompt.segment_id, prompt.position) == key
        )

    def is_confirmed(self, key: WorkKey) -> bool:
        """Whether a segment's slice is confirmed and as it was then."""
        return key[1] in self.confirmations.positions(key[0])

    def change_prompts(
        self,
        label: str,
        changes: Sequence[PromptChange],
        *,
        first: Sequence[Change] = (),
        placed: bool = False,
    ) -> list[WorkKey]:
        """Place, move or remove prompts as one action; the segments and slices concerned.

        The action began with ``first``, which has been done. With ``placed`` the markups are
        already as the changes say. The slices are written by ``finish`` once they have all their
        answers.
        """
        entry = Entry(label, list(first))
        prompts = [p for change in changes for p in (change.before, change.after) if p is not None]
        keys = list(dict.fromkeys((p.segment_id, p.position) for p in prompts))
        for key in keys:
            self._open(entry, key)
        for change in changes:
            entry.changes.append(change)
            self.apply_prompt(change.before, change.after, placed=placed)
            if change.after is not None:
                work = self.work[change.after.segment_id, change.after.position]
                voxels = pointed_at(change.after, work.state.base.shape)
                work.state = work.state.released(voxels, adds=change.after.positive)
        self.history.push(entry)
        return keys

    def apply_prompt(
        self, before: Prompt | None, after: Prompt | None, *, placed: bool = False
    ) -> None:
        """Bring one prompt from one state to the other, in the scene too unless ``placed``."""
        if before is not None:
            self.prompts.pop(before.number, None)
        if after is not None:
            self.prompts[after.number] = after
        if placed:
            return
        if after is not None:
            self.markups.put(after, grid_of(self.volume))
        elif before is not None:
            self.markups.remove(before.number)

    def seen_changes(self) -> list[PromptChange]:
        """How the markups differ from the prompts known, as somebody else has left them."""
        seen = self.markups.read(grid_of(self.volume))
        numbers = sorted({*seen, *self.prompts})
        changes = [PromptChange(self.prompts.get(n), seen.get(n)) for n in numbers]
        for change in changes:
            if change.before is not None and change.after is not None:
                # A new label asks nothing new.
                self.prompts[change.after.number] = replace(change.before, label=change.after.label)
        return [
            c for c in changes if c.before is None or c.after is None or c.after.differs(c.before)
        ]

    def finish(self, key: WorkKey) -> list[SliceChange]:
        """Write a slice whose groups all have their answers; what that changed.

        It belongs to the last action. Without prompts the slice goes back to what it would be
        without them, and is no longer in work.
        """
        segment_id, position = key
        work, groups = self.work[key], self.groups(key)
        entry = self.history.current
        work.state = before = work.state.absorbed(self.read(key))
        self.remove_surface()
        changes = self.editing.write(
            segment_id, position, work.compose(groups), lambda other: self.shield(other, position)
        )
        self.history.void_undone(key)
        for change in changes:
            entry.changes.append(change)
            self.cross(entry, change, key)
        written = PackedMask.of(self.read(key))
        work.state = replace(before, written=written, shown=frozenset(groups))
        entry.note_work(key, before, work.state if groups else None)
        if not groups:
            self.drop_work(key)
        return changes

    def keep_answer(self, key: WorkKey, group: Group, answer: Answer) -> None:
        """Keep what a model answered to a group of a slice in work."""
        for old in self.work[key].keep(group, answer):
            self._discard(old.logits_id)

    def forget_answers(self) -> None:
        """Drop all answers, as when another model is used or voxels have changed."""
        for work in self.work.values():
            for answer in work.answers.values():
                self._discard(answer.logits_id)
            work.answers.clear()

    def drop_work(self, key: WorkKey) -> None:
        """No longer have a slice in work."""
        work = self.work.pop(key, None)
        for answer in work.answers.values() if work is not None else ():
            self._discard(answer.logits_id)

    def confirm(self, position: SlicePosition) -> None:
        """Declare a slice of all segments right, empty ones too.

        Raises:
            InputError: there is no such slice, or no segment.
        """
        check_position(grid_of(self.volume), position)
        if not segment_ids(self.segmentation):
            msg = "There is no segment to confirm. Add one first."
            raise InputError(msg)
        confirmation = Confirmation.of(self.masks(position))
        self._confirm(f"Confirm slice {position.axis} {position.index}", position, confirmation)
        self.restore_surface()

    def unconfirm(self, position: SlicePosition) -> None:
        """Take a confirmation back."""
        if self.confirmations[position] is not None:
            self._confirm(f"Unconfirm slice {position.axis} {position.index}", position, None)

    def masks(
        self, position: SlicePosition, ids: Iterable[str] | None = None
    ) -> dict[str, NDArray[np.bool_]]:
        """The slice of each segment, or of those of ``ids`` that are there."""
        present = segment_ids(self.segmentation)
        wanted = present if ids is None else [i for i in ids if i in present]
        return {segment_id: self.read((segment_id, position)) for segment_id in wanted}

    def check_confirmation(self, position: SlicePosition) -> bool | None:
        """Compare a slice with what was confirmed; see ``Confirmations.check``."""
        confirmation = self.confirmations[position]
        ids = () if confirmation is None else confirmation.segment_ids
        return self.confirmations.check(position, self.masks(position, ids))

    def follow_volume(self) -> None:
        """Keep the prompts on their voxels when the volume was moved in the world."""
        if self._follow(grid_of(self.volume)):
            self.prompts = self.markups.read(grid_of(self.volume))

    def remove_segment(self, segment_id: str) -> list[PromptChange]:
        """Forget a segment that is gone: its prompts and its work; the prompts removed."""
        for key in [key for key in self.work if key[0] == segment_id]:
            self.drop_work(key)
        gone = [p for p in self.prompts.values() if p.segment_id == segment_id]
        for prompt in gone:
            del self.prompts[prompt.number]
        self.markups.remove_of_segment(segment_id)
        self.session.contributions.drop_segment(segment_id)
        return [PromptChange(prompt, None) for prompt in gone]

    def remove_surface(self) -> None:
        """Take surfaces away before a write, which would make them anew each time."""
        if remove_surface(self.segmentation):
            self.session.had_surface = True

    def restore_surface(self) -> None:
        """Make the surfaces for 3-D again if there were any before we wrote."""
        if self.session.had_surface:
            self.session.had_surface = False
            make_surface(self.segmentation)

    def store(self) -> None:
        """Leave in the scene what is needed to go on from it; cheap if nothing has changed.

        To be called after each action: nothing tells reliably when a scene is about to be saved.
        """
        self.session.store_work({key: work.state for key, work in self.work.items()})

    def _open(self, entry: Entry, key: WorkKey) -> None:
        """Have a slice in work, with what the person did to it entered, and unconfirmed."""
        current, work = self.read(key), self.work.get(key)
        before = None if work is None else work.state.absorbed(current)
        self.work[key] = SliceWork(WorkState.begin(current)) if work is None else work
        if before is not None:
            self.work[key].state = before
        entry.note_work(key, before, self.work[key].state)
        confirmation = self.confirmations[key[1]]
        if confirmation is not None and key[0] in confirmation.segment_ids:
            entry.changes.append(ConfirmationChange(key[1], confirmation, None))
            self.confirmations.put(key[1], None)

    def _confirm(
        self, label: str, position: SlicePosition, confirmation: Confirmation | None
    ) -> None:
        before = self.confirmations[position]
        self.history.push(Entry(label, [ConfirmationChange(position, before, confirmation)]))
        self.confirmations.put(position, confirmation)

    def shield(self, segment_id: str, position: SlicePosition) -> NDArray[np.bool_]:
        """Which voxels (rows, columns) of a slice lie on confirmed slices of other axes."""
        return self.confirmations.protected(grid_of(self.volume), segment_id, position)

    def cross(self, entry: Entry, change: SliceChange, writer: WorkKey) -> None:
        """Tell the other slices in work what a write changed where they meet it."""
        changed = change.changed.unpack()
        for key, work in self.work.items():
            if key[0] != change.segment_id or key == writer:
                continue
            touched = meeting(changed, change.position, key[1], work.state.base.shape)
            if touched is not None and touched.any():
                before, work.state = work.state, work.state.crossed(touched, self.read(key))
                entry.note_work(key, before, work.state)

    def _follow(self, grid: Grid) -> bool:
        old = self.session.placed_on
        moved = old is not None and Grid(grid.shape_ijk, old).distance_to(grid) > 1e-3
        if moved and old is not None:
            for prompt in self.markups.read(Grid(grid.shape_ijk, old)).values():
                self.markups.put(prompt, grid)
        if moved or old is None:
            self.session.store_grid(grid)
        return moved
