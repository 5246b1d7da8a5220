"""How prompts look as markups nodes, and how a box becomes a ROI and a ROI a box."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
import vtk

from MedSAGaSlicerLib.scene.slices import SlicePosition, from_plane
from MedSAGaSlicerLib.scene.volumes import array_of, matrix_of, voxel_of

if TYPE_CHECKING:
    import slicer
    from numpy.typing import ArrayLike, NDArray

    from MedSAGaSlicerLib.engine.prompts import Box
    from MedSAGaSlicerLib.scene.volumes import Grid

SEGMENT_ATTRIBUTE: Final = "MedSAGa.Segment"

_TAG: Final = re.compile(r"([+-]) along ([ijk]), prompt ([1-9]\d{0,8})")

_NAME_ATTRIBUTE: Final = "MedSAGa.Name"

# Without the node's name, which Slicer would print through printf: "50 %s" brings it down.
_LABEL_FORMAT: Final = "%d"

# Green and vermilion: told apart by most colour-blind eyes, and points carry + or - as well.
_POSITIVE: Final = (0.1, 0.85, 0.3)
_NEGATIVE: Final = (0.95, 0.3, 0.05)

_GLYPH_PERCENT, _TEXT_PERCENT = 2.0, 3.0

# A box's handles, that they hide little of what is in it.
_HANDLE_PERCENT: Final = 1.5

# Coordinates go through matrices and files: what is not a thousandth of a voxel is no difference.
_DECIMALS: Final = 4


def tag_text(positive: bool, axis: str, number: int) -> str:
    """What a prompt is, beside where it is, readable in Slicer's own tables."""
    return f"{'+' if positive else '-'} along {axis}, prompt {number}"


def tag_of(text: str | None) -> tuple[bool, str, int] | None:
    """Sign, axis and number from what ``tag_text`` made; None if it is something else."""
    match = _TAG.fullmatch(text or "")
    return None if match is None else (match[1] == "+", match[2], int(match[3]))


def make_points(
    scene: slicer.vtkMRMLScene, segment: slicer.vtkSegment
) -> slicer.vtkMRMLMarkupsFiducialNode:
    """A point list for a segment's points, shown in slice views only."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", f"{segment.GetName()} points")
    node.SetAttribute(_NAME_ATTRIBUTE, node.GetName())
    node.SetControlPointLabelFormat(_LABEL_FORMAT)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetVisibility3D(False)
    # Positive points are selected ones: one list shows both signs.
    display.SetSelectedColor(*_POSITIVE)
    display.SetColor(*_NEGATIVE)
    display.SetGlyphTypeFromString("Circle2D")
    display.SetUseGlyphScale(True)
    display.SetGlyphScale(_GLYPH_PERCENT)
    display.SetTextScale(_TEXT_PERCENT)
    display.SetPointLabelsVisibility(True)
    return node


def make_box(
    scene: slicer.vtkMRMLScene, segment: slicer.vtkSegment
) -> slicer.vtkMRMLMarkupsROINode:
    """A ROI for a box of a segment, shown in slice views only."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", f"{segment.GetName()} box")
    node.SetAttribute(_NAME_ATTRIBUTE, node.GetName())
    node.SetControlPointLabelFormat(_LABEL_FORMAT)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetVisibility3D(False)
    display.SetFillVisibility(False)
    display.SetPropertiesLabelVisibility(False)
    # The middle, by which a box is moved, must not look like a point.
    display.SetGlyphTypeFromString("Cross2D")
    display.SetUseGlyphScale(True)
    display.SetGlyphScale(_GLYPH_PERCENT)
    display.SetRotationHandleVisibility(False)
    display.SetTranslationHandleVisibility(False)
    display.SetScaleHandleVisibility(True)
    display.SetHandlesInteractive(True)
    display.SetInteractionHandleScale(_HANDLE_PERCENT)
    display.SetGlyphScale(_HANDLE_PERCENT)
    return node


def show_sign(node: slicer.vtkMRMLMarkupsROINode, *, positive: bool) -> None:
    """Colour a box by its sign."""
    colour = _POSITIVE if positive else _NEGATIVE
    node.GetDisplayNode().SetColor(*colour)
    node.GetDisplayNode().SetSelectedColor(*colour)


