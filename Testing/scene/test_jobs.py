"""What all jobs have in common, on one that asks for a point on each slice."""

import numpy as np
import pytest
from harness.fake_client import draw

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.jobs import DONE, Job
from MedSAGaSlicerLib.scene.segments import read_slice, write_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of

POINT = Prompts(((10, 8),), (True,))
DISC = draw((20, 24), POINT)


class EachSlice(Job):
    """A point on every slice along k, one question at a time."""

    def __init__(self, place, segment="tumour"):
        super().__init__(place, "Each slice", 12)
        self.segment = segment

    def _step(self):
        done, total = self.progress
        if done == total:
            self._end(DONE, "All done.")
        elif not self.requests:
            self._ask(done, SlicePosition("k", done), POINT)

    def _answered(self, tag, answer):
        self._write((self.segment, SlicePosition("k", tag)), answer.mask)
        self._count.done += 1


def start(annotator):
    job = EachSlice(annotator._workplace())
    annotator._jobs.add(job)
    return job


def written(annotator, segment="tumour"):
    """The slices along k with anything in the segment."""
    node, grid = annotator.segmentation, grid_of(annotator.volume)
    return [k for k in range(12) if read_slice(node, segment, grid, SlicePosition("k", k)).any()]


def until(annotator, job, count):
    while len(written(annotator)) < count:
        assert not job.poll()


def test_a_job_writes_as_it_is_answered_and_is_one_undo_step(annotator):
    job = start(annotator)
    until(annotator, job, 3)
    assert job.progress == (3, 12)
    assert job.state == "running"
    job.wait()
    assert (job.state, job.message) == ("done", "All done.")
    assert written(annotator) == list(range(12))
    assert annotator.undo() == "Each slice"
    assert written(annotator) == []
    assert annotator.redo() == "Each slice"
    assert written(annotator) == list(range(12))


@pytest.mark.parametrize("count", [0, 1, 6, 11])
def test_stopping_at_any_slice_keeps_what_is_done(annotator, client, count):
    job = start(annotator)
    until(annotator, job, count)
    job.stop()
    assert job.poll()
    for _ in range(5):
        annotator.poll()
    assert job.state == "stopped"
    assert written(annotator) == list(range(count))
    assert annotator.undo() == ("Each slice" if count else None)
    assert written(annotator) == []
    assert client.logits_kept == set()


def test_undoing_a_job_under_way_stops_it(annotator):
    job = start(annotator)
    until(annotator, job, 2)
    annotator.undo()
    assert job.poll()
    assert job.state == "stopped"
    for _ in range(5):
        annotator.poll()
    assert written(annotator) == []


def test_what_a_person_does_meanwhile_stays(annotator):
    job = start(annotator)
    until(annotator, job, 2)
    position = SlicePosition("k", 7)
    annotator.box_on("tumour", position, (1, 1), (3, 3))
    annotator.confirm("k", 9)
    job.wait()
    box = draw((20, 24), Prompts(box=(1, 1, 3, 3)))
    node, grid = annotator.segmentation, grid_of(annotator.volume)
    assert np.array_equal(read_slice(node, "tumour", grid, position), box)
    assert written(annotator) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11]


def test_confirmed_voxels_of_another_axis_stay(annotator):
    annotator.confirm("j", 8)
    start(annotator).wait()
    node, grid = annotator.segmentation, grid_of(annotator.volume)
    assert not read_slice(node, "tumour", grid, SlicePosition("j", 8)).any()
    assert read_slice(node, "tumour", grid, SlicePosition("j", 7)).any()


def test_a_stroke_made_meanwhile_stays(annotator):
    job = start(annotator)
    until(annotator, job, 1)
    node, grid = annotator.segmentation, grid_of(annotator.volume)
    position = SlicePosition("k", 5)
    empty = read_slice(node, "tumour", grid, position)
    stroke = empty.copy()
    stroke[2, 3:9] = True

    def put(mask):
        write_slice(node, "tumour", annotator.volume, position, mask)
        return True

    put(stroke)
    assert annotator.record_edit("Paint", lambda: put(empty), lambda: put(stroke))
    job.wait()
    assert np.array_equal(read_slice(node, "tumour", grid, position), stroke | DISC)


def test_another_model_ends_a_job(annotator):
    job = start(annotator)
    until(annotator, job, 2)
    annotator.use_model("other")
    assert job.state == "stopped"
    assert "another model" in job.message
    assert written(annotator) == [0, 1]


def test_a_refused_question_fails_the_job_and_keeps_what_is_done(annotator, client):
    job = start(annotator)
    until(annotator, job, 2)
    client.refuse = "The slice is too small."
    with pytest.raises(InputError, match="too small"):
        job.wait()
    assert job.state == "failed"
    assert written(annotator)[:2] == [0, 1]


def test_closing_the_scene_ends_a_job(annotator, scene):
    job = start(annotator)
    until(annotator, job, 2)
    scene.Clear()
    assert job.state == "stopped"
    assert job.poll()


def test_edited_voxels_are_looked_at_again(annotator, client, volume):
    client.hold = True
    job = start(annotator)
    annotator.poll()
    assert len(client.asked) == 1
    volume.GetImageData().GetPointData().GetScalars().SetTuple1(0, 1000)
    volume.GetImageData().Modified()
    client.hold = False
    while len(client.asked) < 2:
        job.poll()
    assert client.asked[0][0] != client.asked[1][0]
    job.wait()
    assert written(annotator) == list(range(12))
