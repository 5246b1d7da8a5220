import gc

import numpy as np
import pytest
import slicer
import vtk
from harness.drawn_segments import IDS, blobs, draw_all
from harness.orientations import add_volume, add_warp

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.segments import (
    LABELMAP,
    ORIGINAL_SUFFIX,
    SURFACE,
    has_surface,
    make_surface,
    make_writable,
    read_slice,
    remove_surface,
    segment_id_of,
    status_of,
    write_slice,
)
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of, world_from_node


def test_surfaces_are_turned_into_voxels_at_the_first_write_and_kept_as_a_copy(
    scene, volume, segmentation
):
    masks = blobs((12, 20, 24))
    draw_all(segmentation, volume, masks)
    make_surface(segmentation)
    segmentation.GetSegmentation().SetSourceRepresentationName(SURFACE)
    segmentation.GetSegmentation().RemoveRepresentation(LABELMAP)
    grid = grid_of(volume)
    read = read_slice(segmentation, "tumour", grid, SlicePosition("k", 6))
    overlap = (read & masks[0][6]).sum() * 2 / (read.sum() + masks[0][6].sum())
    assert overlap > 0.85  # the surface is smoothed
    assert segmentation.GetSegmentation().GetSourceRepresentationName() == SURFACE

    new = np.zeros((20, 24), bool)
    new[2:6, 3:9] = True
    write_slice(segmentation, "tumour", volume, SlicePosition("k", 6), new)
    assert segmentation.GetSegmentation().GetSourceRepresentationName() == LABELMAP
    assert np.array_equal(read_slice(segmentation, "tumour", grid, SlicePosition("k", 6)), new)
    copy = scene.GetFirstNodeByName(f"Segmentation{ORIGINAL_SUFFIX}")
    assert copy.GetSegmentation().GetSourceRepresentationName() == SURFACE
    assert not copy.GetDisplayVisibility()
    assert make_writable(segmentation, volume) is None


def test_a_representation_that_cannot_be_converted_is_refused(volume, segmentation):
    core = segmentation.GetSegmentation()
    for segment in IDS:
        core.GetSegment(segment).RemoveAllRepresentations()
        core.GetSegment(segment).AddRepresentation("Planar contour", vtk.vtkPolyData())
    core.SetSourceRepresentationName("Planar contour")
    with pytest.raises(InputError, match=r"Planar contour.*Segmentations module"):
        read_slice(segmentation, "liver", grid_of(volume), SlicePosition("k", 0))


def test_a_segmentation_under_a_warp_is_refused(scene, volume, segmentation):
    segmentation.SetAndObserveTransformNodeID(add_warp(scene).GetID())
    with pytest.raises(InputError, match="'Segmentation' lies under a non-linear"):
        read_slice(segmentation, "liver", grid_of(volume), SlicePosition("k", 0))


def test_an_empty_segmentation_without_geometry_takes_the_volumes(scene):
    volume = add_volume(scene, (1, 2, 0), (-1, 1, 1), "oblique and transformed")
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "fresh")
    segment = node.GetSegmentation().AddEmptySegment("", "one")
    mask = np.zeros((9, 11), bool)
    mask[3, 4] = True
    write_slice(node, segment, volume, SlicePosition("k", 2), mask)
    # Slicer's own function leaves out the transform of a volume that the segmentation is not under.
    baked = slicer.util.addVolumeFromArray(
        np.zeros((7, 9, 11), np.uint8), grid_of(volume).ijk_to_ras
    )
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, baked)
    assert np.argwhere(voxels).tolist() == [[2, 3, 4]]
    np.testing.assert_allclose(world_from_node(node), np.eye(4))


