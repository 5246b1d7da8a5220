"""Logits between the grids of a slice, of its windows, and of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.regions.window import Window

Extent = tuple[float, float]
"""The part of the model's square input that the picture takes, (rows, columns), 0 to 1."""

OUTSIDE: Final = -8.0
"""The logit of what was not looked at: surely nothing."""


def to_pixels(
    logits: NDArray[np.float32], extent: Extent, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Logits on the grid of the picture: bilinear, from the model's (h, w) to (rows, columns)."""
    rows, columns = (
        (np.arange(count) + 0.5) / count * part * side - 0.5
        for count, part, side in zip(size, extent, logits.shape, strict=True)
    )
    return sampled(logits, rows, columns)


def to_window(
    logits: NDArray[np.float32],
    extent: Extent,
    size: tuple[int, int],
    window: Window,
    window_extent: Extent,
) -> NDArray[np.float32]:
    """A slice's logits as the model would have them of a window of it: (h, w) both."""
    places = []
    starts = (window.top, window.left)
    for axis in (0, 1):
        side = logits.shape[axis]
        pixels = _pixels(side, window_extent[axis], window.size[axis]) + starts[axis]
        places.append(pixels / size[axis] * extent[axis] * side - 0.5)
    return sampled(logits, places[0], places[1])


def to_slice(
    logits: NDArray[np.float32],
    window: Window,
    window_extent: Extent,
    size: tuple[int, int],
    extent: Extent,
) -> NDArray[np.float32]:
    """A window's logits as the model would have them of the whole slice; `OUTSIDE` around it."""
    places, inside = [], []
    starts = (window.top, window.left)
    for axis in (0, 1):
        side, count = logits.shape[axis], window.size[axis]
        pixels = _pixels(side, extent[axis], size[axis]) - starts[axis]
        places.append(pixels / count * window_extent[axis] * side - 0.5)
        inside.append((pixels >= 0) & (pixels <= count))
    found = sampled(logits, places[0], places[1])
    return np.where(inside[0][:, None] & inside[1], found, np.float32(OUTSIDE))


def sampled(
    values: NDArray[np.float32], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Values (h, w) between their centres, at each of ``rows`` by each of ``columns``.

    Beyond the outer centres the outer values hold.
    """
    down = _between(values, rows)
    return np.ascontiguousarray(_between(down.T, columns).T)


def _between(values: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float32]:
    last = len(values) - 1
    clipped = np.clip(places, 0, last)
    first = np.minimum(np.floor(clipped).astype(np.intp), max(0, last - 1))
    part = (clipped - first).astype(np.float32)[:, None]
    below = values[np.minimum(first + 1, last)]
    found: NDArray[np.float32] = values[first] * (1 - part) + below * part
    return found


def _pixels(side: int, part: float, count: int) -> NDArray[np.float64]:
    """Where the centres of the model's cells lie in the picture, in pixels from its edge."""
    return np.asarray((np.arange(side) + 0.5) / (side * part) * count, np.float64)
