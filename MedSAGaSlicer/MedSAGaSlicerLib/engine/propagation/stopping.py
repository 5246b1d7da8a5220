"""Where an object ends: how sure it is that it still goes on, by what the slice shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.propagation.appearance import Appearance
    from MedSAGaSlicerLib.engine.propagation.shapes import Mask
    from MedSAGaSlicerLib.engine.propagation.steps import Known, Pixels

# A logistic regression on the slices of 17 objects of five kinds (hippocampi, sarcomas, organs and
# long vessels of a trunk, spinal cords): was the carried mask still right there (Dice above 0.35)?
# Tried besides and of no further use: the model's score, its agreement with what was expected, the
# change of the area and of the mean, the likeness of neighbouring slices, the contrast.
_CONSTANT: Final = -1.6
_PER_LIKENESS: Final = 7.6
_PER_RADIUS: Final = -1.2
_MOST_RADII: Final = 3.0

# How many radii off the end seems to be that several given slices point to.
_RADII_TO_END: Final = 3.0

# Of a given slice's area, what is left when nothing but a few voxels is.
_VANISHING: Final = 0.02


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against an object on a slice.

    Attributes:
        likeness: how much the mask's grey levels are those of the object on the slice that was
            given, rather than of its surroundings there; 0 to 1.
        radii: the distance from the slice given, in radii of the largest disc inside the object
            there: most objects are about as thick along the axis as across. Where several slices
            were given, their distance counts as some radii.
        share: the area, in parts of that on the slice given.
    """

    likeness: float
    radii: float
    share: float


def evidence_of(
    index: int, mask: Mask, pixels: Pixels, given: Known, looks: Appearance, step_mm: float
) -> Evidence:
    """Measure a slice's ``mask``, not empty, against the slice ``given`` that it came from.

    ``looks`` is the object's appearance there, ``step_mm`` the distance of two slices.
    """
    steps = abs(index - given.index)
    radii = steps * step_mm / looks.radius_mm
    if given.behind is not None:
        radii = max(radii, _RADII_TO_END * steps / _steps_left(given, given.behind))
    return Evidence(
        likeness=looks.likeness(pixels, mask),
        radii=radii,
        share=float(np.count_nonzero(mask)) / float(np.count_nonzero(given.mask)),
    )


def _steps_left(given: Known, behind: Known) -> float:
    """After how many slices an object ends that is given on two, by how it gets smaller.

    As an ellipsoid whose middle is the slice behind. Whoever gave several slices has shown how far
    the object goes besides: not further than they are apart.
    """
    gap = abs(given.index - behind.index)
    share = np.count_nonzero(given.mask) / np.count_nonzero(behind.mask)
    if share >= 1:
        return float(gap)
    return min(gap, gap / math.sqrt(1 - share) - gap)


def probability(evidence: Evidence) -> float:
    """How likely it is that the object goes on there, 0 to 1."""
    if evidence.share < _VANISHING:
        return 0.0
    logit = (
        _CONSTANT
        + _PER_LIKENESS * evidence.likeness
        + _PER_RADIUS * min(evidence.radii, _MOST_RADII)
    )
    return 1 / (1 + math.exp(-logit))