def test_a_segment_or_slice_that_is_not_there_is_refused_by_name(volume, segmentation):
    grid = grid_of(volume)
    with pytest.raises(InputError, match="no segment 'kidney'"):
        read_slice(segmentation, "kidney", grid, SlicePosition("k", 0))
    with pytest.raises(InputError, match="slices 0 to 11"):
        read_slice(segmentation, "liver", grid, SlicePosition("k", 12))
    with pytest.raises(InputError, match="slices 0 to 11"):
        write_slice(segmentation, "liver", volume, SlicePosition("k", -1), np.zeros((20, 24), bool))


def test_segments_are_found_by_identifier_then_by_name_in_any_script(segmentation):
    core = segmentation.GetSegmentation()
    identifier = core.AddEmptySegment("", "肝臓/左")
    assert segment_id_of(segmentation, "肝臓/左") == identifier
    assert segment_id_of(segmentation, identifier) == identifier
    assert segment_id_of(segmentation, "Liver") is None
    core.AddEmptySegment("", "肝臓/左")
    with pytest.raises(InputError, match="2 segments"):
        segment_id_of(segmentation, "肝臓/左")


def test_the_status_starts_and_is_otherwise_kept(volume, segmentation):
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    mask = np.ones((20, 24), bool)
    assert status_of(segmentation, "liver") == logic.NotStarted
    write_slice(segmentation, "liver", volume, SlicePosition("k", 1), mask)
    assert status_of(segmentation, "liver") == logic.InProgress
    assert status_of(segmentation, "spleen") == logic.NotStarted
    for status in (logic.Completed, logic.Flagged):
        logic.SetSegmentStatus(segmentation.GetSegmentation().GetSegment("liver"), status)
        write_slice(segmentation, "liver", volume, SlicePosition("k", 1), ~mask)
        mask = ~mask
        assert status_of(segmentation, "liver") == status


def test_surfaces_for_3d_are_taken_away_and_made_again(volume, segmentation):
    assert not remove_surface(segmentation)
    draw_all(segmentation, volume, blobs((12, 20, 24)))
    make_surface(segmentation)
    assert has_surface(segmentation)
    assert remove_surface(segmentation)
    assert not has_surface(segmentation)


def test_a_write_tells_slicer_and_survives_its_undo(volume, segmentation):
    history = slicer.vtkSegmentationHistory()
    history.SetSegmentation(segmentation.GetSegmentation())
    seen = []
    segmentation.GetSegmentation().AddObserver(
        slicer.vtkSegmentation.SourceRepresentationModified, lambda *_: seen.append(1)
    )
    masks = [np.zeros((20, 24), bool) for _ in range(3)]
    for n, mask in enumerate(masks):
        mask[n : n + 5, 3:9] = True
        history.SaveState()
        write_slice(segmentation, "liver", volume, SlicePosition("k", 2 * n), mask)
        gc.collect()
    assert len(seen) >= 3
    history.RestorePreviousState()
    grid = grid_of(volume)
    assert not read_slice(segmentation, "liver", grid, SlicePosition("k", 4)).any()
    assert np.array_equal(read_slice(segmentation, "liver", grid, SlicePosition("k", 2)), masks[1])
    history.RestoreNextState()
    assert np.array_equal(read_slice(segmentation, "liver", grid, SlicePosition("k", 4)), masks[2])


def test_a_labelmap_with_many_labels_keeps_its_number_type(volume, segmentation):
    draw_all(segmentation, volume, blobs((12, 20, 24)))
    image = segmentation.GetBinaryLabelmapInternalRepresentation("liver")
    cast = vtk.vtkImageCast()
    cast.SetInputData(image)
    cast.SetOutputScalarTypeToShort()
    cast.Update()
    image.GetPointData().SetScalars(cast.GetOutput().GetPointData().GetScalars())
    mask = np.ones((20, 24), bool)
    write_slice(segmentation, "liver", volume, SlicePosition("k", 0), mask)
    assert image.GetScalarTypeAsString() == "short"
    assert np.array_equal(
        read_slice(segmentation, "liver", grid_of(volume), SlicePosition("k", 0)), mask
    )
