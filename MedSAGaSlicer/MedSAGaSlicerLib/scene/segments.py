"""Segments of a segmentation node: read or write one slice of one, and touch nothing else."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.labelmaps import Layer, OverlapError
from MedSAGaSlicerLib.scene.lattices import Lattice
from MedSAGaSlicerLib.scene.slices import check_position
from MedSAGaSlicerLib.scene.volumes import array_of, grid_of, world_from_node

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.scene.slices import SlicePosition
    from MedSAGaSlicerLib.scene.volumes import Grid

LABELMAP: Final = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
SURFACE: Final = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()

ORIGINAL_SUFFIX: Final = " (before conversion)"
"""What the name of the copy gets that is kept when a segmentation is turned into voxels."""


def segment_ids(node: slicer.vtkMRMLSegmentationNode) -> tuple[str, ...]:
    """The segments' identifiers in the segmentation's order."""
    return tuple(node.GetSegmentation().GetSegmentIDs())


def segment_id_of(node: slicer.vtkMRMLSegmentationNode, name_or_id: str) -> str | None:
    """The segment with this identifier, or else with this name; None if there is none.

    Raises:
        InputError: several segments have this name.
    """
    segmentation = node.GetSegmentation()
    ids = segment_ids(node)
    if name_or_id in ids:
        return name_or_id
    named = [i for i in ids if segmentation.GetSegment(i).GetName() == name_or_id]
    if len(named) > 1:
        msg = (
            f"{len(named)} segments of {node.GetName()!r} are called {name_or_id!r}. Rename all "
            "but one, or give the segment's identifier."
        )
        raise InputError(msg)
    return named[0] if named else None


def read_slice(
    node: slicer.vtkMRMLSegmentationNode, segment_id: str, grid: Grid, position: SlicePosition
) -> NDArray[np.bool_]:
    """One slice of a segment on the volume's grid, bool (rows, columns), a copy.

    A voxel counts if its centre lies in the segment. Segments that are no labelmap yet get one
    beside what they are.

    Raises:
        InputError: there is no such segment or slice, or the segment cannot be had as voxels.
    """
    check_position(grid, position)
    return layer_of(node, segment_id, grid).read(position)


def write_slice(
    node: slicer.vtkMRMLSegmentationNode,
    segment_id: str,
    volume: slicer.vtkMRMLVolumeNode,
    position: SlicePosition,
    mask: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Make one slice of one segment equal to ``mask``, and return where it was not, as bool.

    Both are (rows, columns) of the volume's slice. Other slices and other segments keep their
    voxels: where the mask meets another segment of the same labelmap, the segment gets one of its
    own. A segmentation that is no labelmap is turned into one first, with a copy kept beside it.

    Raises:
        InputError: there is no such segment or slice, or the segment cannot be had as voxels.
    """
    grid = grid_of(volume)
    check_position(grid, position)
    make_writable(node, volume)
    make_noticed(node)
    layer = layer_of(node, segment_id, grid)
    changed: NDArray[np.bool_] = layer.read(position) != mask
    if not changed.any():
        return changed
    if layer.lattice.axes is None:
        layer = _fitted(node, segment_id, grid)
    try:
        layer.write(position, mask, changed)
    except OverlapError:
        layer = _separated(node, segment_id, grid)
        layer.write(position, mask, changed)
    layer.image.Modified()
    # Slice views show a copy of the labelmap's head, which they make anew only when told so.
    core = node.GetSegmentation()
    core.InvokeEvent(core.RepresentationModified, segment_id)
    _start(core.GetSegment(segment_id))
    return changed


def has_content(node: slicer.vtkMRMLSegmentationNode, segment_id: str) -> bool:
    """Whether a segment has any voxel, or any surface if it has no voxels."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    image = segment.GetRepresentation(LABELMAP)
    if image is None:
        return bool(segment.GetContainedRepresentationNames())
    scalars = image.GetPointData().GetScalars()
    return scalars is not None and bool(np.any(vtk_to_numpy(scalars) == segment.GetLabelValue()))


def make_writable(
    node: slicer.vtkMRMLSegmentationNode, volume: slicer.vtkMRMLVolumeNode
) -> slicer.vtkMRMLSegmentationNode | None:
    """Make voxels what a segmentation consists of, unless they are.

    Conversion loses what is finer than a voxel, so a hidden copy of the segmentation as it was is
    kept in the scene; it is returned, None if nothing had to be converted.

    Raises:
        InputError: the segmentation cannot be converted.
    """
    segmentation = node.GetSegmentation()
    if segmentation.GetSourceRepresentationName() == LABELMAP:
        _refer_to(node, volume)
        return None
    original = _copy_of(node) if segmentation.GetNumberOfSegments() else None
    _refer_to(node, volume)
    _need_labelmaps(node)
    segmentation.SetSourceRepresentationName(LABELMAP)
    return original


def make_noticed(node: slicer.vtkMRMLSegmentationNode) -> None:
    """See to it that a segmentation tells of every change of its voxels.

    After loading, Slicer (5.12) does not listen to a labelmap that the last segment has to itself:
    its views do not follow what is done there, and nobody hears of it.
    """
    segmentation = node.GetSegmentation()
    for segment_id in segment_ids(node):
        segment = segmentation.GetSegment(segment_id)
        image = segment.GetRepresentation(LABELMAP)
        if image is not None and not image.HasObserver(vtk.vtkCommand.ModifiedEvent):
            segment.Modified()


def has_surface(node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether the segments are shown as surfaces in 3-D, which every write would make anew."""
    return bool(node.GetSegmentation().ContainsRepresentation(SURFACE))


