import numpy as np
import pytest
import slicer
from harness.fake_client import FakeClient, draw
from harness.orientations import add_warp

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.events import MaskWritten, PromptsChanged
from MedSAGaSlicerLib.scene.segments import SURFACE, make_surface, read_slice, write_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of, voxels_of

K5 = SlicePosition("k", 5)


@pytest.fixture
def client():
    return FakeClient()


@pytest.fixture
def annotator(volume, segmentation, client):
    annotator = Annotator(volume, segmentation, client)
    yield annotator
    if annotator.closed is None:
        annotator.close()


def ras(annotator, i, j, k):
    return grid_of(annotator.volume).to_ras((i, j, k))


def slice_now(annotator, segment="tumour", position=K5):
    return read_slice(annotator.segmentation, segment, grid_of(annotator.volume), position)


def paint(annotator, mask, segment="tumour", position=K5):
    write_slice(annotator.segmentation, segment, annotator.volume, position, mask)


def disc(*points, radius=3.0):
    return draw((20, 24), Prompts(tuple(points), (True,) * len(points)), radius)


def test_a_point_becomes_a_mask_and_undo_takes_both_back(annotator):
    annotator.point("tumour", ras(annotator, 10, 8, 5))
    events = annotator.wait()
    assert [(e.segment_id, e.position) for e in events if isinstance(e, MaskWritten)] == [
        ("tumour", K5)
    ]
    assert np.array_equal(slice_now(annotator), disc((10, 8)))
    assert annotator.undo() == "Point"
    assert not slice_now(annotator).any()
    assert annotator.prompts() == ()
    assert annotator.redo() == "Point"
    assert np.array_equal(slice_now(annotator), disc((10, 8)))
    assert len(annotator.prompts()) == 1


def test_the_call_returns_before_the_mask_is_there(annotator, client):
    client.hold = True
    annotator.point("tumour", ras(annotator, 10, 8, 5))
    assert annotator.busy
    annotator.poll()
    assert not slice_now(annotator).any()
    annotator.wait()
    assert not annotator.busy
    assert slice_now(annotator).any()


@pytest.mark.parametrize(("axis", "position"), [("j", ("j", 8)), ("i", ("i", 10))])
def test_points_are_answered_on_the_slice_of_their_axis(annotator, axis, position):
    annotator.point("tumour", ras(annotator, 10, 8, 5), axis=axis)
    annotator.wait()
    place = (10, 5) if axis == "j" else (8, 5)
    size = (12, 24) if axis == "j" else (12, 20)
    expected = draw(size, Prompts((place,), (True,)))
    assert np.array_equal(slice_now(annotator, position=SlicePosition(*position)), expected)


def test_a_box_is_drawn_between_voxels_either_way_round(annotator):
    annotator.box("tumour", ras(annotator, 14, 3, 5), ras(annotator, 6.2, 9.4, 5))
    annotator.wait()
    expected = np.zeros((20, 24), bool)
    expected[3:10, 6:15] = True
    assert np.array_equal(slice_now(annotator), expected)


def test_a_box_finds_its_axis_and_is_refused_on_no_common_slice(annotator):
    prompt = annotator.box("tumour", ras(annotator, 10, 3, 2), ras(annotator, 10, 9, 8))
    assert prompt.position == SlicePosition("i", 10)
    with pytest.raises(InputError, match=r"\(1, 2, 3\) and \(4, 5, 6\), lie on no common slice"):
        annotator.box("tumour", ras(annotator, 1, 2, 3), ras(annotator, 4, 5, 6))
    with pytest.raises(InputError, match="along k"):
        annotator.box("tumour", ras(annotator, 10, 3, 2), ras(annotator, 10, 9, 8), axis="k")


def test_a_point_outside_is_refused_and_leaves_nothing(annotator, scene):
    before = scene.GetNumberOfNodes()
    with pytest.raises(InputError, match="outside the volume"):
        annotator.point("tumour", ras(annotator, 50, 8, 5))
    assert scene.GetNumberOfNodes() == before
    assert annotator.undo() is None


