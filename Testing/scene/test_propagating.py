"""Propagating in a scene, asked of a client that sees bright things on dark slices."""

import numpy as np
import pytest
import slicer
from harness.fake_client import FakeClient
from stage import SAFETY_S, Stage

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.events import MaskWritten
from MedSAGaSlicerLib.scene.segments import read_slice, write_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of, voxels_of

SIZE = (14, 32, 40)


class SeeingClient(FakeClient):
    """Finds what is bright in the box, or where the points are."""

    def decode(self, key, prompts, *, pixels=None, **options):
        self._bright = pixels() > 128
        return super().decode(key, prompts, pixels=pixels, **options)

    def predict(self, size, prompts):
        if prompts.box is None:
            return self._bright.copy()
        left, top, right, bottom = (round(edge) for edge in prompts.box)
        near = np.zeros(size, bool)
        near[max(0, top - 2) : bottom + 3, max(0, left - 2) : right + 3] = True
        return self._bright & near


def cylinder(first=3, last=10):
    k, j, i = np.mgrid[: SIZE[0], : SIZE[1], : SIZE[2]]
    within = (k >= first) & (k <= last)
    return within & ((i - 18) ** 2 + (j - 15 - 0.5 * (k - 6)) ** 2 <= 36)


def make_volume(truth, spacing=3.0):
    noise = np.random.default_rng(0).integers(0, 20, truth.shape)
    voxels = np.where(truth, 400, 100).astype(np.int16) + noise.astype(np.int16)
    ijk_to_ras = np.diag([1.0, 1.0, spacing, 1.0])
    return slicer.util.addVolumeFromArray(voxels, ijk_to_ras, "MR")


@pytest.fixture
def truth():
    return cylinder()


@pytest.fixture
def volume(scene, truth):
    return make_volume(truth)


@pytest.fixture
def client():
    return SeeingClient()


@pytest.fixture
def annotator(volume, segmentation, client):
    annotator = Annotator(volume, segmentation, client)
    yield annotator
    if annotator.closed is None:
        annotator.close()


def box(annotator, truth, index, segment="tumour"):
    rows, columns = np.nonzero(truth[index])
    corners = (columns.min(), rows.min()), (columns.max(), rows.max())
    annotator.box_on(segment, SlicePosition("k", index), *corners)
    annotator.wait()


def found(annotator, segment="tumour"):
    grid = grid_of(annotator.volume)
    places = [SlicePosition("k", k) for k in range(grid.shape_ijk[2])]
    return np.stack([read_slice(annotator.segmentation, segment, grid, p) for p in places])


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


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
