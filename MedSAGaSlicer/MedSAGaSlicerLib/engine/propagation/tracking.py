"""Our way to the next slice: follow the pixels, ask the model, and notice where the object ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.propagation.appearance import Appearance
from MedSAGaSlicerLib.engine.propagation.guides import mean_score, united
from MedSAGaSlicerLib.engine.propagation.motion import motion_between
from MedSAGaSlicerLib.engine.propagation.shapes import (
    box_of,
    near,
    overlap,
    parts,
    signed_distance,
)
from MedSAGaSlicerLib.engine.propagation.steps import Found, Part, Question
from MedSAGaSlicerLib.engine.propagation.stopping import evidence_of, probability

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from MedSAGaSlicerLib.engine.propagation.shapes import Map, Mask
    from MedSAGaSlicerLib.engine.propagation.steps import Answer, Known, Pixels

# Beyond this many voxels from an edge a shape is as sure as it gets.
_REACH: Final = 30.0


# The nearer of two sides counts more: by the square of its distance.
_NEARNESS: Final = 2


@dataclass(frozen=True)
class Tracking:
    """The settings of `TrackedGuide`.

    Attributes:
        distrust, trust: model scores up to which an answer counts for ``least`` of what is
            expected, and from which on it counts alone.
        least: weight of an answer that the model itself thinks little of, 0 to 1.
        band: how far, in voxels, answer and expectation may argue about an edge.
        most_parts, least_part: connected parts prompted one by one: how many at most, and from
            which part of the whole on.
        sure: how sure it has to be that the object goes on, 0 to 1; the higher, the earlier it
            stops. Between two slices that were given ``sure_between`` holds.
    """

    distrust: float = 0.55
    trust: float = 0.9
    least: float = 0.05
    band: float = 3.0
    most_parts: int = 4
    least_part: float = 0.05
    sure: float = 0.65
    sure_between: float = 0.1


class TrackedGuide:
    """Expects the slice before, moved as the pixels moved; the model may correct that.

    The expectation is prompted part by part, by box and mask. How much the answer counts depends
    on the model's own score. ``spacing_mm`` is that of (slices, rows, columns).
    """

    def __init__(
        self, spacing_mm: tuple[float, float, float], settings: Tracking | None = None
    ) -> None:
        self._spacing = spacing_mm
        self._settings = settings or Tracking()
        self._looks: dict[int, Appearance] = {}

    def ask(self, index: int, sides: tuple[Known, ...], pixels: Pixels, *, blank: bool) -> Question:
        """Box and mask of each connected part of what is expected."""
        expected = self._expected(index, sides, pixels, blank=blank)
        settings = self._settings
        shapes = [] if blank else parts(expected > 0, settings.most_parts, settings.least_part)
        asked = tuple(Part(Prompts(box=box_of(shape)), shape) for shape in shapes)
        return Question(index, asked, expected, pixels, sides, blank)

    def judge(
        self, question: Question, answers: Sequence[Answer], *, between: bool
    ) -> Found | None:
        """Expectation and answer together; None where the object is seen to have ended."""
        if not question.parts:
            return None
        expected = question.expected > 0
        answer, score = united(answers, expected.shape), mean_score(answers)
        mask = self._settled(question.expected, answer, score)
        if not mask.any():
            return None
        sure = self._settings.sure_between if between else self._settings.sure
        going_on = [
            probability(
                evidence_of(question, mask, given, looks, self._spacing[0], between=between)
            )
            for given, looks in self._given(question)
        ]
        if max(going_on) < sure:
            return None
        return Found(question.index, mask, score, overlap(answer, expected))

    def _given(self, question: Question) -> Iterator[tuple[Known, Appearance]]:
        """The given slices that a question came from, and how the object looks there."""
        for given in (side.origin for side in question.sides):
            if given.pixels is not None:
                if given.index not in self._looks:
                    looks = Appearance.of(given.pixels, given.mask, self._spacing[1:])
                    self._looks[given.index] = looks
                yield given, self._looks[given.index]

    def _expected(
        self, index: int, sides: tuple[Known, ...], pixels: Pixels, *, blank: bool
    ) -> Map:
        """The signed distance of what is expected: of both sides, the nearer one counting more."""
        maps = []
        for side in sides:
            distance = signed_distance(side.mask, _REACH)
            if side.pixels is not None and not blank and side.mask.any():
                distance = motion_between(side.pixels, pixels, side.mask).moved(distance)
            maps.append(distance)
        if len(maps) == 1:
            return maps[0]
        near, far = (abs(index - side.index) ** _NEARNESS for side in sides)
        joint = (far * maps[0] + near * maps[1]) / (near + far)
        # Far apart and not overlapping, two shapes may meet nowhere.
        return np.asarray(joint if (joint > 0).any() else maps[0], np.float32)

    def _settled(self, expected: Map, answer: Mask, score: float) -> Mask:
        """What lies between expectation and answer, as big as their sizes say and no bigger.

        A model that tends to fill its box would otherwise grow from slice to slice.
        """
        if not answer.any():
            return answer
        settings = self._settings
        share = (score - settings.distrust) / (settings.trust - settings.distrust)
        weight = float(np.clip(share, settings.least, 1.0))
        band = settings.band
        theirs = signed_distance(answer, band)
        joint = weight * theirs + (1 - weight) * np.clip(expected, -band, band)
        if weight == 1.0:
            return answer
        sizes = np.count_nonzero(expected > 0), np.count_nonzero(answer)
        wanted = round(sizes[0] ** (1 - weight) * sizes[1] ** weight)
        return near(_highest(joint, max(1, wanted)), (expected > 0) | answer)


def _highest(values: Map, count: int) -> Mask:
    """About as many voxels with the highest values; equal values stay together."""
    place = values.size - min(count, values.size)
    limit = np.partition(values.ravel(), place)[place]
    reached = values >= limit
    above = values > limit
    excess = int(np.count_nonzero(reached)) - count
    return np.asarray(above if above.any() and excess > count - above.sum() else reached)
