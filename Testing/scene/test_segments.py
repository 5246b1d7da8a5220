import gc

import numpy as np
import pytest
import slicer
import vtk
from harness.orientations import add_transform, add_volume, add_warp, turn
from vtk.util.numpy_support import numpy_to_vtk

from MedSAGaSlicerLib.engine.geometry import AXES
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
from MedSAGaSlicerLib.scene.volumes import grid_of, matrix_of, world_from_node

IDS = ("tumour", "liver", "spleen")


def whole(node, segment, volume):
    """A segment on the volume's grid, slice by slice."""
    grid = grid_of(volume)
    slices = [
        read_slice(node, segment, grid, SlicePosition("k", k)) for k in range(grid.shape_ijk[2])
    ]
    return np.stack(slices)


def blobs(shape_kji, seed=0):
    """Three overlapping or touching balls, bool (k, j, i) each."""
    generator = np.random.default_rng(seed)
    zyx = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape_kji), indexing="ij"))
    centres = generator.uniform(-0.4, 0.4, size=(3, 3))
    return [((zyx - c[:, None, None, None]) ** 2).sum(axis=0) < 0.25 for c in centres]


def set_labelmap(node, segment, voxels, node_from_ijk, first=(0, 0, 0)):
    """Give a segment a labelmap of its own with any lattice and extent."""
    image = slicer.vtkOrientedImageData()
    image.SetGeometryFromImageToWorldMatrix(matrix_of(np.asarray(node_from_ijk, dtype=float)))
    k, j, i = voxels.shape
    image.SetExtent(
        first[0], first[0] + i - 1, first[1], first[1] + j - 1, first[2], first[2] + k - 1
    )
    scalars = numpy_to_vtk(voxels.astype(np.uint8).ravel(), deep=True)
    image.GetPointData().SetScalars(scalars)
    node.GetSegmentation().SeparateSegmentLabelmap(segment)
    target = node.GetSegmentation().GetSegment(segment)
    target.SetLabelValue(1)
    target.GetRepresentation(LABELMAP).DeepCopy(image)


def draw_all(node, volume, masks):
    """Put masks into the three segments by Slicer's own functions."""
    for segment, mask in zip(IDS, masks, strict=True):
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            mask.astype(np.uint8), node, segment, volume
        )


def slicers_arrays(node, volume):
    return [
        slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, volume) != 0 for segment in IDS
    ]


def test_every_slice_reads_as_slicer_reads_the_whole(volume, segmentation):
    masks = blobs((12, 20, 24))
    draw_all(segmentation, volume, masks)
    grid = grid_of(volume)
    for segment, mask in zip(IDS, masks, strict=True):
        for at, axis in enumerate(AXES):
            for index in range(mask.shape[at]):
                got = read_slice(segmentation, segment, grid, SlicePosition(axis, index))
                assert np.array_equal(got, mask.take(index, axis=at))


@pytest.mark.parametrize("collapsed", [False, True])
@pytest.mark.parametrize("axis", AXES)
def test_a_written_slice_touches_no_other_slice_and_no_other_segment(
    volume, segmentation, axis, collapsed
):
    masks = blobs((12, 20, 24), seed=4)
    masks[1] &= ~masks[0]
    draw_all(segmentation, volume, masks)
    if collapsed:
        segmentation.GetSegmentation().CollapseBinaryLabelmaps(False)
    generator = np.random.default_rng(5)
    for _ in range(12):
        which = int(generator.integers(3))
        index = int(generator.integers(masks[0].shape[AXES.index(axis)]))
        slot = (slice(None),) * AXES.index(axis) + (index,)
        new = generator.random(masks[which][slot].shape) < 0.4
        expected = masks[which][slot] != new
        changed = write_slice(segmentation, IDS[which], volume, SlicePosition(axis, index), new)
        assert np.array_equal(changed, expected)
        masks[which][slot] = new
        for got, mask in zip(slicers_arrays(segmentation, volume), masks, strict=True):
            assert np.array_equal(got, mask)


def test_segments_share_a_labelmap_until_they_overlap(volume, segmentation):
    plane = np.zeros((20, 24), bool)
    left, right = plane.copy(), plane.copy()
    left[5:10, 2:8] = True
    right[5:10, 8:14] = True
    write_slice(segmentation, "tumour", volume, SlicePosition("k", 3), left)
    write_slice(segmentation, "liver", volume, SlicePosition("k", 3), right)
    assert segmentation.GetSegmentation().GetNumberOfLayers() == 1
    write_slice(segmentation, "liver", volume, SlicePosition("k", 3), right | left)
    grid = grid_of(volume)
    assert np.array_equal(read_slice(segmentation, "tumour", grid, SlicePosition("k", 3)), left)
    assert segmentation.GetSegmentation().GetNumberOfLayers() == 2


def test_a_labelmap_smaller_than_the_volume_grows_as_needed_and_keeps_the_rest(
    volume, segmentation
):
    node_from_ijk = grid_of(volume).ijk_to_ras
    set_labelmap(segmentation, "liver", np.ones((2, 3, 4)), node_from_ijk, first=(6, 5, 4))
    corner = np.zeros((20, 24), bool)
    corner[-1, -1] = True
    write_slice(segmentation, "liver", volume, SlicePosition("k", 11), corner)
    expected = np.zeros((12, 20, 24), bool)
    expected[4:6, 5:8, 6:10] = True
    expected[11, -1, -1] = True
    assert np.array_equal(slicers_arrays(segmentation, volume)[1], expected)


