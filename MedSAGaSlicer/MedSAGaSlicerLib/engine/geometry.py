"""Where voxels lie: grids in patient space, and the slices of a volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

AXES: Final = ("k", "j", "i")
"""Slice normals in the order of a volume array's axes: array axis 0 is k."""

IN_PLANE: Final = {"k": "ij", "j": "ik", "i": "jk"}
"""The voxel indices that a slice's (column, row) stand for, by the slice's normal."""

Vector = tuple[float, float, float]

# Further from right angles is shear, not rounding: files store direction cosines to six digits.
_ORTHOGONAL: Final = 1e-3


@dataclass(frozen=True)
class Geometry:
    """A voxel grid in LPS millimetres, as SimpleITK and ITK describe it.

    ``shape_ijk`` counts voxels along i, j, k. ``directions`` is the 3x3 matrix, row by row, whose
    columns are the unit vectors of i, j, k. ``origin`` is the centre of voxel (0, 0, 0).
    """

    shape_ijk: tuple[int, int, int]
    spacing_mm: Vector
    origin: Vector
    directions: tuple[Vector, Vector, Vector]

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        """Shape of the volume's array."""
        i, j, k = self.shape_ijk
        return k, j, i

    @property
    def ijk_to_lps(self) -> NDArray[np.float64]:
        """The 4x4 matrix that takes voxel indices (i, j, k, 1) to LPS millimetres."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.asarray(self.directions) * np.asarray(self.spacing_mm)
        matrix[:3, 3] = self.origin
        return matrix

    @property
    def is_orthogonal(self) -> bool:
        """Whether the axes stand at right angles; a sheared grid's do not."""
        columns = np.asarray(self.directions)
        return bool(np.allclose(columns.T @ columns, np.eye(3), rtol=0, atol=_ORTHOGONAL))

    def distance_to(self, other: Geometry) -> float:
        """How far apart the same voxel of two grids can lie, in voxels of this grid.

        Infinite if the grids differ in shape. A grid's corners move most, so they are compared.
        """
        if self.shape_ijk != other.shape_ijk:
            return float("inf")
        i, j, k = (n - 1 for n in self.shape_ijk)
        corners = np.array(
            [(a, b, c, 1) for a in (0, i) for b in (0, j) for c in (0, k)], dtype=np.float64
        )
        moved = corners @ (self.ijk_to_lps - other.ijk_to_lps).T
        return float(np.linalg.norm(moved, axis=1).max() / min(self.spacing_mm))


def check_axis(axis: str) -> int:
    """Array axis (0, 1, 2) of a slice normal.

    Raises:
        InputError: ``axis`` is not one of ``AXES``.
    """
    if axis not in AXES:
        msg = f"The slice axis {axis!r} is unknown: it is the slice's normal, 'i', 'j' or 'k'."
        raise InputError(msg)
    return AXES.index(axis)


def slice_of(volume_kji: NDArray[Any], axis: str, index: int) -> NDArray[Any]:
    """One slice, (rows, columns) or (rows, columns, channels), as a view of the volume.

    Columns and rows run along the two other voxel indices in the order i, j, k: axis k has columns
    i and rows j, axis j columns i and rows k, axis i columns j and rows k.

    Raises:
        InputError: the axis is unknown or the volume has no such slice.
    """
    position = check_axis(axis)
    count = volume_kji.shape[position]
    if not 0 <= index < count:
        msg = f"There is no slice {index} along {axis}: the volume has slices 0 to {count - 1}."
        raise InputError(msg)
    return volume_kji[(slice(None),) * position + (index,)]


def slice_size(shape_kji: tuple[int, int, int], axis: str) -> tuple[int, int]:
    """(rows, columns) of the slices along an axis."""
    position = check_axis(axis)
    rows, columns = (n for at, n in enumerate(shape_kji) if at != position)
    return rows, columns
