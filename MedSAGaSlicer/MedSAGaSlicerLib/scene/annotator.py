"""Prompts in, masks in the segment: the use case, for a panel, a script or the Python console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene import undoing
from MedSAGaSlicerLib.scene.history import PromptChange, SegmentAdded
from MedSAGaSlicerLib.scene.outside_edits import entry_of
from MedSAGaSlicerLib.scene.placing import box_between, slice_of_both
from MedSAGaSlicerLib.scene.prompt_groups import Prompt
from MedSAGaSlicerLib.scene.segments import segment_id_of, segment_ids
from MedSAGaSlicerLib.scene.slices import SlicePosition, check_position, locate
from MedSAGaSlicerLib.scene.volume_jobs import VolumeJobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import ArrayLike

    from MedSAGaSlicerLib.engine.prompts import Point
    from MedSAGaSlicerLib.scene.annotation import Annotation
    from MedSAGaSlicerLib.scene.history import Change
    from MedSAGaSlicerLib.scene.session import WorkKey


class Annotator(VolumeJobs):
    """Annotates one volume in one segmentation, asking a worker for masks.

    Calls return at once; masks are written when their answers come, from ``poll``, which a panel
    calls by a timer, or from ``wait`` in a script. Segments are given by name or identifier; one
    that is not there is added. World points are RAS millimetres, ``axis`` is a slice's normal.

    ``client`` may be shared by annotators used one after the other; it is started when first
    needed and left running by ``close``. ``editor`` is the Segment Editor node whose masking and
    overwrite mode hold. Prompts, confirmed slices and choices are kept in the volume's scene, and
    an annotator of the same two nodes goes on from there.

    Raises:
        InputError: a node is not in a scene, or the volume cannot be annotated.
    """

    def point(self, segment: str, ras: ArrayLike, positive: bool = True, axis: str = "k") -> Prompt:
        """Place a point on the slice along ``axis`` that it lies in.

        A negative point tells what does not belong to the object; if there are only negative ones
        on the slice, what they point at is taken away from the segment.

        Raises:
            InputError: the point lies outside the volume; the annotation has ended.
        """
        position, place = locate(self._grid(), ras, axis)
        return self.point_on(segment, position, place, positive=positive)

    def box(
        self,
        segment: str,
        ras_a: ArrayLike,
        ras_b: ArrayLike,
        positive: bool = True,
        axis: str | None = None,
    ) -> Prompt:
        """Draw a box between two opposite corners on a common slice.

        Without ``axis`` it is the first of k, j, i along which the corners have one index. What is
        in a negative box is taken away from the segment.

        Raises:
            InputError: a corner lies outside the volume, or there is no common slice; the
                annotation has ended.
        """
        position, start, end = slice_of_both(self._grid(), ras_a, ras_b, axis)
        return self.box_on(segment, position, start, end, positive=positive)

    def point_on(
        self, segment: str, position: SlicePosition, place: Point, *, positive: bool = True
    ) -> Prompt:
        """Place a point at a (column, row) of a slice; see ``point``."""
        check_position(self._grid(), position)
        self._keys.check_shown(position, Prompts((place,), (positive,)))
        segment_id, added = self._segment(segment)
        number, label = self._annotation.markups.next_number(), "+" if positive else "-"
        prompt = Prompt(number, segment_id, position, positive, point=place, label=label)
        self._place("Point" if positive else "Negative point", prompt, added)
        return prompt

    def box_on(
        self,
        segment: str,
        position: SlicePosition,
        start: Point,
        end: Point,
        *,
        positive: bool = True,
    ) -> Prompt:
        """Draw a box between two (column, row) of a slice; see ``box``."""
        check_position(self._grid(), position)
        box = box_between(start, end)
        self._keys.check_shown(position, Prompts(box=box))
        segment_id, added = self._segment(segment)
        number = self._annotation.markups.next_number()
        prompt = Prompt(number, segment_id, position, positive, box=box)
        self._place("Box" if positive else "Negative box", prompt, added)
        return prompt

    def prompts(self, segment: str | None = None) -> tuple[Prompt, ...]:
        """The prompts in the volume, of one segment or of all, in the order of their numbers."""
        self._react()
        segment_id = None if segment is None else segment_id_of(self.segmentation, segment)
        found = self._annotation.prompts
        return tuple(
            found[n] for n in sorted(found) if segment is None or found[n].segment_id == segment_id
        )

    def remove_prompt(self, number: int) -> None:
        """Remove a prompt; the slice goes to what the others ask for.

        Raises:
            InputError: there is no such prompt; the annotation has ended.
        """
        self._react()
        prompt = self._annotation.prompts.get(number)
        if prompt is None:
            msg = f"There is no prompt {number}; it may have been removed already."
            raise InputError(msg)
        self._remove("Remove prompt", [prompt])

    def clear_slice(self, segment: str, axis: str, index: int) -> None:
        """Remove a segment's prompts on a slice, and with them what they did there."""
        self._react()
        key = (segment_id_of(self.segmentation, segment), SlicePosition(axis, index))
        prompts = self._annotation.prompts.values()
        self._remove("Clear slice", [p for p in prompts if (p.segment_id, p.position) == key])

    def confirm(self, axis: str, index: int) -> None:
        """Declare a slice right as it is, in all segments, empty ones too.

        It is not written by us any more, until the person prompts or edits it.

        Raises:
            InputError: there is no such slice, or no segment; the annotation has ended.
        """
        self._grid()
        position = SlicePosition(axis, index)
        self._annotation.confirm(position)
        for segment_id in segment_ids(self.segmentation):
            self._asking.call_off((segment_id, position))

    def unconfirm(self, axis: str, index: int) -> None:
        """Take a slice's confirmation back."""
        self._react()
        self._annotation.unconfirm(SlicePosition(axis, index))

    def confirmed(self, segment: str | None = None) -> tuple[SlicePosition, ...]:
        """The confirmed slices, of all segments or those confirmed with this one."""
        self._react()
        while self._reactions.is_checking:
            self._react()
        if segment is None:
            return self._annotation.confirmations.positions()
        segment_id = segment_id_of(self.segmentation, segment)
        return () if segment_id is None else self._annotation.confirmations.positions(segment_id)

    def undo(self) -> str | None:
        """Take the last action back, prompt, mask and confirmation together; its name.

        Voxels that somebody has changed since stay as they are. None if there is nothing to undo.
        """
        return self._step(undoing.undo)

    def redo(self) -> str | None:
        """Do again what was undone last; its name, None if there is nothing to redo."""
        return self._step(undoing.redo)

    def undo_names(self) -> tuple[str | None, str | None]:
        """The names of what undo and redo would do, None for nothing."""
        history = self._annotation.history
        done, undone = history.done[-1:], history.undone[-1:]
        return (done[0].label if done else None), (undone[0].label if undone else None)

    def record_edit(self, label: str, undo: Callable[[], bool], redo: Callable[[], bool]) -> bool:
        """Put what another tool just did to segments onto the undo stack, such as a brush stroke.

        ``undo`` and ``redo`` have that tool do it; both return whether it could. They are called at
        once, one after the other, to learn what the edit was. Do not poll between the moment at
        which the tool saved its state and this call: what is written then would be taken for the
        edit's. Nothing is recorded, and False returned, if nothing was edited since the last poll
        or the tool cannot undo it.
        """
        self._check_open()
        if not self._watch.edited or self._reactions.is_hindered:
            # The tool's undo would take back something else, or nobody knows what the edit was.
            return False
        self._watch.edited = False
        self._reactions.forget_removed()
        with self._watch.ours():
            entry = entry_of(self._annotation, label, undo, redo)
        if entry is None:
            return False
        entry.changes[:0], self._reactions.orphans = self._reactions.orphans, []
        self._annotation.history.push(entry)
        self._annotation.store()
        return True

    def show_surface(self) -> None:
        """Make the surfaces for 3-D that were taken away at the first mask; takes seconds."""
        self._react()
        self._annotation.restore_surface()

    @property
    def auto_predict(self) -> bool:
        """Whether the model is asked at every prompt; otherwise ``predict`` asks."""
        return not self._asking.waits

    @auto_predict.setter
    def auto_predict(self, at_once: bool) -> None:
        self._asking.waits = not at_once
        if at_once:
            self._news += self._reactions.settle(self._asking.unasked)

    @property
    def has_unasked_prompts(self) -> bool:
        """Whether ``predict`` would ask something."""
        return bool(self._asking.unasked)

    def predict(self) -> None:
        """Ask what the prompts mean that were placed while ``auto_predict`` was off.

        Raises:
            InputError: a slice cannot be read or written; the annotation has ended.
            WorkerError: the worker cannot be started.
        """
        self._react()
        self._ask_unasked()

    def set_prompts_visible(self, *, visible: bool) -> None:
        """Show or hide the prompts in the views."""
        self._react()
        self._annotation.markups.set_visible(visible=visible)

    @property
    def hovers_prompt(self) -> bool:
        """Whether the mouse is over a prompt that a press would take hold of."""
        return self._closed is None and self._annotation.markups.is_hovered

    def _segment(self, segment: str) -> tuple[str, list[Change]]:
        found = segment_id_of(self.segmentation, segment)
        if found is not None:
            return found, []
        core = self.segmentation.GetSegmentation()
        added = core.AddEmptySegment("", segment)
        return added, [SegmentAdded(added, segment, tuple(core.GetSegment(added).GetColor()))]

    def _place(self, label: str, prompt: Prompt, first: Sequence[Change]) -> None:
        with self._watch.ours():
            keys = self._annotation.change_prompts(label, [PromptChange(None, prompt)], first=first)
        self._news += self._reactions.settle(keys)

    def _remove(self, label: str, prompts: Iterable[Prompt]) -> None:
        changes = [PromptChange(prompt, None) for prompt in prompts]
        if changes:
            self._annotation.editing.check()
            with self._watch.ours():
                keys = self._annotation.change_prompts(label, changes)
            self._news += self._reactions.settle(keys)

    def _step(self, step: Callable[[Annotation], tuple[str, set[WorkKey]] | None]) -> str | None:
        self._grid()
        with self._watch.ours():
            done = step(self._annotation)
        # It may have brought back what was confirmed, or taken it away.
        self._watch.segments_changed = True
        if done is None:
            return None
        label, keys = done
        self._news += self._reactions.settle(sorted(keys))
        return label
