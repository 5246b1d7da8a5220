import numpy as np
import pytest
import slicer
from harness.asked_slices import K5, disc, paint, ras, slice_now
from harness.fake_client import draw
from harness.orientations import add_warp

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.events import MaskWritten
from MedSAGaSlicerLib.scene.segments import SURFACE, make_surface
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import voxels_of


def test_surfaces_are_away_while_prompting_and_back_after_confirming(annotator):
    paint(annotator, np.ones((20, 24), bool), "liver")
    make_surface(annotator.segmentation)
    core = annotator.segmentation.GetSegmentation()
    annotator.point("tumour", ras(annotator, 6, 8, 5))
    annotator.wait()
    assert not core.ContainsRepresentation(SURFACE)
    annotator.confirm("k", 5)
    assert core.ContainsRepresentation(SURFACE)
    annotator.undo()
    annotator.undo()
    assert not core.ContainsRepresentation(SURFACE)
    annotator.close()
    assert core.ContainsRepresentation(SURFACE)


def test_volume_and_display_are_never_changed(annotator):
    annotator.volume.CreateDefaultDisplayNodes()
    display = annotator.volume.GetDisplayNode()
    voxels, window = voxels_of(annotator.volume).copy(), display.GetWindow()
    for positive in (True, False):
        annotator.point("tumour", ras(annotator, 6, 8, 5), positive=positive)
        annotator.wait()
    assert np.array_equal(voxels_of(annotator.volume), voxels)
    assert display.GetWindow() == window


def test_contradicting_points_in_a_voxel_mean_the_later_one(annotator):
    annotator.point("tumour", ras(annotator, 6, 8, 5))
    annotator.point("tumour", ras(annotator, 12, 8, 5))
    annotator.point("tumour", ras(annotator, 12.2, 8.1, 5), positive=False)
    annotator.wait()
    expected = draw((20, 24), Prompts(((6, 8), (12.2, 8.1)), (True, False)))
    assert np.array_equal(slice_now(annotator), expected)


@pytest.mark.parametrize("what", ["volume", "segmentation", "scene"])
def test_what_is_deleted_while_a_question_is_out_ends_the_annotation_and_nothing_else(
    annotator, client, scene, what
):
    client.hold = True
    annotator.point("tumour", ras(annotator, 6, 8, 5))
    if what == "scene":
        scene.Clear(0)
    else:
        scene.RemoveNode(getattr(annotator, what))
    client.hold = False
    events = [event for _ in range(4) for event in annotator.poll()]
    assert not any(isinstance(event, MaskWritten) for event in events)
    assert annotator.closed is not None
    assert not annotator.busy
    with pytest.raises(InputError, match="has ended"):
        annotator.point("tumour", (0, 0, 0))
    annotator.close()


def test_a_segment_removed_while_a_question_is_out_takes_its_prompts_along(annotator, client):
    client.hold = True
    annotator.point("tumour", ras(annotator, 6, 8, 5))
    annotator.segmentation.GetSegmentation().RemoveSegment("tumour")
    client.hold = False
    annotator.poll()
    annotator.wait()
    assert annotator.prompts() == ()
    assert annotator.undo() is None
    annotator.point("liver", ras(annotator, 6, 8, 5))
    annotator.wait()
    assert np.array_equal(slice_now(annotator, "liver"), disc((6, 8)))


def test_a_segment_renamed_while_a_question_is_out_gets_its_mask_and_its_prompts_the_name(
    annotator, client, scene
):
    client.hold = True
    annotator.point("tumour", ras(annotator, 6, 8, 5))
    annotator.segmentation.GetSegmentation().GetSegment("tumour").SetName("Tumor links")
    annotator.wait()
    assert np.array_equal(slice_now(annotator), disc((6, 8)))
    node = scene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode")
    assert node.GetName() == "Tumor links points"


