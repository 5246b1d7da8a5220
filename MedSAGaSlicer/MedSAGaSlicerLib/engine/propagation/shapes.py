"""Shapes on a slice: distances to their edges, what lies between two, their parts and boxes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from MedSAGaSlicerLib.engine import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.prompts import Box

    Mask = NDArray[np.bool_]
    Map = NDArray[np.float32]

NOWHERE: Final = -1e3
"""The distance that a mask without voxels has everywhere."""

_EVERYWHERE: Final = float("inf")

_EIGHT: Final = np.ones((3, 3), np.bool_)


def signed_distance(mask: Mask, reach: float = _EVERYWHERE) -> Map:
    """Distance of each voxel's centre to the mask's edge, in voxels; positive inside.

    Float32 (rows, columns). Where the mask touches the border of the slice it goes on beyond it, so
    that there the border is no edge. Distances are cut at ``reach``: the shorter, the cheaper.
    """
    if not mask.any():
        return np.full(mask.shape, max(NOWHERE, -reach), np.float32)
    if mask.all():
        return np.full(mask.shape, min(float(max(mask.shape)), reach), np.float32)
    window = surroundings(mask, math.ceil(min(reach, max(mask.shape))) + 1)
    part = mask[window]
    distance = np.full(mask.shape, max(NOWHERE, -reach), np.float32)
    # The edge runs half way between neighbouring centres.
    inside = ndimage.distance_transform_edt(part) - 0.5 if not part.all() else reach
    outside = 0.5 - ndimage.distance_transform_edt(~part)
    distance[window] = np.clip(np.where(part, inside, outside), -reach, reach)
    return distance


def surroundings(mask: Mask, margin: int) -> tuple[slice, slice]:
    """The rows and columns of a mask, not empty, and ``margin`` more on each side."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return (
        slice(max(0, int(rows[0]) - margin), int(rows[-1]) + margin + 1),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + margin + 1),
    )


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
