"""What an annotation makes of news: from the worker, and from what others did in the scene."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from MedSAGaSlicerLib.errors import InputError, MedSAGaError
from MedSAGaSlicerLib.scene.events import (
    ConfirmationLapsed,
    ConfirmationRestored,
    MaskWritten,
    Problem,
    PromptsChanged,
    SliceReady,
)
from MedSAGaSlicerLib.scene.segments import segment_ids
from MedSAGaSlicerLib.scene.slices import shown_slice
from MedSAGaSlicerLib.scene.volumes import grid_of
from MedSAGaSlicerLib.worker.events import Decoded, Encoded, Failed, Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from MedSAGaSlicerLib.scene.annotation import Annotation
    from MedSAGaSlicerLib.scene.asking import Asking
    from MedSAGaSlicerLib.scene.events import AnnotationEvent
    from MedSAGaSlicerLib.scene.history import PromptChange
    from MedSAGaSlicerLib.scene.prefetch import Prefetcher
    from MedSAGaSlicerLib.scene.session import WorkKey
    from MedSAGaSlicerLib.scene.slices import SlicePosition
    from MedSAGaSlicerLib.scene.watching import Watch
    from MedSAGaSlicerLib.worker.events import Event

# Comparing confirmed slices with what they were may take this long at a time; the rest waits.
_CHECKING_S: Final = 0.01


class Reactions:
    """Brings an annotation up to date, in steps short enough for a GUI's timer."""

    def __init__(
        self, annotation: Annotation, asking: Asking, prefetcher: Prefetcher, watch: Watch
    ) -> None:
        self._annotation = annotation
        self._asking = asking
        self._prefetcher = prefetcher
        self._watch = watch
        self._unchecked: list[SlicePosition] = []
        self.is_hindered = False
        self.orphans: list[PromptChange] = []

    def settle(self, keys: Iterable[WorkKey]) -> list[AnnotationEvent]:
        """Bring slices to what their prompts ask for, now or when the answers come.

        Raises:
            InputError: a slice cannot be read or written.
            WorkerError: the worker cannot be started.
        """
        news: list[AnnotationEvent] = []
        for key in keys:
            with self._watch.ours():
                if self._asking.settle(key):
                    news.append(MaskWritten(*key, score=1.0, milliseconds=0.0))
        self._annotation.store()
        return news

    def heed(self, events: Sequence[Event]) -> list[AnnotationEvent]:
        """Do what the worker's events call for, and say it in the annotation's own."""
        news: list[AnnotationEvent] = []
        for event in events:
            if isinstance(event, Decoded):
                news += self._heed_answer(event)
            elif isinstance(event, Encoded):
                for position in self._prefetcher.note(event):
                    news.append(SliceReady(position, event.milliseconds))
            elif isinstance(event, Failed):
                self._asking.give_up(event.request)
                news.append(Problem(event.message, event.kind))
            elif not isinstance(event, Found):
                news.append(event)
        return news

    def react(self) -> list[AnnotationEvent]:
        """See what others did to the volume, the segments, the prompts and the views.

        Raises:
            InputError: the volume or the segmentation cannot be read any more.
            WorkerError: the worker cannot be started.
        """
        watch, annotation = self._watch, self._annotation
        watch.edited = False
        news: list[AnnotationEvent] = []
        if watch.volume_moved or self.is_hindered:
            news += self._follow_volume()
        if self.is_hindered:
            return news
        self.forget_removed()
        if watch.markups_changed and not annotation.markups.is_dragging:
            watch.markups_changed = False
            changes = annotation.seen_changes()
            if changes:
                keys = annotation.change_prompts("Move prompts", changes, placed=True)
                news += [PromptsChanged(), *self.settle(keys)]
        if watch.segments_changed:
            watch.segments_changed = False
            positions = [position for position, _ in annotation.confirmations.items()]
            self._unchecked = list(dict.fromkeys([*self._unchecked, *positions]))
        return news + self._check_some()

    def look_around(self) -> None:
        """See where the views are, and embed what will be looked at next.

        Raises:
            InputError: the volume cannot be read any more.
        """
        views = self._watch.changed_views
        if self.is_hindered:
            return
        if views:
            grid = grid_of(self._annotation.volume)
            while views:
                try:
                    position = shown_slice(views.pop(), grid)
                except InputError:
                    # Oblique, or elsewhere: said when somebody clicks there.
                    continue
                self._prefetcher.visit(position)
        self._prefetcher.step()

    @property
    def is_checking(self) -> bool:
        """Whether ``react`` has confirmed slices left to compare."""
        return bool(self._unchecked) and not self.is_hindered

    def _heed_answer(self, answer: Decoded) -> list[AnnotationEvent]:
        try:
            with self._watch.ours():
                question = self._asking.take(answer)
            self._annotation.store()
        except MedSAGaError as error:
            return [Problem(str(error), "input")]
        if question is None:
            return []
        return [MaskWritten(*question.key, answer.score, answer.milliseconds)]

    def forget_removed(self) -> None:
        """Take out what belonged to segments that are gone."""
        removed, self._watch.removed_segments = self._watch.removed_segments, []
        present = segment_ids(self._annotation.segmentation)
        for segment_id in dict.fromkeys(removed):
            if segment_id not in present:
                self.orphans += self._annotation.remove_segment(segment_id)
                self._asking.call_off_segment(segment_id)

    def _follow_volume(self) -> list[AnnotationEvent]:
        """See whether volume and segmentation can be used where they are now.

        If not, that is raised once, and nothing of the annotation is touched until they can.
        """
        self._watch.volume_moved = False
        try:
            self._annotation.editing.check()
        except InputError:
            was_hindered, self.is_hindered = self.is_hindered, True
            if was_hindered:
                return []
            raise
        self._annotation.follow_volume()
        if not self.is_hindered:
            return []
        self.is_hindered = False
        return self.settle(self._asking.unasked)

    def _check_some(self) -> list[AnnotationEvent]:
        news: list[AnnotationEvent] = []
        until = time.perf_counter() + _CHECKING_S
        checked = 0
        # One at least, so that it comes to an end however slow the machine.
        while self._unchecked and (checked == 0 or time.perf_counter() < until):
            checked += 1
            position = self._unchecked.pop(0)
            lapsed = self._annotation.check_confirmation(position)
            if lapsed is not None:
                news.append(
                    ConfirmationLapsed(position) if lapsed else ConfirmationRestored(position)
                )
        return news
