"""Which array slice a slice view shows: exactly one, or none and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from MedSAGaSlicerLib.engine.geometry import IN_PLANE, check_axis
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.volumes import array_of, voxel_of

if TYPE_CHECKING:
    import slicer
    from numpy.typing import ArrayLike, NDArray

    from MedSAGaSlicerLib.scene.volumes import Grid

# How far, in voxels, a plane may leave an array slice between opposite ends of the volume. Headers
# store directions with six digits, which makes 0.003 at most; a hand's turn makes far more.
_COINCIDENT_VOXELS: Final = 0.1


@dataclass(frozen=True, order=True)
class SlicePosition:
    """One array slice: ``axis`` is its normal ("i", "j" or "k"), ``index`` the voxel along it."""

    axis: str
    index: int

    @property
    def normal(self) -> int:
        """The normal as a number: 0, 1, 2 for i, j, k."""
        return "ijk".index(self.axis)

    @property
    def in_plane(self) -> tuple[int, int]:
        """What columns and rows run along, as numbers 0, 1, 2 for i, j, k."""
        return in_plane(self.axis)


def in_plane(axis: str) -> tuple[int, int]:
    """What the columns and rows of slices along ``axis`` run along: 0, 1, 2 for i, j, k."""
    names = IN_PLANE[axis]
    return "ijk".index(names[0]), "ijk".index(names[1])


def to_plane(ijk: ArrayLike, axis: str) -> tuple[float, float]:
    """The (column, row) of a voxel coordinate (3,) in the slices along ``axis``.

    Rounded to a millionth of a voxel: the way through the world leaves noise below that.
    """
    coordinates = np.round(np.asarray(ijk, dtype=np.float64), 6) + 0.0
    across, down = in_plane(axis)
    return float(coordinates[across]), float(coordinates[down])


def from_plane(position: SlicePosition, column: float, row: float) -> NDArray[np.float64]:
    """The voxel coordinate (i, j, k) of a (column, row) on a slice."""
    ijk = np.empty(3)
    ijk[position.normal] = position.index
    ijk[list(position.in_plane)] = column, row
    return ijk


def locate(grid: Grid, ras: ArrayLike, axis: str) -> tuple[SlicePosition, tuple[float, float]]:
    """The slice along ``axis`` that holds a world point, and the point's (column, row) there.

    Raises:
        InputError: the axis is unknown or the point lies outside the volume.
    """
    check_axis(axis)
    ijk = grid.to_ijk(ras)
    if not grid.contains(ijk):
        r, a, s = (float(x) for x in np.asarray(ras))
        last = ", ".join(str(n - 1) for n in grid.shape_ijk)
        msg = (
            f"The point ({r:.1f}, {a:.1f}, {s:.1f}) mm lies outside the volume, at voxel "
            f"({', '.join(f'{x:.1f}' for x in ijk)}); the last voxel is ({last}). Place it inside."
        )
        raise InputError(msg)
    position = SlicePosition(axis, int(voxel_of(ijk)["ijk".index(axis)]))
    # What rounding put a hair outside the border belongs to the border.
    return position, to_plane(np.clip(ijk, -0.5, np.asarray(grid.shape_ijk) - 0.5), axis)


def shown_slice(view: slicer.vtkMRMLSliceNode, grid: Grid) -> SlicePosition:
    """The array slice that a slice view shows.

    The view's plane may lie anywhere within the slice's thickness.

    Raises:
        InputError: the plane is oblique to the volume, outside it, or several slices thick.
    """
    name = view.GetLayoutName() or view.GetName()
    if view.GetSlabReconstructionEnabled():
        msg = (
            f"The view {name} blends several slices (thick slab). Switch slab reconstruction off "
            "to place prompts."
        )
        raise InputError(msg)
    axis, normal, point = _plane(view, grid)
    others = [n for n in range(3) if n != axis]
    sizes = np.asarray(grid.shape_ijk)
    slopes = normal[others] / normal[axis]
    drift = _drift(axis, normal, grid)
    if drift > _COINCIDENT_VOXELS:
        msg = (
            f"The view {name} cuts the volume obliquely: its plane crosses {drift:.1f} slices "
            f"along {'ijk'[axis]}. Align the view with the volume to place prompts."
        )
        raise InputError(msg)
    centre = (sizes - 1) / 2
    index = int(voxel_of(point[axis] - slopes @ (centre[others] - point[others])))
    if not 0 <= index < sizes[axis]:
        msg = f"The view {name} shows a plane outside the volume. Scroll back into it."
        raise InputError(msg)
    return SlicePosition("ijk"[axis], index)


def shown_axis(view: slicer.vtkMRMLSliceNode, grid: Grid) -> str | None:
    """Along which axis a view looks, wherever it is scrolled to; None if it looks obliquely."""
    axis, normal, _ = _plane(view, grid)
    return "ijk"[axis] if _drift(axis, normal, grid) <= _COINCIDENT_VOXELS else None


def aligned_slice_to_ras(view: slicer.vtkMRMLSliceNode, grid: Grid) -> NDArray[np.float64]:
    """The view's SliceToRAS (4x4) turned onto the nearest array slice, with the least change.

    Where the view's centre was stays its centre, moved onto the slice at most.
    """
    old = array_of(view.GetSliceToRAS())
    axis, _, point = _plane(view, grid)
    index = np.clip(voxel_of(point[axis]), 0, grid.shape_ijk[axis] - 1)
    directions = grid.ijk_to_ras[:3, :3] / np.linalg.norm(grid.ijk_to_ras[:3, :3], axis=0)
    in_plane = [n for n in range(3) if n != axis]
    right = max(in_plane, key=lambda n: abs(directions[:, n] @ old[:3, 0]))
    (up,) = (n for n in in_plane if n != right)
    new = np.eye(4)
    for column, source in enumerate((right, up, axis)):
        sign = 1.0 if directions[:, source] @ old[:3, column] >= 0 else -1.0
        new[:3, column] = sign * directions[:, source]
    if np.linalg.det(new[:3, :3]) * np.linalg.det(old[:3, :3]) < 0:
        # A mirrored picture would be worse than one seen from the other side.
        new[:3, 2] *= -1
    point[axis] = index
    new[:3, 3] = grid.to_ras(point)
    return new


def align(view: slicer.vtkMRMLSliceNode, grid: Grid) -> None:
    """Turn a view onto the nearest array slice."""
    matrix = view.GetSliceToRAS()
    matrix.DeepCopy([float(x) for x in aligned_slice_to_ras(view, grid).ravel()])
    view.UpdateMatrices()


def show_slice(view: slicer.vtkMRMLSliceNode, grid: Grid, position: SlicePosition) -> None:
    """Scroll a view that is aligned with ``position``'s axis to that slice.

    Raises:
        InputError: the volume has no such slice.
    """
    check_position(grid, position)
    centre = (np.asarray(grid.shape_ijk) - 1) / 2
    centre[position.normal] = position.index
    view.JumpSliceByOffsetting(*(float(x) for x in grid.to_ras(centre)))


def check_position(grid: Grid, position: SlicePosition) -> None:
    """Refuse a slice that the volume does not have.

    Raises:
        InputError: the axis is unknown or the index outside the volume.
    """
    check_axis(position.axis)
    count = grid.shape_ijk[position.normal]
    if not 0 <= position.index < count:
        msg = (
            f"There is no slice {position.index} along {position.axis}: the volume has slices 0 to "
            f"{count - 1}."
        )
        raise InputError(msg)


def meeting(
    changed: NDArray[np.bool_],
    position: SlicePosition,
    other: SlicePosition,
    shape: tuple[int, int],
) -> NDArray[np.bool_] | None:
    """Where voxels of one slice (rows, columns) lie on another of ``shape``; None if nowhere."""
    if position == other:
        return changed
    if position.axis == other.axis:
        return None
    # Two slices of different axes share a line, which is a row or a column of each.
    line = changed[other.index] if position.in_plane[1] == other.normal else changed[:, other.index]
    touched = np.zeros(shape, dtype=np.bool_)
    if other.in_plane[1] == position.normal:
        touched[position.index] = line
    else:
        touched[:, position.index] = line
    return touched


def _drift(axis: int, normal: NDArray[np.float64], grid: Grid) -> float:
    """How many slices along an axis a plane crosses between opposite ends of the volume."""
    others = [n for n in range(3) if n != axis]
    return float(np.abs(normal[others] / normal[axis]) @ (np.asarray(grid.shape_ijk)[others] - 1))


def _plane(
    view: slicer.vtkMRMLSliceNode, grid: Grid
) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """The array axis nearest to the view's normal, that normal per voxel, and a voxel on it."""
    slice_to_ras = array_of(view.GetSliceToRAS())
    # A plane's normal is a covector: it goes to voxels by the transposed, not the inverse.
    across = np.cross(slice_to_ras[:3, 0], slice_to_ras[:3, 1])
    normal = grid.ijk_to_ras[:3, :3].T @ across
    axis = int(np.argmax(np.abs(normal) / np.linalg.norm(grid.ijk_to_ras[:3, :3], axis=0)))
    return axis, normal, grid.to_ijk(slice_to_ras[:3, 3])
