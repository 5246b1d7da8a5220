"""Where in the world a person's points and drags are meant to be on a slice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.slices import locate
from MedSAGaSlicerLib.scene.volumes import voxel_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from MedSAGaSlicerLib.engine.prompts import Box, Point
    from MedSAGaSlicerLib.scene.slices import SlicePosition
    from MedSAGaSlicerLib.scene.volumes import Grid


def box_between(one: Point, other: Point) -> Box:
    """The box from the voxel of one (column, row) to the voxel of another, either way round."""
    corners = voxel_of([one, other])
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def slice_of_both(
    grid: Grid, one_ras: ArrayLike, other_ras: ArrayLike, axis: str | None
) -> tuple[SlicePosition, Point, Point]:
    """The slice that two world points lie on, and their (column, row) there.

    Without an ``axis`` it is the first of k, j, i along which both have the same index.

    Raises:
        InputError: a point lies outside the volume, or they lie on no common slice.
    """
    for candidate in (axis,) if axis is not None else ("k", "j", "i"):
        one, start = locate(grid, one_ras, candidate)
        other, end = locate(grid, other_ras, candidate)
        if one == other:
            return one, start, end
    where = f"along {axis}" if axis is not None else "along any axis"
    places = " and ".join(
        str(tuple(int(x) for x in voxel_of(grid.to_ijk(np.asarray(ras)))))
        for ras in (one_ras, other_ras)
    )
    msg = f"The box's corners, voxels {places}, lie on no common slice {where}. Move one of them."
    raise InputError(msg)
