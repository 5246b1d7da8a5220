"""Undo and redo of an annotation's actions, with care for what happened in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import slicer

from MedSAGaSlicerLib.scene.history import (
    ConfirmationChange,
    ContributionChange,
    PromptChange,
    SegmentAdded,
    SliceChange,
)
from MedSAGaSlicerLib.scene.segments import has_content, segment_ids, set_status, status_of
from MedSAGaSlicerLib.scene.slice_work import SliceWork

if TYPE_CHECKING:
    from MedSAGaSlicerLib.scene.annotation import Annotation
    from MedSAGaSlicerLib.scene.contributions import Contribution
    from MedSAGaSlicerLib.scene.history import Change, Entry
    from MedSAGaSlicerLib.scene.prompt_groups import Prompt
    from MedSAGaSlicerLib.scene.session import WorkKey

_NOT_STARTED: Final = slicer.vtkSlicerSegmentationsModuleLogic.NotStarted
_IN_PROGRESS: Final = slicer.vtkSlicerSegmentationsModuleLogic.InProgress


def undo(annotation: Annotation) -> tuple[str, set[WorkKey]] | None:
    """Take the last action back; its label and the slices concerned, None if there is none.

    Voxels go back only where they still hold what the action wrote. Actions of which nothing is
    left, because their segment is gone, are passed over.
    """
    history = annotation.history
    while history.done:
        entry = history.done.pop()
        history.undone.append(entry)
        # All of them, whatever the first ones say.
        effects = [_revert(annotation, change) for change in reversed(entry.changes)]
        if any(effects):
            _restore_work(annotation, entry, 0)
            return entry.label, _concerned(annotation, entry)
    return None


def redo(annotation: Annotation) -> tuple[str, set[WorkKey]] | None:
    """Do again what was undone last; see ``undo``."""
    history = annotation.history
    while history.undone:
        entry = history.undone.pop()
        history.done.append(entry)
        effects = [_repeat(annotation, change) for change in entry.changes]
        if any(effects):
            _restore_work(annotation, entry, 1)
            return entry.label, _concerned(annotation, entry)
    return None


def _revert(annotation: Annotation, change: Change) -> bool:
    if isinstance(change, SliceChange):
        return _write(annotation, change, back=True)
    if isinstance(change, PromptChange):
        return _exchange(annotation, change.after, change.before)
    if isinstance(change, ConfirmationChange):
        annotation.confirmations.put(change.position, change.before)
        return True
    if isinstance(change, ContributionChange):
        return _remember(annotation, change, change.before)
    if isinstance(change, SegmentAdded):
        node = annotation.segmentation
        if change.segment_id not in segment_ids(node) or has_content(node, change.segment_id):
            return False
        node.GetSegmentation().RemoveSegment(change.segment_id)
        return True
    return change.undo()


def _repeat(annotation: Annotation, change: Change) -> bool:
    if isinstance(change, SliceChange):
        return _write(annotation, change, back=False)
    if isinstance(change, PromptChange):
        return _exchange(annotation, change.before, change.after)
    if isinstance(change, ConfirmationChange):
        annotation.confirmations.put(change.position, change.after)
        return True
    if isinstance(change, ContributionChange):
        return _remember(annotation, change, change.after)
    if isinstance(change, SegmentAdded):
        node = annotation.segmentation
        if change.segment_id in segment_ids(node):
            return False
        node.GetSegmentation().AddEmptySegment(change.segment_id, change.name, change.color)
        return True
    return change.redo()


def _write(annotation: Annotation, change: SliceChange, *, back: bool) -> bool:
    if change.segment_id not in segment_ids(annotation.segmentation):
        return False
    annotation.remove_surface()
    current = annotation.read(change.key)
    mask = change.undone(current) if back else change.redone(current)
    annotation.editing.put(change.segment_id, change.position, mask)
    started = back and change.status_before == _NOT_STARTED
    if started and status_of(annotation.segmentation, change.segment_id) == _IN_PROGRESS:
        set_status(annotation.segmentation, change.segment_id, _NOT_STARTED)
    return True


def _remember(
    annotation: Annotation, change: ContributionChange, state: Contribution | None
) -> bool:
    if change.key[0] in segment_ids(annotation.segmentation):
        annotation.session.contributions.put(change.key, state)
    # Nothing that anybody sees.
    return False


def _exchange(annotation: Annotation, old: Prompt | None, new: Prompt | None) -> bool:
    if new is not None:
        if new.segment_id not in segment_ids(annotation.segmentation):
            return False
    elif old is None or old.number not in annotation.prompts:
        return False
    annotation.apply_prompt(old, new)
    return True


def _restore_work(annotation: Annotation, entry: Entry, which: int) -> None:
    for key, states in entry.work.items():
        state = states[which]
        if key[0] not in segment_ids(annotation.segmentation):
            continue
        if state is None:
            annotation.drop_work(key)
            continue
        # What differs from the state's own slice was done by others in between: it is theirs.
        state = state.absorbed(annotation.read(key))
        annotation.work.setdefault(key, SliceWork(state)).state = state


def _concerned(annotation: Annotation, entry: Entry) -> set[WorkKey]:
    keys = set(entry.work)
    for change in entry.changes:
        if isinstance(change, PromptChange):
            prompts = [p for p in (change.before, change.after) if p is not None]
            keys |= {(p.segment_id, p.position) for p in prompts}
        if isinstance(change, ConfirmationChange):
            # Prompts that were not answered because the slice was confirmed.
            keys |= {key for key in annotation.work if key[1] == change.position}
    return {key for key in keys if key[0] in segment_ids(annotation.segmentation)}