def test_prompts_and_masks_follow_a_volume_that_is_moved(annotator, scene):
    from harness.orientations import add_transform, turn

    annotator.point("tumour", ras(annotator, 6, 8, 5))
    annotator.wait()
    moved = turn((1, 0, 1), 30)
    moved[:3, 3] = (40, 0, -7)
    transform = add_transform(scene, moved)
    annotator.volume.SetAndObserveTransformNodeID(transform.GetID())
    annotator.segmentation.SetAndObserveTransformNodeID(transform.GetID())
    annotator.poll()
    (prompt,) = annotator.prompts()
    assert prompt.position == K5
    assert prompt.point == pytest.approx((6, 8))
    annotator.point("tumour", ras(annotator, 12, 8, 5))
    annotator.wait()
    assert np.array_equal(slice_now(annotator), disc((6, 8), (12, 8)))


def test_a_warp_put_over_the_volume_is_reported_once_and_survived(annotator, scene):
    annotator.point("tumour", ras(annotator, 6, 8, 5))
    annotator.wait()
    annotator.volume.SetAndObserveTransformNodeID(add_warp(scene).GetID())
    messages = [e.message for _ in range(5) for e in annotator.poll() if hasattr(e, "message")]
    assert len(messages) == 1
    assert "non-linear" in messages[0]
    with pytest.raises(InputError, match="non-linear"):
        annotator.point("tumour", (0, 0, 0))
    annotator.volume.SetAndObserveTransformNodeID(None)
    annotator.poll()
    annotator.point("tumour", ras(annotator, 12, 8, 5))
    annotator.wait()
    assert np.array_equal(slice_now(annotator), disc((6, 8), (12, 8)))


def test_a_flat_volume_is_annotated_in_all_orientations(scene, client):
    volume = slicer.util.addVolumeFromArray(np.arange(480, dtype=np.uint16).reshape(1, 20, 24))
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "flat")
    annotator = Annotator(volume, node, client)
    annotator.point("one", (10, 8, 0))
    annotator.point("two", (10, 8, 0), axis="j")
    annotator.wait()
    ids = node.GetSegmentation().GetSegmentIDs()
    assert np.array_equal(slice_now(annotator, ids[0], SlicePosition("k", 0)), disc((10, 8)))
    assert slice_now(annotator, ids[1], SlicePosition("j", 8)).sum() == 7
    annotator.close()


def test_nodes_of_no_scene_are_refused(volume, client):
    with pytest.raises(InputError, match="one scene"):
        Annotator(volume, slicer.vtkMRMLSegmentationNode(), client)


def test_answers_no_longer_needed_are_given_back(annotator, client):
    for i in range(3, 20):
        annotator.point("tumour", ras(annotator, i, 8, 5))
        annotator.wait()
    assert len(client.logits_kept) == 12
    while annotator.undo():
        pass
    assert client.logits_kept == set()


def test_without_auto_predict_the_model_is_asked_on_command_only(annotator, client):
    annotator.auto_predict = False
    annotator.point("tumour", ras(annotator, 10, 8, 5))
    annotator.box("liver", ras(annotator, 3, 3, 2), ras(annotator, 6, 5, 2))
    annotator.wait()
    assert (client.asked, annotator.has_unasked_prompts) == ([], True)
    annotator.predict()
    assert not annotator.has_unasked_prompts
    annotator.wait()
    assert np.array_equal(slice_now(annotator), disc((10, 8)))
    assert slice_now(annotator, "liver", SlicePosition("k", 2)).sum() == 4 * 3
    assert not annotator.auto_predict


def test_auto_predict_switched_on_asks_about_what_waited(annotator):
    annotator.auto_predict = False
    annotator.point("tumour", ras(annotator, 10, 8, 5))
    annotator.auto_predict = True
    annotator.wait()
    assert np.array_equal(slice_now(annotator), disc((10, 8)))


def test_a_prompt_that_was_not_asked_about_can_be_undone(annotator, client):
    annotator.auto_predict = False
    annotator.point("tumour", ras(annotator, 10, 8, 5))
    assert annotator.undo() == "Point"
    annotator.predict()
    annotator.wait()
    assert (client.asked, annotator.prompts()) == ([], ())
