"""Volumes in every storage order, straight or oblique, moved by transforms or not."""

from itertools import permutations, product

import numpy as np
import numpy.typing as npt
import slicer
import vtk

ORDERS = tuple(
    (order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
)
"""The 48 ways to store a volume: which world axis i, j, k run along, and which way."""

PLACEMENTS = ("straight", "oblique", "transformed", "oblique and transformed")

SHAPE_KJI = (7, 9, 11)
SPACING = (0.8, 1.3, 2.9)


def turn(axis: tuple[float, float, float], degrees: float) -> npt.NDArray[np.float64]:
    """A 4x4 rotation about an axis through the origin."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    across = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[:3, :3] += np.sin(angle) * across + (1 - np.cos(angle)) * across @ across
    return matrix


def ijk_to_ras(
    order: tuple[int, int, int], signs: tuple[int, int, int], placement: str
) -> npt.NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = 0
    for column, (row, sign, spacing) in enumerate(zip(order, signs, SPACING, strict=True)):
        matrix[row, column] = sign * spacing
    matrix[:3, 3] = (12.5, -31.0, 7.25)
    return turn((1, 2, 3), 23) @ matrix if "oblique" in placement else matrix


def add_transform(scene: slicer.vtkMRMLScene, matrix: npt.NDArray[np.float64]) -> object:
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Moved")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node


def add_volume(
    scene: slicer.vtkMRMLScene,
    order: tuple[int, int, int] = (0, 1, 2),
    signs: tuple[int, int, int] = (1, 1, 1),
    placement: str = "straight",
) -> slicer.vtkMRMLScalarVolumeNode:
    """A volume whose every voxel has its own value, under a chain of two transforms if asked."""
    voxels = np.arange(np.prod(SHAPE_KJI), dtype=np.int16).reshape(SHAPE_KJI)
    volume = slicer.util.addVolumeFromArray(voxels, ijk_to_ras(order, signs, placement), "V")
    if "transformed" in placement:
        outer = turn((0, 1, 1), -37)
        outer[:3, 3] = (5, 60, -20)
        inner = turn((3, -1, 2), 71)
        inner[:3, 3] = (-8, 0, 3)
        moved, shifted = add_transform(scene, outer), add_transform(scene, inner)
        shifted.SetAndObserveTransformNodeID(moved.GetID())
        volume.SetAndObserveTransformNodeID(shifted.GetID())
    return volume


def add_warp(scene: slicer.vtkMRMLScene) -> object:
    """A non-linear transform that moves almost nothing."""
    warp = vtk.vtkThinPlateSplineTransform()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for point in ((0, 0, 0), (50, 0, 0), (0, 50, 0), (0, 0, 50)):
        source.InsertNextPoint(point)
        target.InsertNextPoint([x + 0.1 for x in point])
    warp.SetSourceLandmarks(source)
    warp.SetTargetLandmarks(target)
    warp.SetBasisToR()
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "Warp")
    node.SetAndObserveTransformToParent(warp)
    return node