def test_a_later_point_replaces_only_what_prompts_had_written(annotator):
    painted = np.zeros((20, 24), bool)
    painted[0:4, 0:4] = True
    paint(annotator, painted)
    annotator.point("tumour", ras(annotator, 10, 8, 5))
    annotator.wait()
    annotator.point("tumour", ras(annotator, 11, 8, 5), positive=False)
    annotator.wait()
    expected = draw((20, 24), Prompts(((10, 8), (11, 8)), (True, False)))
    assert np.array_equal(slice_now(annotator), painted | expected)


def test_voxels_painted_or_erased_in_between_survive_later_points(annotator):
    annotator.point("tumour", ras(annotator, 10, 8, 5))
    annotator.wait()
    edited = slice_now(annotator)
    edited[0:2, 0:2] = True
    edited[8, 9:12] = False
    paint(annotator, edited)
    annotator.point("tumour", ras(annotator, 10, 12, 5))
    annotator.wait()
    expected = disc((10, 8), (10, 12))
    expected[0:2, 0:2] = True
    expected[8, 9:12] = False
    assert np.array_equal(slice_now(annotator), expected)


def test_a_point_on_what_was_erased_brings_it_back(annotator):
    annotator.point("tumour", ras(annotator, 10, 8, 5))
    annotator.wait()
    edited = slice_now(annotator)
    edited[8, 9:12] = False
    paint(annotator, edited)
    annotator.point("tumour", ras(annotator, 10, 8, 5))
    annotator.wait()
    assert np.array_equal(slice_now(annotator), disc((10, 8)))


def test_negative_points_alone_take_the_object_away_from_what_was_there(annotator):
    paint(annotator, np.ones((20, 24), bool))
    annotator.point("tumour", ras(annotator, 10, 8, 5), positive=False)
    annotator.wait()
    assert np.array_equal(slice_now(annotator), ~disc((10, 8)))
    annotator.undo()
    assert slice_now(annotator).all()


def test_a_negative_box_takes_away_and_a_positive_one_adds(annotator):
    annotator.box("tumour", ras(annotator, 2, 2, 5), ras(annotator, 15, 15, 5))
    annotator.box("tumour", ras(annotator, 5, 5, 5), ras(annotator, 8, 8, 5), positive=False)
    annotator.wait()
    expected = np.zeros((20, 24), bool)
    expected[2:16, 2:16] = True
    expected[5:9, 5:9] = False
    assert np.array_equal(slice_now(annotator), expected)


def test_two_boxes_are_two_objects_each_with_its_points(annotator, client):
    annotator.box("tumour", ras(annotator, 1, 1, 5), ras(annotator, 5, 5, 5))
    annotator.box("tumour", ras(annotator, 12, 10, 5), ras(annotator, 18, 16, 5))
    annotator.wait()
    annotator.point("tumour", ras(annotator, 13, 12, 5), positive=False)
    annotator.wait()
    _, prompts, previous = client.asked[-1]
    assert prompts.box == (12, 10, 18, 16)
    assert prompts.points == ((13, 12),)
    assert previous is not None
    assert len(client.asked) == 3
    expected = np.zeros((20, 24), bool)
    expected[1:6, 1:6] = True
    expected |= draw((20, 24), prompts)
    assert np.array_equal(slice_now(annotator), expected)


def test_each_further_point_refines_the_former_answer(annotator, client):
    for i in (8, 10, 12):
        annotator.point("tumour", ras(annotator, i, 8, 5))
        annotator.wait()
    assert [previous for _, _, previous in client.asked] == [None, 2, 3]
    annotator.undo()
    annotator.undo()
    annotator.redo()
    assert len(client.asked) == 3  # undo and redo ask nothing


def test_an_answer_to_prompts_that_are_gone_is_dropped(annotator, client):
    client.hold = True
    prompt = annotator.point("tumour", ras(annotator, 10, 8, 5))
    annotator.remove_prompt(prompt.number)
    client.hold = False
    for _ in range(5):
        annotator.poll()
    assert not slice_now(annotator).any()
    assert not annotator.busy


