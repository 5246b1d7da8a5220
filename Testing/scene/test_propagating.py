"""Propagating in a scene, asked of a client that sees bright things on dark slices."""

import numpy as np
import pytest
from harness.seeing_client import SIZE, SeeingClient, box, cylinder, dice, found, make_volume

from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.events import MaskWritten
from MedSAGaSlicerLib.scene.segments import read_slice, write_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of


@pytest.fixture
def truth():
    return cylinder()


@pytest.fixture
def volume(scene, truth):
    return make_volume(truth)


@pytest.fixture
def client():
    return SeeingClient()


def test_one_box_becomes_the_object_and_stops_at_its_ends(annotator, client, truth):
    box(annotator, truth, 6)
    kept = client.logits_kept
    job = annotator.propagate("tumour")
    assert job.state == "running"
    job.wait(60)
    assert job.state == "done"
    assert job.progress[0] == job.progress[1]
    result = found(annotator)
    assert dice(result, truth) > 0.9
    assert not result[:3].any()
    assert not result[11:].any()
    # Nothing of it stays in the worker.
    assert client.logits_kept == kept


def test_slices_are_written_one_by_one_and_it_is_one_undo_step(annotator, truth):
    box(annotator, truth, 6)
    before = found(annotator)
    job = annotator.propagate("tumour")
    written = []
    while job.running:
        written += [e.position.index for e in annotator.poll() if isinstance(e, MaskWritten)]
    assert sorted(written) == [3, 4, 5, 7, 8, 9, 10]
    assert annotator.undo_names()[0] == "Propagate"
    after = found(annotator)
    annotator.undo()
    assert np.array_equal(found(annotator), before)
    annotator.redo()
    assert np.array_equal(found(annotator), after)


@pytest.mark.parametrize("polls", range(1, 12))
def test_stopping_at_any_slice_keeps_what_is_done(annotator, truth, polls):
    box(annotator, truth, 6)
    job = annotator.propagate("tumour")
    for _ in range(polls):
        job.poll()
    at_stop = found(annotator)
    job.stop()
    for _ in range(5):
        annotator.poll()
    assert job.state in ("stopped", "done")
    assert np.array_equal(found(annotator), at_stop)
    assert not annotator.busy


def test_confirmed_slices_stay_and_empty_ones_are_walls(annotator, truth):
    box(annotator, truth, 6)
    own = np.zeros(SIZE[1:], bool)
    own[14:18, 16:21] = True
    write_slice(annotator.segmentation, "tumour", annotator.volume, SlicePosition("k", 8), own)
    annotator.confirm("k", 8)
    annotator.confirm("k", 4)
    annotator.propagate("tumour").wait(60)
    result = found(annotator)
    assert np.array_equal(result[8], own)
    assert not result[:5].any()
    assert result[5].any()
    assert len(annotator.confirmed()) == 2


def test_another_segment_keeps_its_voxels(annotator, truth):
    theirs = np.zeros(SIZE[1:], bool)
    theirs[:, 18:] = True
    places = [SlicePosition("k", k) for k in range(SIZE[0])]
    for place in places:
        write_slice(annotator.segmentation, "liver", annotator.volume, place, theirs)
    box(annotator, truth, 6)
    annotator.propagate("tumour").wait(60)
    assert np.array_equal(found(annotator, "liver"), np.broadcast_to(theirs, SIZE))
    assert dice(found(annotator), truth) > 0.9


def test_two_segments_compete_by_the_editor_s_overwrite_mode(
    scene, volume, segmentation, client, truth
):
    editor = scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    editor.SetOverwriteMode(editor.OverwriteAllSegments)
    annotator = Annotator(volume, segmentation, client, editor=editor)
    box(annotator, truth, 6)
    box(annotator, truth, 7, "liver")
    jobs = [annotator.propagate("tumour"), annotator.propagate("liver")]
    while any(job.running for job in jobs):
        annotator.poll()
    one, other = found(annotator), found(annotator, "liver")
    assert not (one & other).any()
    assert dice(one | other, truth) > 0.9
    annotator.undo()
    annotator.undo()
    assert not found(annotator)[3:6].any()
    assert not found(annotator, "liver")[8:].any()
    annotator.close()


def test_a_second_run_replaces_what_the_first_wrote_and_keeps_what_was_painted(annotator, truth):
    box(annotator, truth, 6)
    annotator.propagate("tumour").wait(60)
    grid, place = grid_of(annotator.volume), SlicePosition("k", 9)
    painted = read_slice(annotator.segmentation, "tumour", grid, place)
    painted[1:4, 1:4] = True
    write_slice(annotator.segmentation, "tumour", annotator.volume, place, painted)
    own = truth[8] & (np.arange(SIZE[2]) > 18)
    write_slice(annotator.segmentation, "tumour", annotator.volume, SlicePosition("k", 8), own)
    annotator.confirm("k", 7)
    annotator.confirm("k", 10)
    empty = np.zeros(SIZE[1:], bool)
    write_slice(annotator.segmentation, "tumour", annotator.volume, SlicePosition("k", 3), empty)
    annotator.propagate("tumour").wait(60)
    result = found(annotator)
    assert result[9, 1:4, 1:4].all()
    # Erased by hand: stays so.
    assert not result[3].any()
    assert not (result[8] & ~own).any()


def test_what_an_earlier_run_wrote_too_far_is_taken_back(annotator, truth):
    box(annotator, truth, 6)
    annotator.propagate("tumour").wait(60)
    assert found(annotator)[9].any()
    empty = np.zeros(SIZE[1:], bool)
    write_slice(annotator.segmentation, "tumour", annotator.volume, SlicePosition("k", 8), empty)
    annotator.confirm("k", 8)
    annotator.propagate("tumour").wait(60)
    result = found(annotator)
    assert not result[8:].any()
    assert result[7].any()


def test_only_the_direction_asked_for_is_gone(annotator, truth):
    box(annotator, truth, 6)
    annotator.propagate("tumour", "forward").wait(60)
    result = found(annotator)
    assert result[7:11].any(axis=(1, 2)).all()
    assert not result[:6].any()


def test_it_waits_for_a_prompt_s_answer(annotator, client, truth):
    client.hold = True
    rows, columns = np.nonzero(truth[6])
    corners = (columns.min(), rows.min()), (columns.max(), rows.max())
    annotator.box_on("tumour", SlicePosition("k", 6), *corners)
    job = annotator.propagate("tumour")
    annotator.poll()
    assert job.running
    client.hold = False
    job.wait(60)
    assert dice(found(annotator), truth) > 0.9