def remove_surface(node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Take derived surfaces away and return whether there were any; they cost seconds per edit."""
    segmentation = node.GetSegmentation()
    if segmentation.GetSourceRepresentationName() == SURFACE or not has_surface(node):
        return False
    segmentation.RemoveRepresentation(SURFACE)
    return True


def make_surface(node: slicer.vtkMRMLSegmentationNode) -> None:
    """Make the surfaces for 3-D; takes seconds for large segments."""
    node.CreateClosedSurfaceRepresentation()


def status_of(node: slicer.vtkMRMLSegmentationNode, segment_id: str) -> int:
    """The segment's status as the Segment Editor knows it: NotStarted, InProgress, ..."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    return int(slicer.vtkSlicerSegmentationsModuleLogic.GetSegmentStatus(segment))


def set_status(node: slicer.vtkMRMLSegmentationNode, segment_id: str, status: int) -> None:
    """Set the segment's status."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    slicer.vtkSlicerSegmentationsModuleLogic.SetSegmentStatus(segment, status)


def node_from_ijk(node: slicer.vtkMRMLSegmentationNode, grid: Grid) -> NDArray[np.float64]:
    """The 4x4 matrix from the volume's voxel coordinates to the segmentation node's own.

    Raises:
        InputError: the segmentation lies under a non-linear transform.
    """
    if node.GetParentTransformNode() is None:
        return grid.ijk_to_ras
    matrix: NDArray[np.float64] = np.linalg.inv(world_from_node(node)) @ grid.ijk_to_ras
    return matrix


def layer_of(node: slicer.vtkMRMLSegmentationNode, segment_id: str, grid: Grid) -> Layer:
    """The labelmap that a segment is in, against a volume's grid; not to be kept.

    Raises:
        InputError: there is no such segment, or it cannot be had as voxels.
    """
    segment = node.GetSegmentation().GetSegment(segment_id)
    if segment is None:
        msg = (
            f"The segmentation {node.GetName()!r} has no segment {segment_id!r}. It may have been "
            "removed: choose another."
        )
        raise InputError(msg)
    _need_labelmaps(node)
    image = segment.GetRepresentation(LABELMAP)
    from_ijk = node_from_ijk(node, grid)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    lattice = _lattice(from_ijk.tobytes(), array_of(matrix).tobytes(), grid.shape_ijk)
    layer = Layer(image, int(segment.GetLabelValue()), lattice, grid, from_ijk)
    if layer.is_void and not np.allclose(array_of(matrix), from_ijk, rtol=0, atol=1e-6):
        # Nothing there yet that could be lost by laying it out anew. Slicer's editor overlooks
        # other segments below its brush where a labelmap has another lattice than the volume.
        layer.fit()
        return layer_of(node, segment_id, grid)
    return layer


@lru_cache(maxsize=32)
def _lattice(from_ijk: bytes, from_label: bytes, shape_ijk: tuple[int, int, int]) -> Lattice:
    # Asked for several times per click, and nearly always the same.
    to_node, labels = (np.frombuffer(each).reshape(4, 4) for each in (from_ijk, from_label))
    return Lattice.between(np.linalg.inv(to_node) @ labels, shape_ijk)


def _separated(node: slicer.vtkMRMLSegmentationNode, segment_id: str, grid: Grid) -> Layer:
    node.GetSegmentation().SeparateSegmentLabelmap(segment_id)
    return layer_of(node, segment_id, grid)


def _fitted(node: slicer.vtkMRMLSegmentationNode, segment_id: str, grid: Grid) -> Layer:
    _separated(node, segment_id, grid).fit()
    return layer_of(node, segment_id, grid)


def _need_labelmaps(node: slicer.vtkMRMLSegmentationNode) -> None:
    segmentation = node.GetSegmentation()
    if segmentation.ContainsRepresentation(LABELMAP) or not segmentation.GetNumberOfSegments():
        return
    if segmentation.CreateRepresentation(LABELMAP):
        return
    msg = (
        f"The segmentation {node.GetName()!r} consists of "
        f"{segmentation.GetSourceRepresentationName()!r} and cannot be turned into voxels here. "
        "Convert it to a binary labelmap in the Segmentations module, then try again."
    )
    raise InputError(msg)


def _refer_to(node: slicer.vtkMRMLSegmentationNode, volume: slicer.vtkMRMLVolumeNode) -> None:
    """Lay new voxels out like the volume's, unless the person has chosen otherwise."""
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    if not node.GetSegmentation().GetConversionParameter(name):
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)


def _copy_of(node: slicer.vtkMRMLSegmentationNode) -> slicer.vtkMRMLSegmentationNode:
    name = f"{node.GetName()}{ORIGINAL_SUFFIX}"
    copy = node.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    copy.GetSegmentation().DeepCopy(node.GetSegmentation())
    copy.SetAndObserveTransformNodeID(node.GetTransformNodeID())
    copy.CreateDefaultDisplayNodes()
    copy.GetDisplayNode().SetVisibility(False)
    return copy


def _start(segment: slicer.vtkSegment) -> None:
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    if logic.GetSegmentStatus(segment) == logic.NotStarted:
        logic.SetSegmentStatus(segment, logic.InProgress)