def name_after(node: slicer.vtkMRMLMarkupsNode, segment: slicer.vtkSegment) -> None:
    """Follow the segment's name, unless the person has given the markups a name of their own."""
    if not has_own_name(node):
        kind = "box" if node.IsA("vtkMRMLMarkupsROINode") else "points"
        name = f"{segment.GetName()} {kind}"
        if node.GetName() != name:
            node.SetAttribute(_NAME_ATTRIBUTE, name)
            node.SetName(name)


def has_own_name(node: slicer.vtkMRMLMarkupsNode) -> bool:
    """Whether somebody has renamed the markups."""
    return bool(node.GetName() != node.GetAttribute(_NAME_ATTRIBUTE))


def put_box(
    node: slicer.vtkMRMLMarkupsROINode, grid: Grid, position: SlicePosition, box: Box
) -> None:
    """Make a ROI cover the voxels of a box: one slice thick, along the volume's axes."""
    extent = np.ones(3)
    extent[list(position.in_plane)] = box[2] - box[0] + 1, box[3] - box[1] + 1
    centre = from_plane(position, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    lay_along(node, grid, centre, extent)


def lay_along(
    node: slicer.vtkMRMLMarkupsROINode, grid: Grid, centre_ijk: ArrayLike, extent: ArrayLike
) -> None:
    """Lay a ROI along the volume's axes: about a centre, so many voxels wide along i, j, k."""
    directions = grid.ijk_to_ras[:3, :3] / np.linalg.norm(grid.ijk_to_ras[:3, :3], axis=0)
    if np.linalg.det(directions) < 0:
        # A box looks the same from either end of an axis, but a mirrored ROI does not work.
        directions[:, 2] *= -1
    centre, widths = grid.to_ras(centre_ijk), np.asarray(extent) * grid.geometry.spacing_mm
    object_to_node = np.eye(4)
    object_to_node[:3, :3] = directions
    object_to_node[:3, 3] = centre
    was_modifying = node.StartModify()
    node.SetAndObserveObjectToNodeMatrix(matrix_of(object_to_node))
    node.SetSize(*(float(x) for x in widths))
    node.SetCenterWorld(*(float(x) for x in centre))
    node.EndModify(was_modifying)


def box_of(
    node: slicer.vtkMRMLMarkupsROINode, grid: Grid, axis: str
) -> tuple[SlicePosition, Box] | None:
    """The slice and the box that a ROI, however moved or turned, means; None if outside.

    The box ends at the slice's border. A ROI thinner than a voxel is the voxel it lies in.
    """
    corners = grid.to_ijk(_corners_ras(node))
    low, high = corners.min(axis=0), corners.max(axis=0)
    position = SlicePosition(axis, 0)
    index = int(voxel_of((low + high)[position.normal] / 2))
    if not 0 <= index < grid.shape_ijk[position.normal]:
        return None
    sides = []
    for along in position.in_plane:
        last = grid.shape_ijk[along] - 1
        # A ROI ends at voxels' edges, a box at their centres.
        ends = float(low[along]) + 0.5, float(high[along]) - 0.5
        if ends[0] > ends[1]:
            ends = ((ends[0] + ends[1]) / 2,) * 2
        if ends[1] < -0.5 or ends[0] > last + 0.5:
            return None
        sides.append([round(min(max(end, 0.0), last), _DECIMALS) + 0.0 for end in ends])
    (left, right), (top, bottom) = sides
    return SlicePosition(axis, index), (left, top, right, bottom)


def can_be_dragged(display: slicer.vtkMRMLMarkupsDisplayNode) -> bool:
    """Whether the mouse is over a part that a press takes hold of: a point or a handle."""
    return int(display.GetActiveComponentType()) in {
        display.ComponentControlPoint,
        display.ComponentRotationHandle,
        display.ComponentScaleHandle,
        display.ComponentTranslationHandle,
    }


def _corners_ras(node: slicer.vtkMRMLMarkupsROINode) -> NDArray[np.float64]:
    bounds = [0.0] * 6
    node.GetObjectBounds(bounds)
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(node.GetObjectToWorldMatrix())
    corners = np.stack(np.meshgrid(bounds[:2], bounds[2:4], bounds[4:]), axis=-1).reshape(-1, 3)
    to_world = array_of(matrix)
    moved: NDArray[np.float64] = corners @ to_world[:3, :3].T + to_world[:3, 3]
    return moved
