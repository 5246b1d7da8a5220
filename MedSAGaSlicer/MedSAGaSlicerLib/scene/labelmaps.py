"""The labelmap that holds a segment: one slice of it read or written in place, or made to fit.

A labelmap (a *layer*) may hold several segments under different label values, may cover less than
the volume, and may have voxels of its own size. A ``Layer`` is looked up for one operation and
never kept: undo and the Segment Editor replace the images behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from MedSAGaSlicerLib.engine.geometry import slice_size
from MedSAGaSlicerLib.scene.lattices import (
    AxisMap,
    Extent,
    Lattice,
    extent_of,
    intersection,
    shape_of,
    window,
)
from MedSAGaSlicerLib.scene.volumes import Grid, matrix_of

if TYPE_CHECKING:
    import slicer
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.scene.slices import SlicePosition

# A layer that must grow grows by this part of its size on that side: prompts on slice after slice
# then copy it a few times instead of each time, and it stays small enough to be saved for undo.
_GROWTH: Final = 0.25
_LEAST_GROWTH: Final = 8


class OverlapError(Exception):
    """Voxels to be set hold another segment of the same layer."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A segment's labelmap against a volume's grid.

    ``label`` is the segment's value in ``image``; ``node_from_ijk`` (4x4) takes the volume's voxel
    coordinates to those of the segmentation node.
    """

    image: slicer.vtkOrientedImageData
    label: int
    lattice: Lattice
    grid: Grid
    node_from_ijk: NDArray[np.float64]

    @property
    def extent(self) -> Extent:
        """First and last labelmap index along i, j, k."""
        a, b, c, d, e, f = self.image.GetExtent()
        return a, b, c, d, e, f

    @property
    def is_void(self) -> bool:
        """Whether there is no voxel at all."""
        return 0 in shape_of(self.extent)

    @property
    def voxels(self) -> NDArray[Any]:
        """The labels (k, j, i) of all segments in here, a view of the labelmap's memory."""
        flat: NDArray[Any] = vtk_to_numpy(self.image.GetPointData().GetScalars())
        return flat.reshape(shape_of(self.extent))

    def read(self, position: SlicePosition) -> NDArray[np.bool_]:
        """One slice of the segment, bool (rows, columns) of the volume's slice; a copy."""
        mask = np.zeros(slice_size(self.grid.geometry.shape_kji, position.axis), dtype=np.bool_)
        if self.is_void:
            return mask
        if self.lattice.axes is None:
            return self._sample(_slice_points(self.grid, position))
        source: dict[int, Any] = {}
        target: dict[int, slice] = {}
        for label, axis in enumerate(self.lattice.axes):
            along = axis.volume_axis
            count = self.grid.shape_ijk[along]
            n = np.array([position.index]) if along == position.normal else np.arange(count)
            x = axis.nearest(n)
            inside = np.flatnonzero(
                (x >= self.extent[2 * label]) & (x <= self.extent[2 * label + 1])
            )
            if not inside.size:
                return mask
            target[along] = slice(inside[0], inside[-1] + 1)
            source[along] = x[target[along]] - self.extent[2 * label]
        block = self.voxels[_indexer([source[along] for along in self._array_order()])]
        column, row = position.in_plane
        mask[target[row], target[column]] = self._in_plane(block == self.label, position)
        return mask

    def write(
        self, position: SlicePosition, mask: NDArray[np.bool_], changed: NDArray[np.bool_]
    ) -> None:
        """Set the segment's voxels of one slice where ``changed``; the layer grows if it must.

        Needs a parallel lattice. The image is not told that it was modified.

        Raises:
            OverlapError: another segment of this layer is where the mask wants to be. Nothing has
                been written.
        """
        if not changed.any():
            return
        added = changed & mask
        if added.any():
            self._grow(self._covering(position, added))
        box = None if self.is_void else intersection(self._covering(position, changed), self.extent)
        if box is None:
            return
        block = self.voxels[window(self.extent, box)]
        there = {
            axis.volume_axis: axis.voxel_of(np.arange(box[2 * n], box[2 * n + 1] + 1))
            for n, axis in enumerate(self._axes)
        }
        column, row = position.in_plane
        cells = _indexer([there[row], there[column]])
        sets = self._in_block(added[cells], position)
        clears = self._in_block((changed & ~mask)[cells], position) & (block == self.label)
        if np.any(sets & (block != 0) & (block != self.label)):
            raise OverlapError
        np.copyto(block, block.dtype.type(self.label), where=sets)
        np.copyto(block, block.dtype.type(0), where=clears)

    def fit(self) -> None:
        """Bring the labelmap onto the volume's lattice; it must hold this segment alone.

        At the centres of the volume's voxels nothing changes, on no slice. What lies outside the
        volume is kept too.
        """
        extent: Extent = (0, -1, 0, -1, 0, -1)
        corners = self._occupied_corners()
        if corners is not None:
            moved = corners @ self.lattice.to_volume[:3, :3].T + self.lattice.to_volume[:3, 3]
            low, high = np.floor(moved.min(axis=0)), np.ceil(moved.max(axis=0))
            extent = extent_of([(int(a), int(b)) for a, b in zip(low, high, strict=True)])
        voxels = np.zeros(shape_of(extent), np.uint8)
        i, j = np.meshgrid(np.arange(extent[0], extent[1] + 1), np.arange(extent[2], extent[3] + 1))
        for at, plane in enumerate(voxels):
            plane[:] = self._sample(np.stack([i, j, np.full_like(i, extent[4] + at)], axis=-1))
        self.image.SetGeometryFromImageToWorldMatrix(matrix_of(self.node_from_ijk))
        self._replace(extent, voxels)

    @property
    def _axes(self) -> tuple[AxisMap, AxisMap, AxisMap]:
        axes = self.lattice.axes
        assert axes is not None, "the labelmap is not parallel to the volume"  # noqa: S101
        return axes

    def _sample(self, points_ijk: NDArray[Any]) -> NDArray[np.bool_]:
        x = self.lattice.sample(points_ijk)
        low, high = np.array(self.extent[::2]), np.array(self.extent[1::2])
        inside = np.all((x >= low) & (x <= high), axis=-1)
        i, j, k = np.moveaxis(np.where(inside[..., None], x - low, 0), -1, 0)
        found: NDArray[np.bool_] = (self.voxels[k, j, i] == self.label) & inside
        return found

    def _occupied_corners(self) -> NDArray[np.float64] | None:
        """The corners (8, 3) of the segment's bounding box, in labelmap indices."""
        if self.is_void:
            return None
        mine = self.voxels == self.label
        if not mine.any():
            return None
        sides = []
        for label, others in enumerate(((0, 1), (0, 2), (1, 2))):
            occupied = np.flatnonzero(mine.any(axis=others)) + self.extent[2 * label]
            sides.append((occupied[0] - 0.5, occupied[-1] + 0.5))
        return np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 3)

    def _covering(self, position: SlicePosition, mask: NDArray[np.bool_]) -> Extent:
        """The labelmap indices that cover a mask's bounding box on a slice; it is not empty."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        column, row = position.in_plane
        covered = {
            position.normal: (position.index, position.index),
            row: (int(rows[0]), int(rows[-1])),
            column: (int(columns[0]), int(columns[-1])),
        }
        return extent_of([a.covering(*covered[a.volume_axis]) for a in self._axes])

    def _grow(self, needed: Extent) -> None:
        """Make the labelmap cover ``needed``, and on the sides where it grows some more."""
        old = None if self.is_void else self.extent
        ranges = []
        for label, axis in enumerate(self._axes):
            first, last = needed[2 * label : 2 * label + 2]
            low, high = (first, last) if old is None else old[2 * label : 2 * label + 2]
            more = max(_LEAST_GROWTH, int((max(last, high) - min(first, low) + 1) * _GROWTH))
            whole = axis.covering(0, self.grid.shape_ijk[axis.volume_axis] - 1)
            if old is None or first < low:
                low = min(first, max(whole[0], first - more))
            if old is None or last > high:
                high = max(last, min(whole[1], last + more))
            ranges.append((low, high))
        new = extent_of(ranges)
        if new == old:
            return
        # numpy's zeros are the system's: pages that are never touched cost neither time nor memory.
        voxels = np.zeros(shape_of(new), np.uint8 if old is None else self.voxels.dtype)
        if old is not None:
            voxels[window(new, old)] = self.voxels
        self._replace(new, voxels)

    def _replace(self, extent: Extent, voxels: NDArray[Any]) -> None:
        scalars = numpy_to_vtk(voxels.ravel())
        scalars.SetName("ImageScalars")
        # Setting the extent tells observers at once: there must never be fewer voxels than it says.
        if voxels.size < self.image.GetNumberOfPoints():
            self.image.SetExtent(extent)
        self.image.GetPointData().SetScalars(scalars)
        self.image.SetExtent(extent)

    def _in_plane(self, block: NDArray[np.bool_], position: SlicePosition) -> NDArray[np.bool_]:
        """A block one voxel thick along the normal as (rows, columns)."""
        order = self._array_order()
        flat = block.squeeze(axis=order.index(position.normal))
        column, row = position.in_plane
        return flat if order.index(row) < order.index(column) else flat.T

    def _in_block(self, plane: NDArray[np.bool_], position: SlicePosition) -> NDArray[np.bool_]:
        """(rows, columns) as a block that broadcasts along the normal."""
        order = self._array_order()
        column, row = position.in_plane
        turned = plane if order.index(row) < order.index(column) else plane.T
        return np.expand_dims(turned, order.index(position.normal))

    def _array_order(self) -> list[int]:
        """The volume's axes (0, 1, 2 for i, j, k) in the order of the labelmap array's."""
        return [axis.volume_axis for axis in reversed(self._axes)]


def _indexer(indices: list[NDArray[np.int64]]) -> tuple[Any, ...]:
    """Index an array by index arrays, one per axis, as a view wherever they are consecutive."""
    slices = []
    for along in indices:
        step = int(along[1] - along[0]) if along.size > 1 else 1
        if step not in (-1, 1) or np.any(np.diff(along) != step):
            return np.ix_(*indices)
        stop = int(along[-1]) + step
        slices.append(slice(int(along[0]), None if stop < 0 else stop, step))
    return tuple(slices)


def _slice_points(grid: Grid, position: SlicePosition) -> NDArray[np.int64]:
    """The voxel indices (rows, columns, 3) of a slice."""
    column, row = position.in_plane
    columns, rows = np.arange(grid.shape_ijk[column]), np.arange(grid.shape_ijk[row])
    points = np.empty((rows.size, columns.size, 3), np.int64)
    points[..., position.normal] = position.index
    points[..., column] = columns
    points[..., row] = rows[:, None]
    return points
