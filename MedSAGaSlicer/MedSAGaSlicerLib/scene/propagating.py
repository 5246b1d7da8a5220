"""Propagating in a scene: a segment's confirmed and prompted slices carried through the volume."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from MedSAGaSlicerLib.engine.geometry import check_axis
from MedSAGaSlicerLib.engine.propagation.course import Course
from MedSAGaSlicerLib.engine.propagation.names import TRACKED
from MedSAGaSlicerLib.engine.propagation.strategies import axis_of, guide_for, spacing_across
from MedSAGaSlicerLib.engine.regions.window import Window
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.jobs import DONE, Job
from MedSAGaSlicerLib.scene.segments import segment_id_of, segment_ids
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.taught_segments import decode_options, shown_depth
from MedSAGaSlicerLib.scene.teaching_loop import TeachingLoop
from MedSAGaSlicerLib.scene.volumes import grid_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from MedSAGaSlicerLib.scene.annotation import Annotation
    from MedSAGaSlicerLib.scene.jobs import Workplace
    from MedSAGaSlicerLib.worker.events import Decoded

# What a step may take, so that a panel stays smooth.
_STEP_S: Final = 0.02

# Slices embedded while others are decoded.
_AHEAD: Final = 4


class PropagateJob(Job):
    """Carries one segment along an axis, slice by slice, as the answers come.

    ``doubts`` tells of each slice, 0 to 1, what the model's score lacks of 1, and how far its
    answer is from what the known slices, on both sides where there are such, let expect.
    """

    def __init__(
        self,
        place: Workplace,
        segment_id: str,
        axis: str | None,
        direction: str,
        strategy: str,
        is_asking: Callable[[], bool],
    ) -> None:
        """Begin as soon as nothing ``is_asking`` about the segment any more.

        Raises:
            InputError: there is nothing to go on from, or a name is unknown.
        """
        super().__init__(place, "Propagate", 0)
        self.segment_id, self.axis = segment_id, axis or ""
        self._direction, self._strategy = direction, strategy
        self._is_asking = is_asking
        self._course: Course | None = None
        self._answers: dict[int, list[Decoded | None]] = {}
        self._ahead: tuple[int, ...] = ()
        self.doubts: dict[int, float] = {}
        self._cleared = 0
        check_places(place.annotation, segment_id, axis)
        if not is_asking():
            # Not kept: what is known may be another when its turn comes.
            self._begin()

    @property
    def progress(self) -> tuple[int, int]:
        """Slices settled, and slices in all; those beyond the object's ends count as settled."""
        return (0, 0) if self._course is None else self._course.progress

    def _begin(self) -> Course:
        annotation = self._place.annotation
        places = known_places(annotation, self.segment_id)
        self.axis = self.axis or axis_of((place.axis, place.index) for place in places)
        anchors = {
            place.index: annotation.read((self.segment_id, place))
            for place in places
            if place.axis == self.axis
        }
        geometry = grid_of(annotation.volume).geometry
        region = self._place.keys.region
        count = geometry.shape_ijk["ijk".index(self.axis)]
        inside = [index for index in range(count) if region.has_slice(self.axis, index)]
        return Course(
            anchors,
            range(inside[0], inside[-1] + 1),
            guide_for(self._strategy, spacing_across(geometry.spacing_mm, self.axis)),
            self._look,
            direction=self._direction,
        )

    def _look(self, index: int) -> NDArray[np.uint8]:
        position = self._position(index)
        keys = self._place.keys
        return keys.pixels(position, Window.whole(keys.size(position)))

    def _step(self) -> None:
        if self.segment_id not in segment_ids(self._place.annotation.segmentation):
            self.stop("Stopped: the segment was removed.")
            return
        if self._course is None:
            if self._is_asking():
                return
            self._course = self._begin()
        course, until = self._course, time.perf_counter() + _STEP_S
        while course.wanted and time.perf_counter() < until:
            self._put_question(course, course.wanted[0])
        self._clear(course, until)
        if course.ended and self._cleared == len(course.passed):
            done = f"Propagated over {course.progress[0] - len(course.passed)} slices."
            self._end(DONE, done)
        else:
            self._look_ahead(course)

    def _put_question(self, course: Course, index: int) -> None:
        question = course.question(index)
        if not question.parts:
            self._keep_found(course, index, [])
            return
        self._answers[index] = [None] * len(question.parts)
        session, position = self._place.annotation.session, self._position(index)
        options = decode_options(session, self.segment_id)
        options["depth"] = shown_depth(session, self.segment_id)
        for number, part in enumerate(question.parts):
            self._ask((index, number), position, part.prompts, mask=part.mask, **options)

    def _answered(self, tag: Any, answer: Decoded) -> None:
        index, number = tag
        answers = self._answers[index]
        answers[number] = answer
        given = [one for one in answers if one is not None]
        if len(given) == len(answers) and self._course is not None:
            del self._answers[index]
            self._keep_found(self._course, index, given)

    def _keep_found(self, course: Course, index: int, answers: list[Decoded]) -> None:
        for found in course.take(index, answers):
            lacks = 1.0 - min(1.0, found.score), 1.0 - found.agreement
            self.doubts[found.index] = sum(lacks) / len(lacks)
            self._write((self.segment_id, self._position(found.index)), found.mask, found.score)

    def _clear(self, course: Course, until: float) -> None:
        """Take back what an earlier run wrote where this one found nothing."""
        while self._cleared < len(course.passed) and time.perf_counter() < until:
            key = (self.segment_id, self._position(course.passed[self._cleared]))
            self._cleared += 1
            if self._writer.has_written(key):
                nothing = np.zeros(self._place.keys.size(key[1]), np.bool_)
                self._write(key, nothing, 1.0)

    def _look_ahead(self, course: Course) -> None:
        ahead = course.ahead(_AHEAD)
        if ahead == self._ahead or not self._place.client.running:
            return
        self._ahead, keys = ahead, self._place.keys
        positions = [self._position(index) for index in ahead]
        self._place.client.prefetch([(keys.key(p), partial(keys.pixels, p)) for p in positions])

    def _position(self, index: int) -> SlicePosition:
        return SlicePosition(self.axis, index)


