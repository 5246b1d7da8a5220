"""How an object looks where it is known: its grey levels, against those of what is around it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from MedSAGaSlicerLib.engine import ndimage
from MedSAGaSlicerLib.engine.propagation.shapes import grey, signed_distance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.propagation.shapes import Map, Mask

_LEVELS: Final = 32
_SHIFT: Final = 3
"""Bits by which 256 grey levels become 32."""

# Neighbouring levels count as well, and none is impossible.
_SMOOTH: Final = 1.0
_FLOOR: Final = 0.01

# Single voxels are noise: their evidence is averaged with their neighbours'.
_BLUR: Final = 0.7
_MOST: Final = 6.0

# Grey levels by which even a plain object may differ.
_NOISE: Final = 4.0

# The surroundings begin this many voxels off, and are half as wide as the object's radius.
_GAP: Final = 1.0
_LEAST_WIDTH: Final = 2.0


@dataclass(frozen=True, eq=False)
class Appearance:
    """An object on a slice where it is known.

    Attributes:
        evidence: for each of 32 grey levels, how much it speaks for the object: a log ratio.
        mean, deviation: of the object's grey levels, 0 to 255.
        radius_mm: of the largest disc inside the object.
    """

    evidence: Map
    mean: float
    deviation: float
    radius_mm: float

    @classmethod
    def of(
        cls, pixels: NDArray[np.uint8], mask: Mask, spacing_mm: tuple[float, float]
    ) -> Appearance:
        """Learn it from a slice, uint8 (rows, columns[, 3]), and a mask that is not empty.

        ``spacing_mm`` is that of (rows, columns).
        """
        levels = _levels(pixels)
        width = max(_LEAST_WIDTH, 0.5 * math.sqrt(np.count_nonzero(mask) / math.pi))
        distance = signed_distance(mask, _GAP + width + 1)
        around = (distance < -_GAP) & (distance > -_GAP - width)
        evidence = np.log(_frequencies(levels[mask]) / _frequencies(levels[around]))
        depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing_mm)
        inside = grey(pixels)[mask]
        deviation = float(inside.std()) + _NOISE
        return cls(evidence, float(inside.mean()), deviation, float(depth.max()))

    def change(self, pixels: NDArray[np.uint8], mask: Mask) -> float:
        """How far the mean grey of a mask, not empty, is from the object's, in its deviations."""
        return abs(float(grey(pixels)[mask].mean()) - self.mean) / self.deviation

    def likeness(self, pixels: NDArray[np.uint8], mask: Mask) -> float:
        """How much a mask, not empty, on a slice looks like the object: 0 to 1, 0.5 undecided."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        evidence = ndimage.gaussian_filter(self.evidence[_levels(pixels[window])], _BLUR)
        probability = 1 / (1 + np.exp(-np.clip(evidence, -_MOST, _MOST)))
        return float(probability[mask[window]].mean())


def _levels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(grey(pixels).astype(np.uint8) >> _SHIFT)


def _frequencies(levels: NDArray[np.uint8]) -> Map:
    counts = np.bincount(levels, minlength=_LEVELS).astype(np.float32)
    smooth = ndimage.gaussian_filter1d(counts, _SMOOTH, mode="nearest")
    smooth += _FLOOR * max(1.0, float(smooth.sum())) / _LEVELS
    return np.asarray(smooth / smooth.sum(), np.float32)
