import numpy as np
import pytest
import slicer
from harness.orientations import ORDERS, PLACEMENTS, SHAPE_KJI, add_volume, turn

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.segments import read_slice, write_slice
from MedSAGaSlicerLib.scene.slices import (
    SlicePosition,
    align,
    aligned_slice_to_ras,
    locate,
    show_slice,
    shown_slice,
)
from MedSAGaSlicerLib.scene.volumes import array_of, grid_of

VIEWS = ("Axial", "Sagittal", "Coronal")


@pytest.fixture
def view(scene):
    """A slice node of 100 x 100 pixels and 50 mm, without anything that draws."""
    node = scene.AddNewNodeByClass("vtkMRMLSliceNode", "Red")
    node.SetLayoutName("Red")
    node.SetDimensions(100, 100, 1)
    node.SetFieldOfView(50, 50, 1)
    node.SetOrientation("Axial")
    return node


def add_segmentation(scene, volume):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "S")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    return node, node.GetSegmentation().AddEmptySegment("", "one")


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("orientation", VIEWS)
def test_a_click_in_a_view_sets_the_voxel_under_it_in_every_storage_order(
    scene, view, placement, orientation
):
    generator = np.random.default_rng(3)
    for order, signs in ORDERS:
        volume = add_volume(scene, order, signs, placement)
        node, segment = add_segmentation(scene, volume)
        grid = grid_of(volume)
        view.SetOrientation(orientation)
        view.JumpSliceByCentering(*grid.to_ras(np.array(SHAPE_KJI[::-1]) // 2))
        align(view, grid)
        shown = shown_slice(view, grid)
        index = int(generator.integers(grid.shape_ijk["ijk".index(shown.axis)]))
        show_slice(view, grid, SlicePosition(shown.axis, index))
        assert shown_slice(view, grid) == SlicePosition(shown.axis, index)

        target = np.array([generator.integers(n) for n in grid.shape_ijk], dtype=float)
        target["ijk".index(shown.axis)] = index
        inside = np.where(np.arange(3) == "ijk".index(shown.axis), 0, 0.45)
        ras = grid.to_ras(target + generator.uniform(-1, 1, 3) * inside)
        to_xy = np.linalg.inv(array_of(view.GetXYToRAS()))
        xy = to_xy[:3, :3] @ ras + to_xy[:3, 3]
        assert abs(xy[2]) < 1e-6
        clicked = view.GetXYToRAS().MultiplyPoint((xy[0], xy[1], 0, 1))[:3]

        position, (column, row) = locate(grid, clicked, shown.axis)
        mask = read_slice(node, segment, grid, position)
        mask[int(row + 0.5), int(column + 0.5)] = True
        write_slice(node, segment, volume, position, mask)
        # By Slicer's own way back to the volume's voxels.
        voxels = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, volume)
        assert np.argwhere(voxels).tolist() == [target[::-1].astype(int).tolist()]
        scene.RemoveNode(node)
        scene.RemoveNode(volume)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_an_aligned_view_shows_the_same_place_and_is_not_mirrored(scene, view, placement):
    for order, signs in ORDERS:
        volume = add_volume(scene, order, signs, placement)
        grid = grid_of(volume)
        view.SetOrientation("Coronal")
        view.GetSliceToRAS().DeepCopy(
            (turn((1, 0.5, 0.2), 12) @ array_of(view.GetSliceToRAS())).ravel().tolist()
        )
        view.UpdateMatrices()
        view.JumpSliceByCentering(*grid.to_ras((5, 4, 3)))
        old, new = array_of(view.GetSliceToRAS()), aligned_slice_to_ras(view, grid)
        assert np.linalg.det(old[:3, :3]) * np.linalg.det(new[:3, :3]) > 0
        assert np.all(np.einsum("ij,ij->j", old[:3, :2], new[:3, :2]) > 0.5)
        assert np.linalg.norm(old[:3, 3] - new[:3, 3]) <= max(grid.geometry.spacing_mm) / 2
        np.testing.assert_allclose(new[:3, :3].T @ new[:3, :3], np.eye(3), atol=1e-9)
        align(view, grid)
        shown_slice(view, grid)
        scene.RemoveNode(volume)


def test_an_oblique_view_is_refused_with_how_many_slices_it_crosses(view, volume):
    view.SetOrientation("Sagittal")
    with pytest.raises(InputError, match=r"Red cuts .* crosses \d+\.\d slices along [ijk].* Align"):
        shown_slice(view, grid_of(volume))


def test_a_turn_that_no_voxel_notices_is_no_obliqueness(scene, view):
    grid = grid_of(add_volume(scene))
    view.JumpSliceByCentering(*grid.to_ras((5, 4, 3)))
    assert shown_slice(view, grid) == SlicePosition("k", 3)
    turned = turn((1, 0, 0), 0.2) @ array_of(view.GetSliceToRAS())
    view.GetSliceToRAS().DeepCopy(turned.ravel().tolist())
    view.UpdateMatrices()
    assert shown_slice(view, grid) == SlicePosition("k", 3)


def test_any_plane_within_a_slices_thickness_shows_that_slice(scene, view):
    grid = grid_of(add_volume(scene))
    for part in (-0.49, -0.2, 0, 0.3, 0.49):
        view.JumpSliceByCentering(*grid.to_ras((5, 4, 3 + part)))
        assert shown_slice(view, grid) == SlicePosition("k", 3)


def test_a_plane_beside_the_volume_is_refused(scene, view):
    grid = grid_of(add_volume(scene))
    view.JumpSliceByCentering(*grid.to_ras((5, 4, 7)))
    with pytest.raises(InputError, match="outside the volume"):
        shown_slice(view, grid)


def test_a_thick_slab_is_refused(scene, view):
    grid = grid_of(add_volume(scene))
    view.JumpSliceByCentering(*grid.to_ras((5, 4, 3)))
    view.SetSlabReconstructionEnabled(True)
    with pytest.raises(InputError, match="slab"):
        shown_slice(view, grid)


def test_a_view_is_not_scrolled_to_a_slice_that_is_not_there(scene, view):
    grid = grid_of(add_volume(scene))
    with pytest.raises(InputError, match="slices 0 to 6"):
        show_slice(view, grid, SlicePosition("k", 7))


def test_the_one_slice_of_a_flat_volume_is_found(scene, view):
    volume = slicer.util.addVolumeFromArray(np.zeros((1, 5, 6), np.uint8))
    view.JumpSliceByCentering(2, 2, 0)
    assert shown_slice(view, grid_of(volume)) == SlicePosition("k", 0)
