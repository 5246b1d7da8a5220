"""Volume nodes as arrays and grids in the world, whatever they are and wherever they were moved."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from MedSAGaSlicerLib.engine.geometry import Geometry, check_axis, slice_of
from MedSAGaSlicerLib.engine.intensity import Normalisation, measure
from MedSAGaSlicerLib.engine.neighbours import neighbours_of, stacked
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
    from MedSAGaSlicerLib.engine.regions.window import Window

NORMALISATION_ATTRIBUTE: Final = "MedSAGa.Normalisation"

# A coordinate exactly between two voxels shall not flip from one to the other by rounding.
_TIE: Final = 1e-6

_HOUNSFIELD_UNITS: Final = "[hnsf'U]"
_LPS_FROM_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Grid:
    """Where a volume's voxels lie in the world.

    ``ijk_to_ras`` is the 4x4 matrix from voxel indices (i, j, k) to RAS millimetres of the world,
    parent transforms included; voxel centres are at integers.
    """

    shape_ijk: tuple[int, int, int]
    ijk_to_ras: NDArray[np.float64]

    @cached_property
    def ras_to_ijk(self) -> NDArray[np.float64]:
        """The inverse of ``ijk_to_ras``."""
        return np.asarray(np.linalg.inv(self.ijk_to_ras), dtype=np.float64)

    @cached_property
    def geometry(self) -> Geometry:
        """The same grid as SimpleITK would describe it: in LPS."""
        matrix = _LPS_FROM_RAS @ self.ijk_to_ras
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        return Geometry(
            shape_ijk=self.shape_ijk,
            spacing_mm=_vector(spacing),
            origin=_vector(matrix[:3, 3]),
            directions=tuple(_vector(row) for row in matrix[:3, :3] / spacing),  # type: ignore[arg-type]
        )

    @cached_property
    def is_flat(self) -> bool:
        """Whether the voxels have no volume in the world, so that nothing can be placed in one."""
        return bool(abs(np.linalg.det(self.ijk_to_ras[:3, :3])) < np.finfo(np.float32).tiny)

    @cached_property
    def is_straight(self) -> bool:
        """Whether the voxel axes stand at right angles in the world."""
        return self.geometry.is_orthogonal

    def to_ijk(self, points_ras: ArrayLike) -> NDArray[np.float64]:
        """Voxel coordinates (..., 3) of world points (..., 3)."""
        return _transformed(self.ras_to_ijk, points_ras)

    def to_ras(self, points_ijk: ArrayLike) -> NDArray[np.float64]:
        """World points (..., 3) of voxel coordinates (..., 3)."""
        return _transformed(self.ijk_to_ras, points_ijk)

    def contains(self, ijk: ArrayLike) -> bool:
        """Whether a voxel coordinate (3,) lies in a voxel of the volume."""
        voxel = voxel_of(ijk)
        return bool(np.all(voxel >= 0) and np.all(voxel < self.shape_ijk))

    def distance_to(self, other: Grid) -> float:
        """How far apart the same voxel of two grids can lie, in voxels; inf if shapes differ."""
        return self.geometry.distance_to(other.geometry)


def voxel_of(coordinates: ArrayLike) -> NDArray[np.int64]:
    """The indices of the voxels that voxel coordinates lie in; halves go up."""
    found: NDArray[np.int64] = np.floor(
        np.asarray(coordinates, dtype=np.float64) + 0.5 + _TIE
    ).astype(np.int64)
    return found


def grid_of(volume: slicer.vtkMRMLVolumeNode) -> Grid:
    """Where the voxels of a volume node lie. No voxel is read: cheap enough for mouse events.

    Raises:
        InputError: there is no image, or the voxels do not form a right-angled grid in the world.
    """
    image = _image_of(volume)
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    ijk_to_ras = array_of(matrix)
    if volume.GetParentTransformNode() is not None:
        ijk_to_ras = world_from_node(volume) @ ijk_to_ras
    i, j, k = image.GetDimensions()
    grid = _grid(i, j, k, ijk_to_ras.tobytes())
    if grid.is_flat:
        msg = (
            f"The voxels of {volume.GetName()!r} have no extent. Correct its spacing or transform."
        )
        raise InputError(msg)
    if not grid.is_straight:
        msg = (
            f"The voxel axes of {volume.GetName()!r} do not stand at right angles (sheared, as by "
            "a tilted gantry or an affine registration). Resample it to a straight grid first, for "
            "instance with the module Crop Volume."
        )
        raise InputError(msg)
    return grid


def voxels_of(volume: slicer.vtkMRMLVolumeNode) -> NDArray[Any]:
    """The voxels as a view, (k, j, i) or (k, j, i, 3); colour's opacity is left out.

    Of a sequence's volume these are the frame's that is shown. Not to be written to, and not to be
    kept: the node may get another image at any time.

    Raises:
        InputError: there is no image, or its voxels are neither numbers nor colours.
    """
    image = _image_of(volume)
    i, j, k = image.GetDimensions()
    channels = image.GetNumberOfScalarComponents()
    voxels: NDArray[Any] = vtk_to_numpy(image.GetPointData().GetScalars())
    if channels == 1:
        return voxels.reshape(k, j, i)
    if channels in (3, 4):
        return voxels.reshape(k, j, i, channels)[..., :3]
    msg = (
        f"The voxels of {volume.GetName()!r} have {channels} components. Only single values and "
        "colours (3 or 4 components) can be segmented: extract one component into a volume."
    )
    raise InputError(msg)


def normalisation_of(volume: slicer.vtkMRMLVolumeNode) -> Normalisation:
    """How this volume's intensities become 8 bits: measured once, then kept on the node.

    Display window and level have no part in it, and a sequence has one for all frames. It is saved
    with the scene, so that annotation, teaching and finishing all see the same.

    Raises:
        InputError: see ``voxels_of``.
    """
    keeper = _keeper_of(volume)
    stored = keeper.GetAttribute(NORMALISATION_ATTRIBUTE)
    if stored:
        try:
            return Normalisation.from_dict(json.loads(stored))
        except (ValueError, InputError):
            # Someone else's text under our name: as good as none.
            pass
    normalisation = measure(voxels_of(volume), modality=_modality_of(volume))
    keeper.SetAttribute(NORMALISATION_ATTRIBUTE, json.dumps(normalisation.to_dict()))
    return normalisation


def pixels_of(
    volume: slicer.vtkMRMLVolumeNode, axis: str, index: int, window: Window | None = None
) -> NDArray[np.uint8]:
    """One normalised slice, or a part of it, uint8 (rows, columns) or (rows, columns, 3).

    It is contiguous, and a copy.

    Raises:
        InputError: there is no such slice; see also ``voxels_of``.
    """
    values = slice_of(voxels_of(volume), axis, index)
    voxels = np.ascontiguousarray(values if window is None else window.cut(values))
    return np.array(normalisation_of(volume).apply(voxels), dtype=np.uint8, order="C")


def shown_of(
    volume: slicer.vtkMRMLVolumeNode,
    axis: str,
    index: int,
    window: Window,
    region: RegionChoice,
    depth: int = 1,
) -> NDArray[np.uint8]:
    """What a model that looks at so many slices is shown: `pixels_of`, or a stack of it.

    See ``engine.neighbours``; slices that the region leaves out are none.

    Raises:
        InputError: see ``pixels_of``.
    """
    if depth == 1:
        return pixels_of(volume, axis, index, window)
    count = voxels_of(volume).shape[check_axis(axis)]
    around = neighbours_of(index, depth, lambda n: 0 <= n < count and region.has_slice(axis, n))
    return stacked([pixels_of(volume, axis, n, window) for n in around])


def world_from_node(node: slicer.vtkMRMLTransformableNode) -> NDArray[np.float64]:
    """The 4x4 matrix from a node's own coordinates to the world's, through all its parents.

    Raises:
        InputError: there is a warp among the parents.
    """
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        msg = (
            f"{node.GetName()!r} lies under a non-linear transform ({parent.GetName()!r}). Harden "
            "the transform, or take the node out of it, and try again."
        )
        raise InputError(msg)
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return array_of(matrix)


def array_of(matrix: vtk.vtkMatrix4x4) -> NDArray[np.float64]:
    """A VTK matrix as a numpy array of its own."""
    return np.array(matrix.GetData(), dtype=np.float64).reshape(4, 4)


def matrix_of(array: NDArray[np.float64]) -> vtk.vtkMatrix4x4:
    """A numpy array as a VTK matrix."""
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy([float(element) for element in array.ravel()])
    return matrix


@lru_cache(maxsize=8)
def _grid(i: int, j: int, k: int, ijk_to_ras: bytes) -> Grid:
    # Asked for many times per click, and nearly always the same.
    matrix = np.frombuffer(ijk_to_ras, dtype=np.float64).reshape(4, 4)
    return Grid((i, j, k), matrix)


def _image_of(volume: slicer.vtkMRMLVolumeNode) -> vtk.vtkImageData:
    image = volume.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        msg = f"The volume {volume.GetName()!r} has no image. Choose another, or load it again."
        raise InputError(msg)
    return image


def _keeper_of(volume: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLNode:
    # A sequence's volume gets its attributes anew with each frame; the sequence keeps its own.
    scene = volume.GetScene()
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode") if scene else 0):
        browser = scene.GetNthNodeByClass(n, "vtkMRMLSequenceBrowserNode")
        sequence = browser.GetSequenceNode(volume)
        if sequence is not None:
            return sequence
    return volume


def _modality_of(volume: slicer.vtkMRMLVolumeNode) -> str | None:
    # Slicer's DICOM reader states the unit; nothing else in the node tells CT from MR.
    units = volume.GetVoxelValueUnits()
    return "CT" if units is not None and units.GetCodeValue() == _HOUNSFIELD_UNITS else None


def _transformed(matrix: NDArray[np.float64], points: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(points, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def _vector(numbers: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(numbers[0]), float(numbers[1]), float(numbers[2])
