"""Ways to find the next slice: what to ask the model there, and what to make of its answer.

`TrackedGuide`, in `tracking`, is ours. The others are what it is measured against, and may be
chosen instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.propagation.shapes import (
    between,
    box_of,
    overlap,
    signed_distance,
)
from MedSAGaSlicerLib.engine.propagation.steps import Found, Part, Question

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from MedSAGaSlicerLib.engine.prompts import Box
    from MedSAGaSlicerLib.engine.propagation.shapes import Map, Mask
    from MedSAGaSlicerLib.engine.propagation.steps import Answer, Known, Pixels

_LITE_GROW: Final = 3.0


class Guide(Protocol):
    """How the next slice is found from those known."""

    def ask(self, index: int, sides: tuple[Known, ...], pixels: Pixels, *, blank: bool) -> Question:
        """What to ask about a slice.

        Args:
            index: of the slice.
            sides: the slice before, and if there is one the next known on the other side.
            pixels: of the slice.
            blank: it shows nothing; it may be passed over, without being asked about.
        """

    def judge(
        self, question: Question, answers: Sequence[Answer], *, between: bool
    ) -> Found | None:
        """What the slice is, given the answers to the question's parts; None: the object ended.

        ``between``: the slice lies between two that were given, so that the object is likely there.
        """


class PreviousBoxGuide:
    """LiteMedSAM's rule: the box of the slice before, three pixels wider; it never stops.

    Where the slice before is empty it is the box given at first (Ma et al., CVPR 2024 challenge,
    as published in MedSAM's branch LiteMedSAM). ``boxes`` are those given, by slice; elsewhere it
    is the box of the mask there.
    """

    def __init__(self, boxes: Mapping[int, Box] | None = None) -> None:
        self._boxes = dict(boxes or {})

    def ask(self, index: int, sides: tuple[Known, ...], pixels: Pixels, *, blank: bool) -> Question:
        """The widened box."""
        before = sides[0]
        mask = before.mask if before.mask.any() else before.origin.mask
        box = box_of(mask, _LITE_GROW)
        if not before.mask.any():
            box = self._boxes.get(before.origin.index, box)
        part = Part(Prompts(box=box), None)
        return Question(index, (part,), signed_distance(mask), pixels, sides, blank)

    def judge(
        self, question: Question, answers: Sequence[Answer], *, between: bool
    ) -> Found | None:
        """The answer as it is."""
        return _plain(question, answers)


class BoxInterpolationGuide:
    """Boxes between those of the slices given (RadioActive's strong baseline).

    Beyond the outermost slices given there is nothing, or with ``held`` their box goes on.
    ``boxes`` are as for `PreviousBoxGuide`.
    """

    def __init__(self, boxes: Mapping[int, Box] | None = None, *, held: bool = False) -> None:
        self._boxes = dict(boxes or {})
        self._held = held

    def ask(self, index: int, sides: tuple[Known, ...], pixels: Pixels, *, blank: bool) -> Question:
        """The box between, corner by corner."""
        given = [side.origin for side in sides]
        corners = np.array([self._boxes.get(one.index) or box_of(one.mask) for one in given])
        if len(given) == 2:
            weight = (index - given[0].index) / (given[1].index - given[0].index)
            corners = (1 - weight) * corners[:1] + weight * corners[1:]
        box: Box = (*(float(corner) for corner in corners[0]),)  # type: ignore[assignment]
        ends = len(given) == 1 and not self._held
        asked = () if ends else (Part(Prompts(box=box), None),)
        return Question(index, asked, signed_distance(given[0].mask), pixels, sides, blank)

    def judge(
        self, question: Question, answers: Sequence[Answer], *, between: bool
    ) -> Found | None:
        """The answer as it is."""
        return _plain(question, answers) if question.parts else None


class ShapeInterpolationGuide:
    """Shapes between those of the slices given, without a model; beyond them there is nothing."""

    def ask(self, index: int, sides: tuple[Known, ...], pixels: Pixels, *, blank: bool) -> Question:
        """Nothing to be asked."""
        given = [side.origin for side in sides]
        expected = np.zeros_like(given[0].mask)
        if len(given) == 2:
            weight = (index - given[0].index) / (given[1].index - given[0].index)
            expected = between(given[0].mask, given[1].mask, weight)
        return Question(index, (), signed_distance(expected), pixels, sides, blank)

    def judge(
        self, question: Question, answers: Sequence[Answer], *, between: bool
    ) -> Found | None:
        """The shape between."""
        mask = question.expected > 0
        return Found(question.index, mask) if mask.any() else None


def united(answers: Sequence[Answer], shape: tuple[int, ...]) -> Mask:
    """All answers together, bool of ``shape``."""
    mask = np.zeros(shape, np.bool_)
    for answer in answers:
        mask |= answer.mask
    return mask


def mean_score(answers: Sequence[Answer]) -> float:
    """The answers' scores, weighted by their sizes; 0 without answers."""
    sizes = [1.0 + float(np.count_nonzero(answer.mask)) for answer in answers]
    scores = [answer.score for answer in answers]
    return float(np.average(scores, weights=sizes)) if answers else 0.0


def _plain(question: Question, answers: Sequence[Answer]) -> Found:
    expected: Map = question.expected
    mask = united(answers, expected.shape)
    return Found(question.index, mask, mean_score(answers), overlap(mask, expected > 0))
