"""Where an object ends: how sure it is that it still goes on, by what the slice shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.propagation.appearance import Appearance
    from MedSAGaSlicerLib.engine.propagation.shapes import Mask
    from MedSAGaSlicerLib.engine.propagation.steps import Known, Question

# A logistic regression on the slices of 17 objects of five kinds (hippocampi, sarcomas, organs and
# long vessels of a trunk, spinal cords): was the carried mask still right there (Dice above 0.35)?
# Tried besides and of no further use: the model's score, its agreement with what was expected, the
# change of the area and of the mean, the likeness of neighbouring slices, the contrast.
_CONSTANT: Final = -1.6
_PER_LIKENESS: Final = 7.6
_PER_RADIUS: Final = -1.2
_MOST_RADII: Final = 3.0

# Where the object seems to end by several given slices, that counts as much as three radii.
_PER_END: Final = -3.6

# Slices given closer to each other than this part of a radius say nothing about the ends.
_CLOSE: Final = 0.5

# Of a given slice's area, what is left when nothing but a few voxels is.
_VANISHING: Final = 0.02

# Brighter or darker than this it is something else, however unlike the surroundings.
_MOST_CHANGE: Final = 1.75


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against an object on a slice.

    Attributes:
        likeness: how much the mask's grey levels are those of the object on the slice that was
            given, rather than of its surroundings there; 0 to 1.
        radii: the distance from the slice given, in radii of the largest disc inside the object
            there: most objects are about as thick along the axis as across.
        left: the distance, in parts of that at which the object seems to end by how several given
            slices become smaller; 0 if that is not known.
        share: the area, in parts of that on the slice given.
        change: how far the mean grey is from that on the slice given, in its deviations.
    """

    likeness: float
    radii: float
    left: float
    share: float
    change: float


def evidence_of(
    question: Question,
    mask: Mask,
    given: Known,
    looks: Appearance,
    step_mm: float,
    *,
    between: bool,
) -> Evidence:
    """Measure a slice's ``mask``, not empty, against the slice ``given`` that it came from.

    ``looks`` is the object's appearance there, ``step_mm`` the distance of two slices. ``between``:
    it lies between two that were given.
    """
    steps = abs(question.index - given.index)
    radius = looks.radius_mm / step_mm
    left = 0.0
    if given.behind is not None and not between:
        left = steps / _steps_left(given, given.behind, radius)
    return Evidence(
        likeness=looks.likeness(question.pixels, mask),
        radii=steps / radius,
        left=left,
        share=float(np.count_nonzero(mask)) / float(np.count_nonzero(given.mask)),
        change=looks.change(question.pixels, mask),
    )


def _steps_left(given: Known, behind: Known, radius: float) -> float:
    """After how many slices an object ends that is given on two, by how it gets smaller.

    As an ellipsoid whose middle is the slice behind. Whoever gave several slices has shown how far
    the object goes besides: each speaks for half of the way to the next, unless they are close
    together. ``radius`` is the object's, in slices.
    """
    gap = abs(given.index - behind.index)
    share = np.count_nonzero(given.mask) / np.count_nonzero(behind.mask)
    half = max(1.0, gap / 2) if gap > _CLOSE * radius else math.inf
    return half if share >= 1 else min(half, gap / math.sqrt(1 - share) - gap)


def probability(evidence: Evidence) -> float:
    """How likely it is that the object goes on there, 0 to 1."""
    if evidence.share < _VANISHING or evidence.change > _MOST_CHANGE:
        return 0.0
    far = min(_PER_RADIUS * min(evidence.radii, _MOST_RADII), _PER_END * evidence.left)
    logit = _CONSTANT + _PER_LIKENESS * evidence.likeness + far
    return 1 / (1 + math.exp(-logit))
