"""Shapes on a slice: distances to their edges, what lies between two, their parts and boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.prompts import Box

    Mask = NDArray[np.bool_]
    Map = NDArray[np.float32]

NOWHERE: Final = -1e3
"""The distance that a mask without voxels has everywhere."""

_EIGHT: Final = np.ones((3, 3), np.bool_)


def signed_distance(mask: Mask) -> Map:
    """Distance of each voxel's centre to the mask's edge, in voxels; positive inside.

    Float32 (rows, columns). Where the mask touches the border of the slice it goes on beyond it, so
    that there the border is no edge. Only the mask's surroundings are computed exactly.
    """
    if not mask.any():
        return np.full(mask.shape, NOWHERE, np.float32)
    if mask.all():
        return np.full(mask.shape, float(max(mask.shape)), np.float32)
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    # The edge runs half way between neighbouring centres.
    return np.asarray(np.where(mask, inside - 0.5, 0.5 - outside), np.float32)


def between(one: Mask, other: Mask, weight: float) -> Mask:
    """The shape a ``weight`` of 0..1 of the way from one mask to another.

    Both signed distances are averaged (Raya and Udupa, 1990). From or to nothing there is no way:
    then it is the nearer of the two.
    """
    if not one.any() or not other.any():
        return one if weight < 0.5 else other
    return np.asarray((1 - weight) * signed_distance(one) + weight * signed_distance(other) > 0)


def parts(mask: Mask, most: int, least: float) -> list[Mask]:
    """The connected parts, the largest first; diagonal neighbours are connected.

    At most ``most``, and none that is smaller than ``least`` times the mask.
    """
    labels, count = ndimage.label(mask, structure=_EIGHT)
    if count <= 1:
        return [mask] if count else []
    sizes = np.bincount(labels.ravel())[1:]
    largest = np.argsort(-sizes, kind="stable")[:most]
    return [labels == n + 1 for n in largest if sizes[n] >= least * sizes.sum()]


def near(mask: Mask, other: Mask) -> Mask:
    """Those connected parts of a mask that meet another one."""
    labels, count = ndimage.label(mask, structure=_EIGHT)
    if not count:
        return mask
    met = np.zeros(count + 1, np.bool_)
    met[labels[mask & other]] = True
    return np.asarray(met[labels])


def box_of(mask: Mask, grow: float = 0.0) -> Box:
    """The box around a mask that is not empty, each side moved out by ``grow``, within the slice.

    Returns:
        (min column, min row, max column, max row), the first and the last voxel inside.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        max(0.0, float(columns[0]) - grow),
        max(0.0, float(rows[0]) - grow),
        min(mask.shape[1] - 1.0, float(columns[-1]) + grow),
        min(mask.shape[0] - 1.0, float(rows[-1]) + grow),
    )


def overlap(one: Mask, other: Mask) -> float:
    """Intersection over union, 0 to 1; 1 if both are empty."""
    union = int(np.count_nonzero(one | other))
    return int(np.count_nonzero(one & other)) / union if union else 1.0


def grey(pixels: NDArray[np.uint8]) -> Map:
    """A slice as float32 (rows, columns); colours are averaged."""
    values: NDArray[Any] = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
    return np.asarray(values, np.float32)


def is_blank(pixels: NDArray[np.uint8]) -> bool:
    """Whether a slice shows nothing: all its pixels are equal."""
    return bool(pixels.min() == pixels.max())
