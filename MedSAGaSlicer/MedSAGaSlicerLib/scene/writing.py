"""How jobs write into segments: never over what a person has said or done, and as one undo step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from MedSAGaSlicerLib.scene.contributions import Contribution
from MedSAGaSlicerLib.scene.history import ContributionChange, Entry
from MedSAGaSlicerLib.scene.segments import segment_ids

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.scene.annotation import Annotation
    from MedSAGaSlicerLib.scene.history import SliceChange
    from MedSAGaSlicerLib.scene.session import WorkKey
    from MedSAGaSlicerLib.scene.watching import Watch


class AutomaticWriter:
    """Writes a job's masks; all of them are one action, called ``label``, on the undo stack.

    Confirmed slices and slices with prompts are left alone. On others a mask replaces what jobs
    wrote there before: what a person painted stays, what a person erased stays away. The Segment
    Editor's masking and overwrite mode hold as for prompts.
    """

    def __init__(self, annotation: Annotation, watch: Watch, label: str) -> None:
        self._annotation = annotation
        self._watch = watch
        self._entry = Entry(label)
        self._pushed = False

    @property
    def undone(self) -> bool:
        """Whether somebody has taken the action back meanwhile: nothing may follow then."""
        done = self._annotation.history.done
        return self._pushed and not any(entry is self._entry for entry in done)

    def is_free(self, key: WorkKey) -> bool:
        """Whether a slice of a segment may be written: it is there, unconfirmed, unprompted."""
        annotation = self._annotation
        present = key[0] in segment_ids(annotation.segmentation)
        return present and key not in annotation.work and not annotation.is_confirmed(key)

    def has_written(self, key: WorkKey) -> bool:
        """Whether voxels that a job wrote are on a slice, an earlier job's too."""
        known = self._annotation.session.contributions.get(key)
        return known is not None and bool(known.ours.unpack().any())

    def write(self, key: WorkKey, mask: NDArray[np.bool_]) -> list[SliceChange]:
        """Put a mask (rows, columns) on a slice in place of what jobs wrote there; what changed.

        Raises:
            InputError: the volume, the segmentation or the segment cannot be used (any more).
        """
        annotation = self._annotation
        if self.undone or not self.is_free(key):
            return []
        segment_id, position = key
        known = annotation.session.contributions.get(key)
        before = annotation.read(key)
        state = known or Contribution.begin(before.shape)
        target = state.composed(before, mask)
        with self._watch.ours():
            annotation.remove_surface()
            changes = annotation.editing.write(
                segment_id, position, target, lambda other: annotation.shield(other, position)
            )
        after = annotation.read(key) if changes else before
        self._note(key, known, state.after(before, after))
        for change in changes:
            self._take_in(change, key)
        return changes

    def _take_in(self, change: SliceChange, writer: WorkKey) -> None:
        self._push()
        self._annotation.history.void_undone(change.key)
        self._entry.changes.append(change)
        self._annotation.cross(self._entry, change, writer)
        if change.segment_id != writer[0]:
            theirs = self._annotation.session.contributions.get(change.key)
            if theirs is not None:
                self._note(change.key, theirs, theirs.crossed(change.changed.unpack()))

    def _note(self, key: WorkKey, before: Contribution | None, after: Contribution) -> None:
        kept = None if after.is_empty else after
        if kept != before:
            self._push()
            self._annotation.session.contributions.put(key, kept)
            self._entry.changes.append(ContributionChange(key, before, kept))

    def _push(self) -> None:
        if not self._pushed:
            self._annotation.history.push(self._entry)
            self._pushed = True
