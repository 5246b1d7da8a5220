import numpy as np
import pytest
import slicer
from harness.asked_slices import K5, disc, paint, ras, slice_now
from harness.fake_client import draw

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.events import MaskWritten
from MedSAGaSlicerLib.scene.slices import SlicePosition


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
