"""How the voxels of a labelmap lie against those of a volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from MedSAGaSlicerLib.scene.volumes import voxel_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

# How far, in volume voxels, two lattices may drift apart over a volume and still be taken for one.
_DRIFT_VOXELS: Final = 0.1

Extent = tuple[int, int, int, int, int, int]
"""First and last index along i, j, k, as VTK has it; a last below its first means no voxel."""


@dataclass(frozen=True)
class AxisMap:
    """One labelmap axis along one volume axis: volume coordinate = scale * x + offset."""

    volume_axis: int
    scale: float
    offset: float

    @classmethod
    def of(cls, volume_axis: int, scale: float, offset: float, count: int) -> AxisMap:
        """Take a step that is one voxel but for rounding over ``count`` voxels for one voxel."""
        step, centre = float(np.copysign(1.0, scale)), (count - 1) / 2
        if abs(scale - step) * count > _DRIFT_VOXELS:
            return cls(volume_axis, float(scale), float(offset))
        return cls(volume_axis, step, float(centre - step * (centre - offset) / scale))

    def voxel_of(self, x: ArrayLike) -> NDArray[np.int64]:
        """The volume indices that labelmap indices lie in."""
        return voxel_of(np.asarray(x, dtype=np.float64) * self.scale + self.offset)

    def nearest(self, n: ArrayLike) -> NDArray[np.int64]:
        """For each volume index a labelmap index that lies in it, as near its centre as can be."""
        volume = np.asarray(n, dtype=np.int64)
        found = voxel_of((volume - self.offset) / self.scale)
        # Only where two are equally near can rounding have taken the neighbour's.
        astray = self.voxel_of(found) - volume
        return found - astray if self.scale > 0 else found + astray

    def covering(self, first: int, last: int) -> tuple[int, int]:
        """The first and last labelmap index that lie in the volume indices first..last."""
        edges = (np.array([first - 0.5, last + 0.5]) - self.offset) / self.scale
        candidates = np.arange(int(np.floor(edges.min())) - 1, int(np.ceil(edges.max())) + 2)
        voxels = self.voxel_of(candidates)
        inside = candidates[(voxels >= first) & (voxels <= last)]
        return int(inside[0]), int(inside[-1])


@dataclass(frozen=True, eq=False)
class Lattice:
    """A labelmap's voxel axes against a volume's.

    ``to_volume`` (4x4) takes labelmap indices (i, j, k) to voxel coordinates of the volume.
    ``axes`` maps each labelmap axis i, j, k, if the lattices are parallel and no labelmap voxel is
    larger than a volume voxel: then every volume voxel holds whole labelmap voxels, and a slice can
    be written without touching the next. Otherwise it is None.
    """

    to_volume: NDArray[np.float64]
    axes: tuple[AxisMap, AxisMap, AxisMap] | None

    @classmethod
    def between(cls, to_volume: NDArray[np.float64], shape_ijk: tuple[int, int, int]) -> Lattice:
        """Compare the lattices over the extent of a volume of ``shape_ijk``."""
        linear = np.abs(to_volume[:3, :3])
        order = [int(np.argmax(linear[:, label])) for label in range(3)]
        if sorted(order) != [0, 1, 2]:
            return cls(to_volume, None)
        lengths = np.array([shape_ijk[v] / linear[v, label] for label, v in enumerate(order)])
        axes = []
        for label, volume in enumerate(order):
            # How far the volume coordinate runs away while one crosses the volume along the others.
            drift = np.delete(linear[volume] * lengths, label).sum()
            axis = AxisMap.of(
                volume, to_volume[volume, label], to_volume[volume, 3], shape_ijk[volume]
            )
            if drift > _DRIFT_VOXELS or abs(axis.scale) > 1:
                return cls(to_volume, None)
            axes.append(axis)
        return cls(to_volume, (axes[0], axes[1], axes[2]))

    def sample(self, points_ijk: NDArray[np.float64]) -> NDArray[np.int64]:
        """The labelmap indices (..., 3) that hold volume voxel coordinates (..., 3)."""
        back = np.linalg.inv(self.to_volume)
        return voxel_of(points_ijk @ back[:3, :3].T + back[:3, 3])


def extent_of(ranges: Sequence[tuple[int, int]]) -> Extent:
    """An extent of the (first, last) along i, j, k."""
    (a, b), (c, d), (e, f) = ranges
    return a, b, c, d, e, f


def intersection(one: Extent, other: Extent) -> Extent | None:
    """What two extents share, None if nothing."""
    shared = [(max(one[n], other[n]), min(one[n + 1], other[n + 1])) for n in (0, 2, 4)]
    return extent_of(shared) if all(first <= last for first, last in shared) else None


def union(one: Extent, other: Extent) -> Extent | None:
    """The smallest extent that covers both, None if neither has a voxel."""
    filled = [extent for extent in (one, other) if 0 not in shape_of(extent)]
    if not filled:
        return None
    return extent_of(
        [(min(e[n] for e in filled), max(e[n + 1] for e in filled)) for n in (0, 2, 4)]
    )


def window(extent: Extent, part: Extent) -> tuple[slice, slice, slice]:
    """Where ``part`` lies in an array (k, j, i) that covers ``extent``."""
    i, j, k = (slice(part[n] - extent[n], part[n + 1] - extent[n] + 1) for n in (0, 2, 4))
    return k, j, i


def shape_of(extent: Extent) -> tuple[int, int, int]:
    """Shape (k, j, i) of the array that covers an extent."""
    i, j, k = (max(0, extent[n + 1] - extent[n] + 1) for n in (0, 2, 4))
    return k, j, i
