import numpy as np
import pytest
import slicer
from harness.fake_client import draw

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.events import ConfirmationLapsed, ConfirmationRestored
from MedSAGaSlicerLib.scene.segments import read_slice, status_of, write_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of

K5 = SlicePosition("k", 5)


@pytest.fixture
def annotator(volume, segmentation, client):
    return Annotator(volume, segmentation, client)


def ras(annotator, i, j, k):
    return grid_of(annotator.volume).to_ras((i, j, k))


def slice_now(annotator, segment="tumour", position=K5):
    return read_slice(annotator.segmentation, segment, grid_of(annotator.volume), position)


def paint(annotator, mask, segment="tumour", position=K5):
    write_slice(annotator.segmentation, segment, annotator.volume, position, mask)


def click(annotator, *ijk, segment="tumour", **options):
    annotator.point(segment, ras(annotator, *ijk), **options)
    annotator.wait()


def test_a_slice_is_confirmed_in_all_segments_and_the_empty_one_too(annotator):
    click(annotator, 10, 8, 5)
    annotator.confirm("k", 5)
    annotator.confirm("j", 0)
    assert annotator.confirmed() == (SlicePosition("j", 0), K5)
    assert annotator.confirmed("liver") == (SlicePosition("j", 0), K5)
    assert annotator.undo() == "Confirm slice j 0"
    assert annotator.confirmed() == (K5,)
    annotator.redo()
    assert annotator.confirmed() == (SlicePosition("j", 0), K5)
    annotator.unconfirm("k", 5)
    assert annotator.confirmed() == (SlicePosition("j", 0),)
    annotator.undo()
    assert annotator.confirmed() == (SlicePosition("j", 0), K5)


def test_confirming_what_is_not_there_is_refused(annotator, scene, client):
    with pytest.raises(InputError, match="slices 0 to 11"):
        annotator.confirm("k", 12)
    with pytest.raises(InputError, match="axis 'z' is unknown"):
        annotator.confirm("z", 1)
    empty = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "empty")
    with pytest.raises(InputError, match="no segment"):
        Annotator(annotator.volume, empty, client).confirm("k", 5)


def test_a_prompt_on_a_confirmed_slice_unconfirms_it_and_undo_confirms_it_again(annotator):
    click(annotator, 10, 8, 5)
    annotator.confirm("k", 5)
    click(annotator, 13, 8, 5)
    assert annotator.confirmed() == ()
    annotator.undo()
    assert annotator.confirmed() == (K5,)
    assert np.array_equal(slice_now(annotator), draw((20, 24), Prompts(((10, 8),), (True,))))


def test_a_segment_added_later_can_be_prompted_without_unconfirming_the_others(annotator):
    annotator.confirm("k", 5)
    annotator.segmentation.GetSegmentation().AddEmptySegment("kidney", "kidney")
    click(annotator, 10, 8, 5, segment="kidney")
    assert annotator.confirmed() == (K5,)
    assert annotator.confirmed("kidney") == ()
    assert slice_now(annotator, "kidney").any()


def test_prompts_on_other_axes_leave_confirmed_voxels_alone(annotator):
    paint(annotator, np.eye(20, 24, dtype=bool))
    annotator.confirm("k", 5)
    for axis in "ij":
        click(annotator, 10, 8, 5, axis=axis)
    assert np.array_equal(slice_now(annotator), np.eye(20, 24, dtype=bool))
    assert annotator.confirmed() == (K5,)
    # Beside it the masks are there.
    assert slice_now(annotator, position=SlicePosition("k", 6)).any()


def test_an_answer_that_comes_after_confirming_is_not_written(annotator, client):
    client.hold = True
    annotator.point("tumour", ras(annotator, 10, 8, 5))
    annotator.confirm("k", 5)
    annotator.wait()
    assert not slice_now(annotator).any()
    assert annotator.confirmed() == (K5,)
    annotator.undo()
    annotator.wait()
    assert slice_now(annotator).any()


def test_an_edit_on_a_confirmed_slice_unconfirms_it_until_it_is_undone(annotator):
    click(annotator, 10, 8, 5)
    annotator.confirm("k", 5)
    annotator.confirm("k", 6)
    before = slice_now(annotator)
    edited = before.copy()
    edited[0, 0] = True
    paint(annotator, edited)
    assert ConfirmationLapsed(K5) in annotator.poll()
    assert annotator.confirmed() == (SlicePosition("k", 6),)
    paint(annotator, before)
    assert ConfirmationRestored(K5) in annotator.poll()
    assert annotator.confirmed() == (K5, SlicePosition("k", 6))