def test_erasing_beyond_a_labelmaps_extent_does_not_make_it_grow(volume, segmentation):
    node_from_ijk = grid_of(volume).ijk_to_ras
    set_labelmap(segmentation, "liver", np.ones((2, 3, 4)), node_from_ijk, first=(6, 5, 4))
    nothing = np.zeros((20, 24), bool)
    write_slice(segmentation, "liver", volume, SlicePosition("k", 5), nothing)
    image = segmentation.GetBinaryLabelmapInternalRepresentation("liver")
    assert image.GetExtent() == (6, 9, 5, 7, 4, 5)
    assert whole(segmentation, "liver", volume).sum() == 12


def test_a_labelmap_larger_than_the_volume_keeps_what_lies_outside(volume, segmentation):
    node_from_ijk = grid_of(volume).ijk_to_ras
    set_labelmap(segmentation, "liver", np.ones((20, 30, 34)), node_from_ijk, first=(-5, -5, -4))
    write_slice(segmentation, "liver", volume, SlicePosition("j", 0), np.zeros((12, 24), bool))
    image = segmentation.GetBinaryLabelmapInternalRepresentation("liver")
    voxels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentation, "liver")
    assert image.GetExtent() == (-5, 28, -5, 24, -4, 15)
    assert voxels.sum() == 20 * 30 * 34 - 12 * 24


LATTICES = {
    "half the voxel size": np.diag([0.5, 0.5, 0.5, 1]),
    "finer across slices": np.diag([1, 1, 1 / 3, 1]),
    "finer by an odd part": np.diag([0.7, 0.9, 0.55, 1]),
    "shifted by part of a voxel": [[1, 0, 0, 0.3], [0, 1, 0, -0.4], [0, 0, 1, 0.2], [0, 0, 0, 1]],
    "shifted by half a voxel": [[1, 0, 0, 0.5], [0, 1, 0, 0.5], [0, 0, 1, 0.5], [0, 0, 0, 1]],
    "flipped and permuted": [[0, 0, -1, 23], [1, 0, 0, 0], [0, -1, 0, 19], [0, 0, 0, 1]],
    "rounded like a file header": np.eye(4) + 1e-5,
    "twice the voxel size": np.diag([2, 2, 2, 1]),
    "coarser along one axis": np.diag([0.5, 0.5, 1.7, 1]),
    "turned": turn((1, 2, 1), 20),
}


@pytest.mark.parametrize("name", LATTICES)
@pytest.mark.parametrize("axis", AXES)
def test_any_other_geometry_is_read_at_voxel_centres_and_written_slice_by_slice(
    scene, segmentation, volume, name, axis
):
    grid = grid_of(volume)
    to_volume = np.asarray(LATTICES[name], dtype=float)
    to_volume = np.diag([0, 0, 0, 1.0]) + np.vstack([to_volume[:3], [0, 0, 0, 0]])
    # The segmentation is moved by a transform of its own, and its labelmap compensates.
    moved = turn((0, 1, 2), 33)
    segmentation.SetAndObserveTransformNodeID(add_transform(scene, moved).GetID())
    node_from_ijk = np.linalg.inv(moved) @ grid.ijk_to_ras @ to_volume
    generator = np.random.default_rng(2)
    voxels = generator.random((40, 40, 40)) < 0.5
    set_labelmap(segmentation, "liver", voxels, node_from_ijk, first=(-4, -4, -4))
    other = blobs((12, 20, 24))[0]
    for k, plane in enumerate(other):
        write_slice(segmentation, "tumour", volume, SlicePosition("k", k), plane)

    before = whole(segmentation, "liver", volume)
    back = np.linalg.inv(to_volume)
    for k, j, i in generator.integers((12, 20, 24), size=(50, 3)):
        x = back[:3, :3] @ (i, j, k) + back[:3, 3] + 4
        if np.abs(x + 0.5 - np.rint(x + 0.5)).min() < 1e-3:
            continue  # exactly between two voxels either is right
        x = np.floor(x + 0.5).astype(int)
        inside = np.all((x >= 0) & (x < 40))
        assert before[k, j, i] == (inside and voxels[x[2], x[1], x[0]])

    at = AXES.index(axis)
    index = before.shape[at] // 2
    new = generator.random(before.take(index, axis=at).shape) < 0.5
    write_slice(segmentation, "liver", volume, SlicePosition(axis, index), new)
    expected = before.copy()
    expected[(slice(None),) * at + (index,)] = new
    assert np.array_equal(whole(segmentation, "liver", volume), expected)
    assert np.array_equal(whole(segmentation, "tumour", volume), other)


@pytest.mark.parametrize("name", ["half the voxel size", "finer by an odd part"])
def test_detail_finer_than_a_voxel_survives_on_other_slices_and_unchanged_voxels(
    volume, segmentation, name
):
    node_from_ijk = grid_of(volume).ijk_to_ras @ LATTICES[name]
    voxels = (np.random.default_rng(8).random((20, 44, 50)) < 0.5).astype(np.uint8)
    set_labelmap(segmentation, "liver", voxels, node_from_ijk)
    position = SlicePosition("k", 3)
    mask = read_slice(segmentation, "liver", grid_of(volume), position)
    mask[4, 5] ^= True
    write_slice(segmentation, "liver", volume, position, mask)
    after = slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentation, "liver")
    differing = np.argwhere(after != voxels)
    scale = np.diag(LATTICES[name])[:3]
    assert 1 <= len(differing) <= np.prod(np.ceil(1 / scale))
    assert np.all(np.abs(differing[:, ::-1] * scale - (5, 4, 3)) <= 0.5)


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
