"""The part of a volume that models are shown: a markups ROI, or what was chosen instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import vtk

from MedSAGaSlicerLib.engine.regions.choice import AUTO, WHOLE, RegionChoice
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.prompt_markups import SEGMENT_ATTRIBUTE, lay_along
from MedSAGaSlicerLib.scene.volumes import array_of, grid_of

if TYPE_CHECKING:
    import slicer
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.scene.session import Session
    from MedSAGaSlicerLib.scene.volumes import Grid

_TURNED: Final = 0.02
"""How far the cosines of a ROI's axes and the volume's may be from 0 and 1: about a degree."""

# A ROI's edge that lies on a voxel's centre, but for rounding, takes the voxel in.
_TIE: Final = 1e-4


def chosen_region(session: Session) -> RegionChoice:
    """What an annotation shows of its volume now, wherever its ROI was moved meanwhile.

    Raises:
        InputError: the ROI is turned against the volume or lies beside it.
    """
    roi = session.region_node
    if roi is None or session.volume is None:
        return RegionChoice(session.region_strategy)
    return region_of(roi, grid_of(session.volume))


def choose_region(session: Session, region: slicer.vtkMRMLMarkupsROINode | str | None) -> None:
    """Have an annotation show a ROI's voxels, or "auto" (None means that) or "whole".

    Raises:
        InputError: it is none of these, or a ROI that cannot be used.
    """
    if region is None or region in (AUTO, WHOLE):
        session.region_node = None
        session.region_strategy = str(region or AUTO)
        return
    if isinstance(region, str) or not region.IsA("vtkMRMLMarkupsROINode"):
        what = region if isinstance(region, str) else region.GetName()
        msg = (
            f"{what!r} is no region: give a markups ROI, {AUTO!r} or {WHOLE!r}. Tiles are for the "
            "command line."
        )
        raise InputError(msg)
    if session.volume is None or region.GetScene() is not session.volume.GetScene():
        msg = f"The ROI {region.GetName()!r} is in another scene than the volume. Add it to that."
        raise InputError(msg)
    region_of(region, grid_of(session.volume))
    session.region_node = region


def region_of(roi: slicer.vtkMRMLMarkupsROINode, grid: Grid) -> RegionChoice:
    """The voxels whose centres lie in a ROI; a thinner one is the voxel that its middle lies in.

    Where the ROI reaches beyond the volume, the region ends with the volume.

    Raises:
        InputError: its axes are not along the volume's, or no voxel is in it.
    """
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(roi.GetObjectToWorldMatrix())
    to_world = array_of(matrix)
    _check_straight(roi, to_world, grid)
    bounds = [0.0] * 6
    roi.GetObjectBounds(bounds)
    corners = np.stack(np.meshgrid(bounds[:2], bounds[2:4], bounds[4:]), axis=-1).reshape(-1, 3)
    corners_ijk = grid.to_ijk(corners @ to_world[:3, :3].T + to_world[:3, 3])
    low, high = corners_ijk.min(axis=0), corners_ijk.max(axis=0)
    first = np.ceil(low - _TIE).astype(int)
    last = np.floor(high + _TIE).astype(int)
    middle = np.floor((low + high) / 2 + 0.5).astype(int)
    first, last = np.where(first > last, middle, first), np.where(first > last, middle, last)
    first, last = np.maximum(first, 0), np.minimum(last, np.array(grid.shape_ijk) - 1)
    if (first > last).any():
        msg = (
            f"The region of interest {roi.GetName()!r} lies beside the volume: no voxel is in it. "
            "Move it onto the volume, or take it off the annotation."
        )
        raise InputError(msg)
    i, j, k = ((int(a), int(b) + 1) for a, b in zip(first, last, strict=True))
    return RegionChoice.of((i, j, k))


def is_blank(roi: slicer.vtkMRMLMarkupsROINode) -> bool:
    """Whether a ROI is nowhere yet, as a new one is."""
    return not any(roi.GetSize())


def fit_region(roi: slicer.vtkMRMLMarkupsROINode, volume: slicer.vtkMRMLVolumeNode) -> None:
    """Lay a ROI about all voxels of a volume, with handles to make it smaller and none to turn it.

    Raises:
        InputError: the volume has no voxels, or none that lie straight.
    """
    grid = grid_of(volume)
    if roi.GetDisplayNode() is None:
        roi.CreateDefaultDisplayNodes()
    display = roi.GetDisplayNode()
    display.SetFillVisibility(False)
    display.SetHandlesInteractive(True)
    display.SetRotationHandleVisibility(False)
    count = np.array(grid.shape_ijk)
    lay_along(roi, grid, (count - 1) / 2, count)


def prompt_boxes(scene: slicer.vtkMRMLScene) -> tuple[slicer.vtkMRMLMarkupsROINode, ...]:
    """The ROIs of a scene that are prompts, and so no regions."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLMarkupsROINode")
    rois = (scene.GetNthNodeByClass(n, "vtkMRMLMarkupsROINode") for n in range(count))
    return tuple(roi for roi in rois if roi.GetAttribute(SEGMENT_ATTRIBUTE))


def _check_straight(
    roi: slicer.vtkMRMLMarkupsROINode, to_world: NDArray[np.float64], grid: Grid
) -> None:
    axes = to_world[:3, :3] / np.linalg.norm(to_world[:3, :3], axis=0)
    voxels = grid.ijk_to_ras[:3, :3] / np.linalg.norm(grid.ijk_to_ras[:3, :3], axis=0)
    cosines = np.abs(axes.T @ voxels)
    if np.abs(cosines - np.rint(cosines)).max() > _TURNED:
        msg = (
            f"The region of interest {roi.GetName()!r} is turned against the voxels of the volume. "
            "Turn it so that its sides lie along the volume's axes, as a new one is in a volume "
            "that is not turned; or crop the volume by it (module Crop Volume)."
        )
        raise InputError(msg)