class PropagatingLoop(TeachingLoop):
    """An annotation's loop that can carry segments through the volume."""

    def propagate(
        self,
        segment: str,
        direction: str = "both",
        axis: str | None = None,
        *,
        strategy: str = TRACKED,
    ) -> PropagateJob:
        """Carry a segment from its confirmed and prompted slices to those between and beyond.

        Returns at once; slices are written as they are found. Confirmed and prompted slices are
        left alone, and so is what a person painted; what an earlier run wrote is replaced. Along
        ``axis``, by default that on which most slices are known, ``direction`` is "both",
        "forward" (rising indices) or "back". It is one undo step.

        Raises:
            InputError: there is no such segment, or no slice of it to go on from; a name is
                unknown; the annotation has ended.
        """
        self._react()
        segment_id = segment_id_of(self.segmentation, segment)
        if segment_id is None:
            msg = f"There is no segment {segment!r}. Prompt it first, or choose one that is there."
            raise InputError(msg)
        is_asking = partial(self._asking.is_asking, segment_id)
        job = PropagateJob(self._workplace(), segment_id, axis, direction, strategy, is_asking)
        self._jobs.add(job)
        return job


def known_places(annotation: Annotation, segment_id: str) -> list[SlicePosition]:
    """The slices of a segment that are confirmed, or have prompts."""
    prompted = [position for one, position in annotation.work if one == segment_id]
    confirmed = annotation.confirmations.positions(segment_id)
    return sorted({*prompted, *confirmed})


def check_places(annotation: Annotation, segment_id: str, axis: str | None) -> None:
    """Refuse a segment that has no known slice, at all or on an axis.

    Raises:
        InputError: says what to do.
    """
    if axis is not None:
        check_axis(axis)
    places = known_places(annotation, segment_id)
    if not any(axis in (None, place.axis) for place in places):
        where = "" if axis is None else f" along {axis}"
        name = annotation.segmentation.GetSegmentation().GetSegment(segment_id).GetName()
        msg = f"No slice of {name!r}{where} is prompted or confirmed. Do one, then propagate."
        raise InputError(msg)