def test_an_edit_on_another_axis_unconfirms_the_slices_that_it_crosses(annotator):
    for k in range(12):
        annotator.confirm("k", k)
    column = np.zeros((12, 24), bool)
    column[3:6, 7] = True
    paint(annotator, column, position=SlicePosition("j", 4))
    while annotator.poll():
        pass
    assert {p.index for p in annotator.confirmed()} == set(range(12)) - {3, 4, 5}


def test_editing_a_segment_that_came_later_does_not_unconfirm(annotator):
    annotator.confirm("k", 5)
    annotator.segmentation.GetSegmentation().AddEmptySegment("kidney", "kidney")
    paint(annotator, np.ones((20, 24), bool), "kidney")
    annotator.poll()
    assert annotator.confirmed() == (K5,)


def test_removing_a_segment_keeps_what_was_confirmed_of_the_others(annotator):
    annotator.confirm("k", 5)
    annotator.segmentation.GetSegmentation().RemoveSegment("liver")
    annotator.poll()
    assert annotator.confirmed() == (K5,)


def test_a_stroke_of_the_editor_is_one_step_among_ours(annotator, scene):
    history = slicer.vtkSegmentationHistory()
    history.SetSegmentation(annotator.segmentation.GetSegmentation())
    click(annotator, 10, 8, 5)
    first = slice_now(annotator)
    history.SaveState()
    stroke = first.copy()
    stroke[7:9, 9:12] = False
    stroke[0, 0:5] = True
    paint(annotator, stroke)
    annotator.record_edit("Paint", history.RestorePreviousState, history.RestoreNextState)
    click(annotator, 10, 14, 5)
    both = slice_now(annotator)
    assert both[0, 0:5].all()
    assert not both[7:9, 9:12].any()
    assert annotator.undo_names() == ("Point", None)
    annotator.undo()
    assert np.array_equal(slice_now(annotator), stroke)
    assert annotator.undo() == "Paint"
    assert np.array_equal(slice_now(annotator), first)
    annotator.undo()
    assert not slice_now(annotator).any()
    for expected in (first, stroke, both):
        annotator.redo()
        annotator.wait()
        assert np.array_equal(slice_now(annotator), expected)
    # The person's voxels are still known as theirs.
    annotator.clear_slice("tumour", "k", 5)
    left = slice_now(annotator)
    assert left[0, 0:5].all()
    assert left.sum() == 5


def test_after_undoing_a_stroke_its_voxels_are_no_longer_taken_for_the_persons(annotator):
    history = slicer.vtkSegmentationHistory()
    history.SetSegmentation(annotator.segmentation.GetSegmentation())
    click(annotator, 10, 8, 5)
    history.SaveState()
    paint(annotator, np.zeros((20, 24), bool))
    annotator.record_edit("Erase", history.RestorePreviousState, history.RestoreNextState)
    annotator.undo()
    annotator.clear_slice("tumour", "k", 5)
    assert not slice_now(annotator).any()


def test_undo_gives_a_segments_status_back(annotator):
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    click(annotator, 10, 8, 5)
    click(annotator, 12, 8, 5)
    assert status_of(annotator.segmentation, "tumour") == logic.InProgress
    annotator.undo()
    assert status_of(annotator.segmentation, "tumour") == logic.InProgress
    annotator.undo()
    assert status_of(annotator.segmentation, "tumour") == logic.NotStarted


def test_slices_that_cross_know_what_is_whose(annotator):
    click(annotator, 10, 8, 5)
    click(annotator, 10, 8, 5, axis="j")
    j8 = SlicePosition("j", 8)
    both_k, both_j = slice_now(annotator), slice_now(annotator, position=j8)
    annotator.clear_slice("tumour", "k", 5)
    # What lies on the line where the slices meet stays, for the other slice's mask has it too.
    assert np.array_equal(slice_now(annotator, position=j8)[:5], both_j[:5])
    annotator.undo()
    assert np.array_equal(slice_now(annotator), both_k)
    annotator.clear_slice("tumour", "j", 8)
    assert np.array_equal(slice_now(annotator), both_k)
    annotator.clear_slice("tumour", "k", 5)
    assert not slice_now(annotator).any()


def test_an_edit_that_changed_nothing_or_cannot_be_undone_is_no_step(annotator):
    history = slicer.vtkSegmentationHistory()
    history.SetSegmentation(annotator.segmentation.GetSegmentation())
    click(annotator, 10, 8, 5)
    history.SaveState()
    restore = history.RestorePreviousState, history.RestoreNextState
    assert not annotator.record_edit("Empty stroke", *restore)
    paint(annotator, np.ones((20, 24), bool))
    assert not annotator.record_edit("Not undoable", lambda: False, lambda: False)
    assert annotator.undo_names() == ("Point", None)
