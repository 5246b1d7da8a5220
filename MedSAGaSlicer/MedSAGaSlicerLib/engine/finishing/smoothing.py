"""Weighing each slice's evidence against its neighbours', a few slices at a time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from MedSAGaSlicerLib.engine.finishing.evidence import SUREST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# Of the weight of the slice itself. Further away than this share nothing is asked.
_LEAST_WEIGHT: Final = 0.05
_FURTHEST: Final = 3

# How near slices speak for each other: the distance, in pixels, at which the weight is 0.61.
_NEAR_PIXELS: Final = 1.5


def weights_for(step_mm: float, pixel_mm: float) -> tuple[float, ...]:
    """Weights of the slices 0, 1, 2, ... away; only the first where slices are far apart.

    A Gaussian of the distance in pixels: with cubic voxels the next slice counts 0.80, with slices
    three times as thick 0.14, with twenty times nothing.

    Args:
        step_mm: from slice to slice.
        pixel_mm: from pixel to pixel on a slice.
    """
    away = np.arange(_FURTHEST + 1) * (step_mm / pixel_mm)
    weights = np.exp(-0.5 * (away / _NEAR_PIXELS) ** 2)
    return tuple(float(weight) for weight in weights if weight >= _LEAST_WEIGHT)


class Smoother:
    """Takes slices in order and gives them back in order, each with its neighbours' say.

    Holds as many slices as have a say, of all segments; what is given back is a new array.
    """

    def __init__(self, weights: tuple[float, ...]) -> None:
        """``weights`` are those of the slices 0, 1, ... away."""
        self._weights = weights
        self._held: deque[NDArray[np.int8]] = deque(maxlen=2 * len(weights) - 1)
        self._centre = 0

    def feed(self, evidence: NDArray[np.int8]) -> Iterator[NDArray[np.int8]]:
        """Take the next slice, (segments, rows, columns); yields the one that is complete now."""
        if len(self._held) == self._held.maxlen:
            self._centre -= 1
        self._held.append(evidence)
        if len(self._held) - self._centre >= len(self._weights):
            yield self._smoothed()
            self._centre += 1

    def close(self) -> Iterator[NDArray[np.int8]]:
        """The rest, after the last slice."""
        while self._centre < len(self._held):
            yield self._smoothed()
            self._centre += 1
        self._held.clear()
        self._centre = 0

    def _smoothed(self) -> NDArray[np.int8]:
        own = self._held[self._centre]
        if len(self._weights) == 1:
            return own
        smoothed = np.empty_like(own)
        # Segment by segment: the sums of all at once would be eight times the slice.
        for number in range(len(own)):
            total = own[number].astype(np.float32)
            weight = 1.0
            for away, share in enumerate(self._weights[1:], start=1):
                for at in (self._centre - away, self._centre + away):
                    if 0 <= at < len(self._held):
                        total += share * self._held[at][number]
                        weight += share
            # Up, as for logits: what is positive stays so.
            smoothed[number] = np.clip(np.ceil(total / weight), -SUREST, SUREST).astype(np.int8)
        return smoothed