def test_of_two_quick_points_only_the_last_answer_is_written_and_each_can_be_undone(
    annotator, client
):
    client.hold = True
    annotator.point("tumour", ras(annotator, 8, 8, 5))
    annotator.point("tumour", ras(annotator, 14, 8, 5))
    events = annotator.wait()
    assert len([e for e in events if isinstance(e, MaskWritten)]) == 1
    assert np.array_equal(slice_now(annotator), disc((8, 8), (14, 8)))
    annotator.undo()
    annotator.wait()
    assert np.array_equal(slice_now(annotator), disc((8, 8)))
    annotator.undo()
    assert not slice_now(annotator).any()
    annotator.redo()
    annotator.wait()
    assert np.array_equal(slice_now(annotator), disc((8, 8)))
    annotator.redo()
    annotator.wait()
    assert np.array_equal(slice_now(annotator), disc((8, 8), (14, 8)))
    assert annotator.redo() is None
    annotator.undo()
    annotator.undo()
    assert not slice_now(annotator).any()


def test_undo_leaves_voxels_that_somebody_changed_since(annotator):
    annotator.point("tumour", ras(annotator, 10, 8, 5))
    annotator.wait()
    edited = slice_now(annotator)
    edited[8, 10] = False
    edited[0, 0] = True
    paint(annotator, edited)
    annotator.undo()
    expected = np.zeros((20, 24), bool)
    expected[0, 0] = True
    assert np.array_equal(slice_now(annotator), expected)
    annotator.redo()
    annotator.wait()
    expected |= disc((10, 8))
    assert np.array_equal(slice_now(annotator), expected)


def test_voxels_edited_while_the_model_is_busy_make_it_look_again(annotator, client):
    client.hold = True
    annotator.point("tumour", ras(annotator, 10, 8, 5))
    slicer.util.arrayFromVolume(annotator.volume)[5, 0, 0] += 200
    slicer.util.arrayFromVolumeModified(annotator.volume)
    annotator.wait()
    assert len(client.asked) == 2
    assert client.asked[0][0] != client.asked[1][0]
    assert np.array_equal(slice_now(annotator), disc((10, 8)))


def test_several_segments_are_answered_each_for_itself(annotator):
    annotator.point("tumour", ras(annotator, 6, 8, 5))
    annotator.point("liver", ras(annotator, 9, 8, 5))
    annotator.wait()
    assert np.array_equal(slice_now(annotator, "tumour"), disc((6, 8)))
    assert np.array_equal(slice_now(annotator, "liver"), disc((9, 8)))
    annotator.undo()
    assert np.array_equal(slice_now(annotator, "tumour"), disc((6, 8)))
    assert not slice_now(annotator, "liver").any()


def test_a_segment_that_is_not_there_is_added_and_goes_with_undo(annotator):
    annotator.point("Milz/脾臓", ras(annotator, 6, 8, 5))
    annotator.wait()
    core = annotator.segmentation.GetSegmentation()
    assert core.GetNumberOfSegments() == 4
    assert core.GetSegmentIdBySegmentName("Milz/脾臓")
    annotator.undo()
    assert core.GetNumberOfSegments() == 3
    annotator.redo()
    annotator.wait()
    identifier = core.GetSegmentIdBySegmentName("Milz/脾臓")
    assert np.array_equal(slice_now(annotator, identifier), disc((6, 8)))


def test_prompts_moved_by_the_person_are_answered_anew_and_the_move_is_undone(annotator, scene):
    annotator.point("tumour", ras(annotator, 6, 8, 5))
    annotator.wait()
    node = scene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode")
    node.SetNthControlPointPositionWorld(0, *ras(annotator, 12, 9, 7))
    assert any(isinstance(e, PromptsChanged) for e in annotator.poll())
    annotator.wait()
    assert not slice_now(annotator).any()
    moved_to = SlicePosition("k", 7)
    assert np.array_equal(slice_now(annotator, position=moved_to), disc((12, 9)))
    assert annotator.undo() == "Move prompts"
    annotator.wait()
    assert np.array_equal(slice_now(annotator), disc((6, 8)))
    assert not slice_now(annotator, position=moved_to).any()
    np.testing.assert_allclose(
        node.GetNthControlPointPositionWorld(0), ras(annotator, 6, 8, 5), atol=1e-6
    )


