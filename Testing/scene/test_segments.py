import numpy as np
import pytest
import slicer
from harness.drawn_segments import IDS, blobs, draw_all
from harness.orientations import add_transform, turn
from vtk.util.numpy_support import numpy_to_vtk

from MedSAGaSlicerLib.engine.geometry import AXES
from MedSAGaSlicerLib.scene.segments import (
    LABELMAP,
    read_slice,
    write_slice,
)
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of, matrix_of


def whole(node, segment, volume):
    """A segment on the volume's grid, slice by slice."""
    grid = grid_of(volume)
    slices = [
        read_slice(node, segment, grid, SlicePosition("k", k)) for k in range(grid.shape_ijk[2])
    ]
    return np.stack(slices)


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
