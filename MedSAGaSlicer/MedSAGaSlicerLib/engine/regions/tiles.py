"""Tiles: a slice in overlapping parts, each as large as the model sees best, blended again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from MedSAGaSlicerLib.engine.regions.window import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

OVERLAP: Final = 0.25
"""The part of a tile that it shares with the next one, at least."""


def tile_windows(size: tuple[int, int], side: int) -> tuple[Window, ...]:
    """Square tiles that cover a slice of (rows, columns), evenly spread, row by row.

    A side of the slice that is no longer than a tile is not divided.
    """
    rows, columns = (_starts(count, side) for count in size)
    return tuple(
        Window(top, left, min(top + side, size[0]), min(left + side, size[1]))
        for top in rows
        for left in columns
    )


def _starts(count: int, side: int) -> list[int]:
    if count <= side:
        return [0]
    parts = math.ceil((count - side) / (side * (1 - OVERLAP))) + 1
    return [round(at * (count - side) / (parts - 1)) for at in range(parts)]


class Blend:
    """Adds up the logits of tiles with weights that fade smoothly towards each tile's edges.

    Only one segment of one slice at a time is ever at full size.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        """Begin with nothing on a slice of (rows, columns)."""
        self._size = size
        self._sum = np.zeros(size, np.float32)
        self._weight = np.zeros(size, np.float32)

    def add(self, window: Window, logits: NDArray[np.float32]) -> None:
        """Add a tile's logits, on its pixels."""
        weights = self._weights(window)
        window.cut(self._sum)[...] += weights * logits
        window.cut(self._weight)[...] += weights

    def over(self, ground: NDArray[np.float32]) -> NDArray[np.float32]:
        """The blend: towards the outer edges of the tiles, and where none is, the ``ground``."""
        rest = np.maximum(np.float32(0), 1 - self._weight)
        blended = (self._sum + rest * ground) / (self._weight + rest)
        return np.asarray(blended, np.float32)

    def _weights(self, window: Window) -> NDArray[np.float32]:
        down = _fade(window.size[0], window.top == 0, window.bottom == self._size[0])
        across = _fade(window.size[1], window.left == 0, window.right == self._size[1])
        weights: NDArray[np.float32] = (down[:, None] * across).astype(np.float32)
        return weights


def _fade(count: int, first: bool, last: bool) -> NDArray[np.float32]:
    """1 in the middle, falling smoothly over the overlap; not at the slice's own border."""
    reach = max(1.0, count * OVERLAP)
    at = np.arange(count) + 0.5
    below = np.ones(count) if first else np.minimum(1, at / reach)
    above = np.ones(count) if last else np.minimum(1, (count - at) / reach)
    return np.asarray(np.sin(np.pi / 2 * np.minimum(below, above)) ** 2, np.float32)
