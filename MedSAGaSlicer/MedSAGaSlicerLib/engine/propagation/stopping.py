"""Where an object ends: how sure it is that it still goes on, by what the slice shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from MedSAGaSlicerLib.engine.propagation.shapes import grey, overlap

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.propagation.shapes import Mask
    from MedSAGaSlicerLib.engine.propagation.steps import Question


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against an object on a slice.

    Attributes:
        agreement: intersection over union of the model's answer and what was expected.
        score: the model's own estimate.
        change: how far the mean grey inside is from that on the slice given, in its deviations.
        share: the area, in parts of that on the slice given.
        reach: the distance from the slice given, in radii of the object there.
    """

    agreement: float
    score: float
    change: float
    share: float
    reach: float


def evidence_of(
    question: Question,
    answer: Mask,
    mask: Mask,
    score: float,
    spacing_mm: tuple[float, float, float],
) -> Evidence:
    """Measure a slice's ``mask``, not empty, against where it came from.

    ``spacing_mm`` is that of (slices, rows, columns).
    """
    given = question.sides[0].origin
    assert given.pixels is not None  # noqa: S101 - a slice that was asked from is looked at
    before, now = grey(given.pixels)[given.mask], grey(question.pixels)[mask]
    area_mm2 = before.size * spacing_mm[1] * spacing_mm[2]
    radius_mm = math.sqrt(area_mm2 / math.pi)
    return Evidence(
        agreement=overlap(answer, question.expected > 0),
        score=score,
        change=float(abs(now.mean() - before.mean()) / (before.std() + _LEAST_DEVIATION)),
        share=now.size / before.size,
        reach=abs(question.index - given.index) * spacing_mm[0] / radius_mm,
    )


_LEAST_DEVIATION = 4.0


def goes_on(evidence: Evidence, sure: float) -> bool:
    """Whether the object is there with at least a probability of ``sure``."""
    return probability(evidence) >= sure


def probability(evidence: Evidence) -> float:
    """How likely it is that the object goes on, 0 to 1."""
    logit = (
        6.0 * (evidence.agreement - 0.55)
        + 2.0 * min(0.0, evidence.share - 0.25)
        - 0.8 * max(0.0, evidence.change - 0.5)
        - 0.5 * evidence.reach
        + 2.0
    )
    return float(1 / (1 + np.exp(-logit)))
