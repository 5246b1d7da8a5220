import numpy as np
import pytest
from harness.asked_slices import disc, paint, ras, slice_now

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.events import PromptsChanged
from MedSAGaSlicerLib.scene.slices import SlicePosition


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
