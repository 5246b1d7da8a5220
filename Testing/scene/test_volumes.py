import json

import numpy as np
import pytest
import slicer
import vtk
from harness.orientations import ORDERS, PLACEMENTS, add_transform, add_volume, add_warp

from MedSAGaSlicerLib.engine.geometry import AXES
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.slices import SlicePosition, from_plane, locate, to_plane
from MedSAGaSlicerLib.scene.volumes import (
    NORMALISATION_ATTRIBUTE,
    grid_of,
    normalisation_of,
    pixels_of,
    voxels_of,
)


def slicers_ijk_to_world(volume, ijk):
    """The way through Slicer's own transform code, point by point."""
    local = [0.0, 0.0, 0.0]
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    local = matrix.MultiplyPoint((*ijk, 1))[:3]
    to_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        volume.GetParentTransformNode(), None, to_world
    )
    return to_world.TransformPoint(local)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_voxels_lie_where_slicer_says_and_come_back_in_every_orientation(scene, placement):
    generator = np.random.default_rng(7)
    for order, signs in ORDERS:
        volume = add_volume(scene, order, signs, placement)
        grid = grid_of(volume)
        for ijk in generator.uniform(-0.4, 6.4, size=(5, 3)):
            ras = grid.to_ras(ijk)
            np.testing.assert_allclose(ras, slicers_ijk_to_world(volume, ijk), atol=1e-9)
            assert np.abs(grid.to_ras(grid.to_ijk(ras)) - ras).max() <= 1e-6
            for axis in AXES:
                position, (column, row) = locate(grid, ras, axis)
                voxel = np.floor(ijk + 0.5)
                assert position.index == voxel["ijk".index(axis)]
                assert to_plane(ijk, axis) == pytest.approx((column, row))
                back = from_plane(position, column, row)
                assert np.array_equal(np.floor(back + 0.5), voxel)
        scene.RemoveNode(volume)


def test_the_grid_is_the_one_that_simpleitk_would_describe(scene):
    grid = grid_of(add_volume(scene, (2, 0, 1), (1, -1, -1), "oblique and transformed"))
    np.testing.assert_allclose(
        grid.geometry.ijk_to_lps, np.diag([-1, -1, 1, 1]) @ grid.ijk_to_ras, atol=1e-9
    )
    assert grid.geometry.shape_kji == (7, 9, 11)
    assert grid.geometry.spacing_mm == pytest.approx((0.8, 1.3, 2.9))


def test_voxels_are_a_view_and_are_not_changed_by_normalising(volume):
    before = voxels_of(volume).copy()
    pixels = pixels_of(volume, "j", 4)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (12, 24)
    assert pixels.flags["C_CONTIGUOUS"]
    pixels[:] = 0
    assert np.array_equal(voxels_of(volume), before)
    assert np.shares_memory(voxels_of(volume), slicer.util.arrayFromVolume(volume))


def test_the_normalisation_is_measured_once_and_survives_display_and_voxel_changes(volume):
    first = normalisation_of(volume)
    volume.CreateDefaultDisplayNodes()
    volume.GetDisplayNode().AutoWindowLevelOff()
    volume.GetDisplayNode().SetWindowLevel(10, 5)
    slicer.util.arrayFromVolume(volume)[:] = 7
    slicer.util.arrayFromVolumeModified(volume)
    assert normalisation_of(volume) == first
    assert json.loads(volume.GetAttribute(NORMALISATION_ATTRIBUTE)) == first.to_dict()


def test_a_damaged_normalisation_in_the_scene_is_measured_again(volume):
    first = normalisation_of(volume)
    for nonsense in ("{", '{"kind": "magic"}', "[]", '"window"', '{"kind": "window", "low": "x"}'):
        volume.SetAttribute(NORMALISATION_ATTRIBUTE, nonsense)
        assert normalisation_of(volume) == first


def test_a_volume_in_hounsfield_units_gets_the_ct_window(scene):
    voxels = np.random.default_rng(0).integers(0, 200, (4, 8, 8)).astype(np.int16)
    volume = slicer.util.addVolumeFromArray(voxels, name="CT")
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    volume.SetVoxelValueUnits(units)
    assert normalisation_of(volume).kind == "window"


def test_colour_is_read_as_three_channels_and_opacity_is_left_out(scene):
    voxels = np.random.default_rng(1).integers(0, 255, (3, 8, 9, 4)).astype(np.uint8)
    for channels in (3, 4):
        volume = slicer.util.addVolumeFromArray(
            voxels[..., :channels].copy(), name="photo", nodeClassName="vtkMRMLVectorVolumeNode"
        )
        assert np.array_equal(voxels_of(volume), voxels[..., :3])
        assert np.array_equal(pixels_of(volume, "k", 1), voxels[1, ..., :3])


