"""The Segment Editor's masking and overwrite modes hold for masks from prompts."""

import numpy as np
import pytest
import slicer
from harness.fake_client import FakeClient, draw
from vtk import VTK_UNSIGNED_CHAR
from vtk.util.numpy_support import vtk_to_numpy

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.editing import Editing
from MedSAGaSlicerLib.scene.segments import node_from_ijk, read_slice, write_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of, matrix_of, voxels_of

K5 = SlicePosition("k", 5)
MASK_MODES = (
    "EditAllowedEverywhere",
    "EditAllowedInsideAllSegments",
    "EditAllowedInsideVisibleSegments",
    "EditAllowedOutsideAllSegments",
    "EditAllowedOutsideVisibleSegments",
    "EditAllowedInsideSingleSegment",
)


@pytest.fixture
def editor(scene):
    return scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")


@pytest.fixture
def annotator(volume, segmentation, editor):
    editor.SetOverwriteMode(editor.OverwriteNone)
    return Annotator(volume, segmentation, FakeClient(), editor=editor)


def slice_now(annotator, segment, position=K5):
    return read_slice(annotator.segmentation, segment, grid_of(annotator.volume), position)


def paint(annotator, segment, mask, position=K5):
    write_slice(annotator.segmentation, segment, annotator.volume, position, mask)


def click(annotator, i, j, segment="tumour"):
    annotator.point(segment, grid_of(annotator.volume).to_ras((i, j, 5)))
    annotator.wait()
    return draw((20, 24), Prompts(((i, j),), (True,)))


def slicers_edit_mask(segmentation, editor, volume, segment, position):
    """The same question to Slicer's own code, on an image of this slice alone."""

    grid = grid_of(volume)
    reference = slicer.vtkOrientedImageData()
    reference.SetGeometryFromImageToWorldMatrix(matrix_of(node_from_ijk(segmentation, grid)))
    extent = [x for n in grid.shape_ijk for x in (0, n - 1)]
    extent[2 * position.normal : 2 * position.normal + 2] = [position.index] * 2
    reference.SetExtent(extent)
    reference.AllocateScalars(VTK_UNSIGNED_CHAR, 1)
    forbidden = slicer.vtkOrientedImageData()
    segmentation.GenerateEditMask(
        forbidden, editor.GetMaskMode(), reference, segment, editor.GetMaskSegmentID() or ""
    )
    return vtk_to_numpy(forbidden.GetPointData().GetScalars()) == 0


@pytest.mark.parametrize("mode", MASK_MODES)
@pytest.mark.parametrize("position", [K5, SlicePosition("j", 7), SlicePosition("i", 3)])
def test_the_editable_area_is_slicers_own(volume, segmentation, editor, mode, position):
    generator = np.random.default_rng(3)
    for segment in ("tumour", "liver", "spleen"):
        voxels = (generator.random((12, 20, 24)) < 0.3).astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, segmentation, segment, volume)
    segmentation.GetDisplayNode().SetSegmentVisibility("spleen", False)
    editor.SetMaskMode(getattr(slicer.vtkMRMLSegmentationNode, mode))
    editor.SetMaskSegmentID("liver")
    editing = Editing(volume, segmentation, editor)
    for visible in (True, False):
        segmentation.GetDisplayNode().SetSegmentVisibility("tumour", visible)
        ours = editing.editable("tumour", position)
        theirs = slicers_edit_mask(segmentation, editor, volume, "tumour", position)
        assert np.array_equal(ours.ravel(), theirs)


def test_masks_stay_inside_the_chosen_segment(annotator, editor):
    area = np.zeros((20, 24), bool)
    area[:, :10] = True
    paint(annotator, "liver", area)
    editor.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedInsideSingleSegment)
    editor.SetMaskSegmentID("liver")
    mask = click(annotator, 10, 8)
    assert np.array_equal(slice_now(annotator, "tumour"), mask & area)


def test_masks_stay_within_the_intensity_range(annotator, editor):
    editor.SetSourceVolumeIntensityMask(True)
    editor.SetSourceVolumeIntensityMaskRange(55, 70)
    values = voxels_of(annotator.volume)[5]
    mask = click(annotator, 3, 8)
    allowed = (values >= 55) & (values <= 70)
    assert np.array_equal(slice_now(annotator, "tumour"), mask & allowed)
    assert 0 < (mask & allowed).sum() < mask.sum()


def test_without_an_editor_other_segments_are_never_changed(volume, segmentation):
    annotator = Annotator(volume, segmentation, FakeClient())
    paint(annotator, "liver", np.ones((20, 24), bool))
    mask = click(annotator, 10, 8)
    assert slice_now(annotator, "liver").all()
    assert np.array_equal(slice_now(annotator, "tumour"), mask)


def test_overwriting_none_lets_segments_overlap(annotator):
    paint(annotator, "liver", np.ones((20, 24), bool))
    mask = click(annotator, 10, 8)
    assert slice_now(annotator, "liver").all()
    assert np.array_equal(slice_now(annotator, "tumour"), mask)


def test_overwriting_all_takes_voxels_from_others_and_undo_gives_them_back(annotator, editor):
    editor.SetOverwriteMode(editor.OverwriteAllSegments)
    paint(annotator, "liver", np.ones((20, 24), bool))
    mask = click(annotator, 10, 8)
    assert np.array_equal(slice_now(annotator, "liver"), ~mask)
    assert np.array_equal(slice_now(annotator, "tumour"), mask)
    annotator.undo()
    assert slice_now(annotator, "liver").all()
    assert not slice_now(annotator, "tumour").any()
    annotator.redo()
    assert np.array_equal(slice_now(annotator, "liver"), ~mask)
    assert np.array_equal(slice_now(annotator, "tumour"), mask)


def test_overwriting_visible_spares_hidden_segments(annotator, editor):
    editor.SetOverwriteMode(editor.OverwriteVisibleSegments)
    annotator.segmentation.GetDisplayNode().SetSegmentVisibility("spleen", False)
    paint(annotator, "liver", np.ones((20, 24), bool))
    paint(annotator, "spleen", np.ones((20, 24), bool))
    mask = click(annotator, 10, 8)
    assert np.array_equal(slice_now(annotator, "liver"), ~mask)
    assert slice_now(annotator, "spleen").all()


def test_even_overwriting_spares_what_was_confirmed_of_other_segments(annotator, editor):
    editor.SetOverwriteMode(editor.OverwriteAllSegments)
    paint(annotator, "liver", np.ones((20, 24), bool))
    annotator.confirm("k", 5)
    annotator.point("tumour", grid_of(annotator.volume).to_ras((10, 8, 5)), axis="i")
    annotator.wait()
    assert slice_now(annotator, "liver").all()
    assert annotator.confirmed() == (K5,)


def test_a_mask_shrunk_by_a_later_point_gives_back_nothing_it_had_not_taken(annotator, editor):
    editor.SetOverwriteMode(editor.OverwriteAllSegments)
    click(annotator, 10, 8)
    paint(annotator, "liver", ~slice_now(annotator, "tumour"))
    annotator.point("tumour", grid_of(annotator.volume).to_ras((12, 8, 5)), positive=False)
    annotator.wait()
    tumour, liver = slice_now(annotator, "tumour"), slice_now(annotator, "liver")
    assert not (tumour & liver).any()
    assert liver.sum() == 20 * 24 - draw((20, 24), Prompts(((10, 8),), (True,))).sum()
