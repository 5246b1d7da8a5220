"""How an object moves from one slice to the next, as seen in the pixels around it.

Diffeomorphic registration would be exact; a few steps of Thirion's demons on a small picture of the
surroundings cost milliseconds and carry a mask as far as the images of neighbouring slices agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from MedSAGaSlicerLib.engine import ndimage
from MedSAGaSlicerLib.engine.propagation.shapes import grey

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.propagation.shapes import Map, Mask

    Field = NDArray[np.float32]

# The surroundings that are looked at, as a part of the object's extent, and at least in voxels.
_MARGIN: Final = 0.6
_LEAST_MARGIN: Final = 6

# The longer side of the picture that is registered, at half and at full resolution.
_SIDE: Final = 64
_STEPS: Final = 8

# Smoothness of the motion and the longest step, in pixels of that picture.
_SIGMA: Final = 1.5
_LONGEST: Final = 1.0

Window = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class Motion:
    """Where each voxel of a window of the new slice was on the old one.

    ``field`` is float32 (2, rows, columns) of the window: how many rows and columns to add.
    """

    window: Window
    field: Field

    def moved(self, values: Map) -> Map:
        """A map (rows, columns) of the old slice, as it lies on the new one.

        Outside the window it stays where it is.
        """
        rows, columns = np.mgrid[self.window].astype(np.float32)
        places = (rows + self.field[0], columns + self.field[1])
        moved = values.copy()
        moved[self.window] = ndimage.map_coordinates(values, places, order=1, mode="nearest")
        return moved


def motion_between(old: NDArray[np.uint8], new: NDArray[np.uint8], mask: Mask) -> Motion:
    """Find the motion around a mask, not empty, from its slice to another of the same size.

    ``old`` and ``new`` are uint8 (rows, columns) or (rows, columns, 3).
    """
    window = _window(mask)
    before, after = grey(old[window]), grey(new[window])
    contrast = max(float(before.std()), float(after.std()), 1.0)
    before, after = before / contrast, after / contrast
    scale = min(1.0, _SIDE / max(before.shape))
    field = np.zeros((2, 1, 1), np.float32)
    for part in (scale / 2, scale):
        coarse_before, coarse_after = _shrunk(before, part), _shrunk(after, part)
        field = _stretched(field, coarse_after.shape)
        field = _demons(coarse_before, coarse_after, field)
    return Motion(window, _stretched(field, before.shape))


def _window(mask: Mask) -> Window:
    sides = []
    for axis in (0, 1):
        present = np.flatnonzero(mask.any(axis=1 - axis))
        first, last = int(present[0]), int(present[-1]) + 1
        margin = max(_LEAST_MARGIN, round(_MARGIN * (last - first)))
        sides.append(slice(max(0, first - margin), min(mask.shape[axis], last + margin)))
    return sides[0], sides[1]


def _demons(before: Map, after: Map, field: Field) -> Field:
    """Refine a field so that ``before`` at the places it points to looks like ``after``."""
    rows, columns = np.mgrid[: after.shape[0], : after.shape[1]].astype(np.float32)
    slopes = _slopes(after)
    for _ in range(_STEPS):
        there = (rows + field[0], columns + field[1])
        seen = ndimage.map_coordinates(before, there, order=1, mode="nearest")
        difference = after - seen
        pull = (slopes + _slopes(seen)) / 2
        steps = difference * pull / ((pull**2).sum(axis=0) + difference**2 / 4 + 1e-3)
        field = field + np.clip(steps, -_LONGEST, _LONGEST)
        field = ndimage.gaussian_filter(field, (0, _SIGMA, _SIGMA), mode="nearest")
    return field


def _slopes(picture: Map) -> Field:
    """Central differences along rows and columns; a side of one pixel has no slope."""
    slopes = np.zeros((2, *picture.shape), np.float32)
    for axis in (0, 1):
        if picture.shape[axis] > 1:
            slopes[axis] = np.gradient(picture, axis=axis)
    return slopes


def _shrunk(picture: Map, scale: float) -> Map:
    smooth = ndimage.gaussian_filter(picture, min(0.5 / scale, 0.7) if scale == 1 else 0.5 / scale)
    shape = tuple(max(1, round(side * scale)) for side in picture.shape)
    return _resized(smooth, shape)


def _stretched(field: Field, shape: tuple[int, ...]) -> Field:
    """A field on another grid of the same window; its lengths are in that grid's pixels."""
    factors = np.array(shape, np.float32) / field.shape[1:]
    return np.stack([_resized(part, shape) * by for part, by in zip(field, factors, strict=True)])


def _resized(picture: Map, shape: tuple[int, ...]) -> Map:
    if picture.shape == shape:
        return picture
    factors = [new / old for new, old in zip(shape, picture.shape, strict=True)]
    found = ndimage.zoom(picture, factors, order=1, mode="nearest", grid_mode=True)
    return np.asarray(found, np.float32)