def test_a_label_map_is_an_image_like_any_other(scene):
    labels = np.zeros((3, 8, 8), np.uint8)
    labels[1, 2:5, 2:5] = 3
    volume = slicer.util.addVolumeFromArray(labels, nodeClassName="vtkMRMLLabelMapVolumeNode")
    pixels = pixels_of(volume, "k", 1)
    assert pixels[3, 3] > pixels[0, 0]


def test_a_volume_of_other_components_is_refused_with_their_number(scene):
    voxels = np.zeros((3, 8, 8, 2), np.float32)
    volume = slicer.util.addVolumeFromArray(voxels, nodeClassName="vtkMRMLVectorVolumeNode")
    with pytest.raises(InputError, match="2 components"):
        voxels_of(volume)


def test_of_a_sequence_the_frame_that_is_shown_is_read(application, scene):
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "4D")
    for value in (10, 20, 30):
        frame = slicer.util.addVolumeFromArray(np.full((2, 4, 4), value, np.int16))
        sequence.SetDataNodeAtValue(frame, str(value))
        scene.RemoveNode(frame)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    logic = application.logics["Sequences"]
    logic.UpdateProxyNodesFromSequences(browser)
    proxy = browser.GetProxyNode(sequence)
    normalisation = normalisation_of(proxy)
    for item, value in enumerate((10, 20, 30)):
        browser.SetSelectedItemNumber(item)
        logic.UpdateProxyNodesFromSequences(browser)
        assert np.all(voxels_of(proxy) == value)
        assert normalisation_of(proxy) == normalisation


def test_a_sheared_volume_is_refused_with_the_reason(scene):
    volume = add_volume(scene)
    shear = np.eye(4)
    shear[0, 1] = 0.1
    volume.SetAndObserveTransformNodeID(add_transform(scene, shear).GetID())
    with pytest.raises(InputError, match="right angles"):
        grid_of(volume)


def test_a_volume_under_a_warp_is_refused_with_the_transforms_name(scene):
    volume = add_volume(scene)
    volume.SetAndObserveTransformNodeID(add_warp(scene).GetID())
    with pytest.raises(InputError, match=r"non-linear transform.*Warp"):
        grid_of(volume)


def test_a_linear_transform_under_a_warp_is_no_way_round(scene):
    volume = add_volume(scene, placement="transformed")
    outermost = volume.GetParentTransformNode().GetParentTransformNode()
    outermost.SetAndObserveTransformNodeID(add_warp(scene).GetID())
    with pytest.raises(InputError, match="non-linear"):
        grid_of(volume)


def test_a_volume_flattened_by_its_transform_is_refused(scene):
    volume = add_volume(scene)
    flat = add_transform(scene, np.diag([1.0, 1.0, 0.0, 1.0]))
    volume.SetAndObserveTransformNodeID(flat.GetID())
    with pytest.raises(InputError, match="no extent"):
        grid_of(volume)


def test_a_volume_without_an_image_is_refused_by_its_name(scene):
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Schädel/左")
    with pytest.raises(InputError, match="Schädel/左"):
        grid_of(volume)


def test_a_point_outside_is_refused_with_where_it_is(volume):
    grid = grid_of(volume)
    with pytest.raises(InputError, match=r"outside the volume, at voxel \(40\.0, 3\.0, 2\.0\)"):
        locate(grid, grid.to_ras((40, 3, 2)), "k")


def test_points_on_the_very_border_belong_to_the_border_voxels(volume):
    grid = grid_of(volume)
    for ijk in ((-0.5, -0.5, -0.5), (-0.5, 19.4999, 11.4999), (23.4999, -0.5, 3)):
        for axis in AXES:
            position, (column, row) = locate(grid, grid.to_ras(ijk), axis)
            assert position.index in (0, int(np.floor(ijk["ijk".index(axis)] + 0.5 + 1e-6)))
            assert column >= -0.5
            assert row >= -0.5


def test_a_single_slice_has_every_orientation(scene):
    volume = slicer.util.addVolumeFromArray(np.arange(30, dtype=np.uint8).reshape(1, 5, 6))
    assert pixels_of(volume, "k", 0).shape == (5, 6)
    assert pixels_of(volume, "j", 2).shape == (1, 6)
    position, _ = locate(grid_of(volume), grid_of(volume).to_ras((3, 2, 0.3)), "k")
    assert position == SlicePosition("k", 0)
