"""The way of one segment through the slices along one axis, without a model and without a volume.

A course starts from slices that are known and goes outward, and from both sides towards the middle
between two of them. Whoever drives it looks at ``wanted``, gets a ``question`` for a slice, has a
model answer its parts, and hands the answers to ``take``, in any order.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from MedSAGaSlicerLib.engine.propagation.shapes import between, is_blank
from MedSAGaSlicerLib.engine.propagation.spans import Front, Span
from MedSAGaSlicerLib.engine.propagation.steps import Found, Known, Question
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from MedSAGaSlicerLib.engine.propagation.guides import Guide
    from MedSAGaSlicerLib.engine.propagation.shapes import Mask
    from MedSAGaSlicerLib.engine.propagation.steps import Answer, Pixels

DIRECTIONS: Final = ("both", "forward", "back")

# Slices in a row that show nothing and are passed over, such as one that is missing in a scan.
_MOST_BLANK: Final = 2

# So many given slices tell how far an object goes; two may both lie in its middle.
_ENOUGH: Final = 3


class Course:
    """Finds the slices of one segment from those that are known.

    Attributes:
        wanted: the slices about which a question can be asked now.
        passed: the slices that were given up: nothing was found there.
    """

    def __init__(
        self,
        anchors: Mapping[int, Mask],
        reach: range,
        guide: Guide,
        look: Callable[[int], Pixels],
        *,
        direction: str = "both",
    ) -> None:
        """Ready to be asked.

        Args:
            anchors: masks (rows, columns) of the known slices, by index; empty ones are walls.
            reach: the slices that may be found.
            guide: how it is found; see `guides`.
            look: a slice's normalised pixels.
            direction: "both", "forward" (rising indices only) or "back".

        Raises:
            InputError: the direction is unknown, or no known slice shows anything.
        """
        if direction not in DIRECTIONS:
            msg = f"The direction {direction!r} is unknown; choose one of {', '.join(DIRECTIONS)}."
            raise InputError(msg)
        if not any(mask.any() for mask in anchors.values()):
            msg = "There is nothing to go on from: prompt or confirm a slice that shows the object."
            raise InputError(msg)
        self._guide, self._look = guide, look
        self._way = {"both": (1, -1), "forward": (1,), "back": (-1,)}[direction]
        self._known = {index: anchors[index] for index in sorted(anchors)}
        self._questions: dict[int, tuple[Question, Span, Front]] = {}
        spans = list(self._cut(reach))
        self._spans = [s for s in spans if any(self._moves(front) for front in s.fronts)]
        for span in self._spans:
            if not all(self._moves(front) for front in span.fronts):
                span.meeting = None
        self.passed = [n for s in spans if self._is_behind_wall(s) for n in s.slices]
        self._settled = len(self.passed)
        self._total = self._settled + sum(len(span.slices) for span in self._spans)

    @property
    def wanted(self) -> tuple[int, ...]:
        """The slices about which ``question`` may be called now."""
        return tuple(dict.fromkeys(front.next for _, front in self._ready()))

    @property
    def ended(self) -> bool:
        """Whether all is found or given up."""
        return not self._spans

    @property
    def progress(self) -> tuple[int, int]:
        """Slices settled, and slices in all."""
        return self._settled, self._total

    def ahead(self, count: int) -> tuple[int, ...]:
        """The slices that will probably be asked about next, nearest first."""
        runs = []
        for span in self._spans:
            for front in (f for f in span.fronts if self._moves(f)):
                start = front.asked if front.asked is not None else front.at
                run = [start + front.step * n for n in range(1, count + 1)]
                runs.append([n for n in run if n in span.slices])
        longest = max((len(run) for run in runs), default=0)
        order = [run[n] for n in range(longest) for run in runs if n < len(run)]
        return tuple(dict.fromkeys(order))[:count]

    def question(self, index: int) -> Question:
        """What to ask about a slice that is ``wanted``; to be answered by ``take``.

        Raises:
            InputError: the slice cannot be read.
        """
        span, front = next((s, f) for s, f in self._ready() if f.next == index)
        pixels = self._look(index)
        for side in span.fronts:
            if side.known.pixels is None:
                side.known = replace(side.known, pixels=self._look(side.known.index))
        blank = is_blank(pixels) and not is_blank(_pixels(front.known))
        question = self._guide.ask(index, span.sides(front), pixels, blank=blank)
        front.asked = index
        self._questions[index] = (question, span, front)
        return question

    def take(self, index: int, answers: Sequence[Answer]) -> list[Found]:
        """Use the answers to a question's parts, in their order; what is settled by that."""
        question, span, front = self._questions.pop(index)
        front.asked = None
        found: list[Found] = []
        if question.blank and len(front.blank) < _MOST_BLANK:
            front.blank.append(index)
            front.at = index
        else:
            closed = span.up is not None and span.down is not None
            verdict = self._guide.judge(question, answers, between=closed)
            if verdict is None or question.blank:
                self._stop(front)
            else:
                found = [*self._bridged(front, verdict), verdict]
                origin = front.known.origin
                front.known = Known(index, verdict.mask, question.pixels, origin)
                front.at, front.blank = index, []
        self._settled += len(found)
        return [*found, *self._close(span)]

    def _cut(self, reach: range) -> Iterator[Span]:
        """The spans between the known slices and at both ends."""
        inside = [index for index in self._known if index in reach]
        ends = [reach.start - 1, *inside, reach.stop]
        for low, high in pairwise(ends):
            sides = [self._shown(n) for n in (low, high)]
            if high - low > 1:
                yield Span(low + 1, high - 1, sides[0], sides[1])

    def _shown(self, index: int) -> Known | None:
        """A known slice if it is one that shows something."""
        mask = self._known.get(index)
        if mask is None or not mask.any():
            return None
        others = [n for n, other in self._known.items() if n != index and other.any()]
        if len(others) < _ENOUGH - 1:
            return Known(index, mask)
        nearest = min(others, key=lambda other: abs(other - index))
        return Known(index, mask, behind=Known(nearest, self._known[nearest]))

    def _is_behind_wall(self, span: Span) -> bool:
        """Whether a span lies in the direction of a slice that shows something, out of reach."""
        shown = [index for index, mask in self._known.items() if mask.any()]
        after = 1 in self._way and any(index < span.first for index in shown)
        before = -1 in self._way and any(index > span.last for index in shown)
        return not span.fronts and (after or before)

    def _ready(self) -> Iterator[tuple[Span, Front]]:
        for span in self._spans:
            for front in span.fronts:
                if front.asked is None and self._moves(front) and span.room(front):
                    yield span, front

    def _moves(self, front: Front) -> bool:
        return front.live and front.step in self._way

    def _close(self, span: Span) -> list[Found]:
        """Take a span in which nothing moves any more off the list; what it has left over."""
        waiting = any(front.asked is not None for front in span.fronts)
        if waiting or any(self._moves(f) and span.room(f) for f in span.fronts):
            return []
        if span not in self._spans:
            return []
        self._spans.remove(span)
        found = self._joined(span)
        low = span.first if span.up is None else span.up.at + 1
        high = span.last if span.down is None else span.down.at - 1
        self.passed += range(low, high + 1)
        self._settled += max(0, high + 1 - low) + len(found)
        return found

    def _joined(self, span: Span) -> list[Found]:
        """Blank slices on which two fronts met, filled from both sides; others are given up."""
        up, down = span.up, span.down
        blank = sorted(index for front in span.fronts for index in front.blank)
        if not blank:
            return []
        met = up is not None and down is not None and up.live and down.live
        if met and up is not None and down is not None and down.at - up.at <= 1:
            return [self._filled(index, up.known, down.known) for index in blank]
        self.passed += blank
        self._settled += len(blank)
        return []

    def _stop(self, front: Front) -> None:
        front.live = False
        # What was passed over on the way to nothing is nothing.
        self.passed += front.blank
        self._settled += len(front.blank)
        front.blank = []

    def _bridged(self, front: Front, verdict: Found) -> list[Found]:
        there = Known(verdict.index, verdict.mask)
        return [self._filled(index, front.known, there) for index in front.blank]

    @staticmethod
    def _filled(index: int, one: Known, other: Known) -> Found:
        weight = (index - one.index) / (other.index - one.index)
        return Found(index, between(one.mask, other.mask, weight))


def _pixels(known: Known) -> Pixels:
    assert known.pixels is not None  # noqa: S101 - looked at before
    return known.pixels