def test_prompts_removed_by_the_person_take_their_mask_along(annotator, scene):
    annotator.point("tumour", ras(annotator, 6, 8, 5))
    annotator.box("liver", ras(annotator, 2, 2, 5), ras(annotator, 5, 6, 5))
    annotator.wait()
    scene.RemoveNode(scene.GetFirstNodeByClass("vtkMRMLMarkupsROINode"))
    scene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode").RemoveAllControlPoints()
    annotator.poll()
    assert annotator.prompts() == ()
    assert not slice_now(annotator, "tumour").any()
    assert not slice_now(annotator, "liver").any()
    annotator.undo()
    assert np.array_equal(slice_now(annotator, "tumour"), disc((6, 8)))
    assert slice_now(annotator, "liver").sum() == 20


def test_a_prompt_renamed_by_the_person_keeps_its_name_and_asks_nothing(annotator, client, scene):
    annotator.point("tumour", ras(annotator, 6, 8, 5))
    annotator.wait()
    node = scene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode")
    node.SetNthControlPointLabel(0, "Läsion | 1")
    annotator.poll()
    annotator.wait()
    assert len(client.asked) == 1
    annotator.undo()
    annotator.redo()
    node = scene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode")
    assert node.GetNthControlPointLabel(0) == "Läsion | 1"


def test_a_point_dragged_out_of_the_volume_no_longer_counts(annotator, scene):
    annotator.point("tumour", ras(annotator, 6, 8, 5))
    annotator.wait()
    node = scene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode")
    node.SetNthControlPointPositionWorld(0, *ras(annotator, 6, 80, 5))
    annotator.poll()
    assert not slice_now(annotator).any()
    node.SetNthControlPointPositionWorld(0, *ras(annotator, 6, 8, 5))
    annotator.poll()
    annotator.wait()
    assert np.array_equal(slice_now(annotator), disc((6, 8)))


def test_a_point_that_markups_adds_to_our_list_becomes_a_prompt(annotator, scene):
    annotator.point("tumour", ras(annotator, 6, 8, 5))
    annotator.wait()
    node = scene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode")
    node.AddControlPointWorld(*(float(x) for x in ras(annotator, 14, 8, 5)))
    annotator.poll()
    annotator.wait()
    assert np.array_equal(slice_now(annotator), disc((6, 8), (14, 8)))


def test_clearing_a_slice_takes_its_prompts_and_their_mask(annotator):
    painted = np.zeros((20, 24), bool)
    painted[0:4, 0:4] = True
    paint(annotator, painted)
    for i in (8, 14):
        annotator.point("tumour", ras(annotator, i, 8, 5))
        annotator.wait()
    annotator.clear_slice("tumour", "k", 5)
    assert np.array_equal(slice_now(annotator), painted)
    assert annotator.prompts() == ()
    annotator.undo()
    assert np.array_equal(slice_now(annotator), painted | disc((8, 8), (14, 8)))


def test_another_model_answers_from_then_on_also_what_is_under_way(annotator, client):
    annotator.point("tumour", ras(annotator, 6, 8, 5))
    annotator.wait()
    client.hold = True
    annotator.point("liver", ras(annotator, 6, 8, 5))
    annotator.use_model("other")
    annotator.wait()
    assert annotator.model == "other"
    assert np.array_equal(slice_now(annotator, "tumour"), disc((6, 8)))
    assert np.array_equal(slice_now(annotator, "liver"), disc((6, 8))[::-1, ::-1])
    annotator.point("tumour", ras(annotator, 7, 8, 5))
    annotator.wait()
    assert client.asked[-1][2] is None  # nothing of the old model's is refined
    assert np.array_equal(slice_now(annotator, "tumour"), disc((6, 8), (7, 8))[::-1, ::-1])


def test_a_refused_prompt_raises_in_a_script_with_the_workers_reason(annotator, client):
    client.refuse = "too bright"
    annotator.point("tumour", ras(annotator, 6, 8, 5))
    with pytest.raises(InputError, match="too bright"):
        annotator.wait()
    assert not slice_now(annotator).any()
    client.refuse = None
    annotator.point("tumour", ras(annotator, 7, 8, 5))
    annotator.wait()
    assert np.array_equal(slice_now(annotator), disc((6, 8), (7, 8)))


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
