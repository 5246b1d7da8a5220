import numpy as np
import pytest
import slicer
from harness.seeing_client import SIZE, SeeingClient, box, cylinder, dice, found, make_volume
from stage import SAFETY_S, Stage

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.segments import read_slice, write_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of, voxels_of


@pytest.fixture
def truth():
    return cylinder()


@pytest.fixture
def volume(scene, truth):
    return make_volume(truth)


@pytest.fixture
def client():
    return SeeingClient()


def test_a_segment_without_a_known_slice_is_refused(annotator, truth):
    with pytest.raises(InputError, match="No slice of 'tumour' is prompted or confirmed"):
        annotator.propagate("tumour")
    with pytest.raises(InputError, match="no segment 'bone'"):
        annotator.propagate("bone")
    box(annotator, truth, 6)
    with pytest.raises(InputError, match="along j"):
        annotator.propagate("tumour", axis="j")
    with pytest.raises(InputError, match="direction 'up'"):
        annotator.propagate("tumour", "up")
    annotator.confirm("k", 0)
    with pytest.raises(InputError, match="nothing to go on from"):
        annotator.propagate("liver")


def test_voxels_changed_meanwhile_are_looked_at_anew(annotator, volume, client, truth):
    box(annotator, truth, 6)
    job = annotator.propagate("tumour")
    job.poll()
    changed = voxels_of(volume)
    changed[8:] = 100
    slicer.util.arrayFromVolumeModified(volume)
    job.wait(60)
    assert job.state == "done"
    result = found(annotator)
    assert result[7].any()
    assert not result[9:].any()


@pytest.mark.parametrize("node", ["volume", "segmentation"])
def test_a_node_removed_in_the_middle_ends_it(annotator, scene, truth, node):
    box(annotator, truth, 6)
    job = annotator.propagate("tumour")
    job.poll()
    scene.RemoveNode(getattr(annotator, node))
    assert not job.running
    assert "removed" in job.message
    annotator.poll()


def test_a_segment_removed_in_the_middle_ends_it(annotator, truth):
    box(annotator, truth, 6)
    job = annotator.propagate("tumour")
    job.poll()
    annotator.segmentation.GetSegmentation().RemoveSegment("tumour")
    while job.running:
        annotator.poll()
    assert "segment was removed" in job.message


def test_undone_in_the_middle_it_stops(annotator, truth):
    box(annotator, truth, 6)
    before = found(annotator)
    job = annotator.propagate("tumour")
    while annotator.undo_names()[0] != "Propagate":
        job.poll()
    annotator.undo()
    job.wait(60)
    assert job.state == "stopped"
    assert np.array_equal(found(annotator), before)


def test_slices_ahead_are_embedded_in_the_running_direction(annotator, client, truth):
    box(annotator, truth, 6)
    job = annotator.propagate("tumour", "forward")
    job.poll()
    annotator.poll()
    keys = [annotator._keys.key(SlicePosition("k", k)) for k in (8, 9)]
    assert any(all(key in listed for key in keys) for listed in client.prefetch_lists)


def test_prompts_on_another_axis_stay_and_the_axis_with_more_is_gone_along(annotator, truth):
    box(annotator, truth, 6)
    box(annotator, truth, 8)
    annotator.box_on("tumour", SlicePosition("j", 15), (14, 4), (22, 9))
    annotator.wait()
    grid, across = grid_of(annotator.volume), SlicePosition("j", 15)
    before = read_slice(annotator.segmentation, "tumour", grid, across)
    job = annotator.propagate("tumour")
    job.wait(60)
    assert job.axis == "k"
    after = read_slice(annotator.segmentation, "tumour", grid, across)
    assert not (before & ~after).any()
    assert dice(found(annotator), truth) > 0.85


def test_what_jobs_wrote_is_known_after_saving_and_loading(annotator, scene, client, truth):
    box(annotator, truth, 6)
    annotator.propagate("tumour").wait(60)
    volume, segmentation = annotator.volume, annotator.segmentation
    annotator.close()
    again = Annotator(volume, segmentation, client)
    empty = np.zeros(SIZE[1:], bool)
    write_slice(segmentation, "tumour", volume, SlicePosition("k", 8), empty)
    again.confirm("k", 8)
    again.propagate("tumour").wait(60)
    assert not found(again)[8:].any()
    again.close()


def test_one_direction_alone_fills_all_that_lies_between(annotator, truth):
    box(annotator, truth, 4)
    box(annotator, truth, 9)
    annotator.propagate("tumour", "back").wait(60)
    result = found(annotator)
    assert result[3:10].any(axis=(1, 2)).all()
    assert not result[10:].any()


@pytest.fixture
def stage(tmp_path):
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def test_a_real_worker_answers_and_may_be_killed_in_the_middle(volume, segmentation, stage, truth):
    annotator = Annotator(volume, segmentation, stage.client())
    box(annotator, truth, 6)
    stage.cue("crash-decode")
    job = annotator.propagate("tumour")
    job.wait(SAFETY_S)
    assert job.state == "done"
    result = found(annotator)
    assert result[5].any()
    assert result[7].any()
    # Each slice once, and once more what was under way when it was killed.
    assert len(stage.encoded()) <= SIZE[0] + 2
    annotator.close()


def test_another_model_ends_it_and_keeps_what_is_done(annotator, truth):
    box(annotator, truth, 6)
    job = annotator.propagate("tumour")
    while not found(annotator)[7].any():
        job.poll()
    annotator.use_model("another")
    assert job.state == "stopped"
    assert found(annotator)[7].any()
    assert "another model" in job.message


def test_a_refusal_of_the_worker_is_raised(annotator, client, truth):
    box(annotator, truth, 6)
    client.refuse = "no memory left"
    job = annotator.propagate("tumour")
    with pytest.raises(InputError, match="no memory left"):
        job.wait(60)
    assert job.state == "failed"
