"""The scene layer on a real worker process, with a fake predictor in it."""

import time

import numpy as np
import pytest
from fake_lesson import leave_adapter
from fake_predictor import expected
from stage import SAFETY_S, Stage

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.events import MaskWritten, Problem
from MedSAGaSlicerLib.scene.prefetch import SliceKeys
from MedSAGaSlicerLib.scene.segments import read_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of, pixels_of
from MedSAGaSlicerLib.worker.events import Restarted


@pytest.fixture
def stage(tmp_path):
    stage = Stage(tmp_path)
    yield stage
    stage.close()


@pytest.fixture
def annotator(volume, segmentation, stage):
    annotator = Annotator(volume, segmentation, stage.client())
    yield annotator
    annotator.close()


def click(annotator, i, j, k=5, segment="tumour", **options):
    annotator.point(segment, grid_of(annotator.volume).to_ras((i, j, k)), **options)


def mask_of(annotator, k=5, segment="tumour"):
    grid = grid_of(annotator.volume)
    return read_slice(annotator.segmentation, segment, grid, SlicePosition("k", k))


def disc(*points, refinements=0):
    prompts = Prompts(tuple(points), (True,) * len(points))
    return expected((20, 24), prompts, refinements, 0.0).mask


def poll_until(annotator, condition):
    events, until = annotator.poll(), time.monotonic() + SAFETY_S
    while not condition():
        assert time.monotonic() < until, events
        time.sleep(0.002)  # the worker needs the core
        events += annotator.poll()
    return events


def test_clicks_are_answered_and_refined_and_undone(annotator):
    click(annotator, 10, 8)
    events = annotator.wait(SAFETY_S)
    (written,) = (e for e in events if isinstance(e, MaskWritten))
    blocks = pixels_of(annotator.volume, "k", 5)[:8, :8].mean() * len("base")
    assert written.score == pytest.approx(blocks, rel=1e-3)
    assert np.array_equal(mask_of(annotator), disc((10, 8)))
    click(annotator, 14, 8)
    annotator.wait(SAFETY_S)
    assert np.array_equal(mask_of(annotator), disc((10, 8), (14, 8), refinements=1))
    annotator.undo()
    assert np.array_equal(mask_of(annotator), disc((10, 8)))
    click(annotator, 10, 12)
    annotator.wait(SAFETY_S)
    assert np.array_equal(mask_of(annotator), disc((10, 8), (10, 12), refinements=1))


def test_a_cached_slice_is_answered_while_another_is_encoded(annotator, stage):
    click(annotator, 10, 8)
    annotator.wait(SAFETY_S)
    stage.cue("hold-encode")
    click(annotator, 10, 8, k=6)
    poll_until(annotator, lambda: stage.happened("encoding"))
    click(annotator, 14, 8)
    events = poll_until(annotator, lambda: mask_of(annotator)[8, 14])
    assert not mask_of(annotator, k=6).any()
    assert not any(isinstance(e, Problem) for e in events)
    stage.drop("hold-encode")
    stage.cue(f"go-{pixels_of(annotator.volume, 'k', 6).flat[0]}")
    annotator.wait(SAFETY_S)
    assert mask_of(annotator, k=6).any()


def test_prompts_survive_a_worker_that_is_killed(annotator, stage):
    click(annotator, 10, 8)
    annotator.wait(SAFETY_S)
    stage.cue("crash-decode")
    click(annotator, 14, 8)
    events = annotator.wait(SAFETY_S)
    assert any(isinstance(e, Restarted) for e in events)
    # The new worker works out again what the former one had answered, and refines that.
    assert np.array_equal(mask_of(annotator), disc((10, 8), (14, 8), refinements=1))
    annotator.undo()
    annotator.undo()
    assert not mask_of(annotator).any()


def test_a_worker_that_dies_each_time_loses_no_prompt_and_is_asked_again(annotator, stage):
    click(annotator, 10, 8)
    annotator.wait(SAFETY_S)
    stage.cue("crash-decode", "always")
    click(annotator, 14, 8)
    with pytest.raises(Exception, match="worker"):
        annotator.wait(SAFETY_S)
    assert np.array_equal(mask_of(annotator), disc((10, 8)))
    assert len(annotator.prompts()) == 2
    stage.drop("crash-decode")
    click(annotator, 16, 8)
    annotator.wait(SAFETY_S)
    assert mask_of(annotator)[8, 16]
    assert len(annotator.prompts()) == 3


def test_another_model_answers_what_was_under_way(annotator, stage):
    click(annotator, 10, 8)
    annotator.wait(SAFETY_S)
    stage.cue("hold-decode")
    click(annotator, 14, 8)
    poll_until(annotator, lambda: stage.happened("decoding"))
    stage.drop("hold-decode")
    annotator.use_model(stage.model("another"))
    stage.cue("go-decode")
    annotator.wait(SAFETY_S)
    assert np.array_equal(mask_of(annotator), disc((10, 8), (14, 8)))
    assert annotator.model == stage.model("another")


def test_a_model_that_cannot_be_loaded_leaves_the_old_one_in_place(annotator, stage):
    click(annotator, 10, 8)
    annotator.wait(SAFETY_S)
    annotator.use_model("broken")
    events = poll_until(annotator, lambda: annotator.model != "broken")
    assert any(isinstance(e, Problem) and "no checkpoint" in e.message for e in events)
    click(annotator, 14, 8)
    annotator.wait(SAFETY_S)
    assert mask_of(annotator)[8, 14]


def test_a_prompt_that_the_model_refuses_is_raised_with_the_reason(annotator, stage):
    stage.cue("fail-decode")
    click(annotator, 10, 8)
    with pytest.raises(Exception, match="the fake fails to decode"):
        annotator.wait(SAFETY_S)
    stage.drop("fail-decode")
    annotator.undo()
    assert annotator.prompts() == ()


def test_slices_ahead_are_embedded_once_each(annotator, stage):
    annotator.look_at("k", 2)
    poll_until(annotator, lambda: all(annotator.is_ready("k", k) for k in range(11)))
    for k in range(3, 8):
        annotator.look_at("k", k)
        annotator.poll()
    poll_until(annotator, lambda: annotator.is_ready("k", 11))
    keys = SliceKeys(annotator.volume)
    # Slices that look the same are one to the worker.
    assert len(stage.encoded()) == len({keys.key(SlicePosition("k", k)) for k in range(12)})


def test_a_volume_is_finished_through_the_worker_that_crashes_on_the_way(
    annotator, stage, tmp_path
):
    leave_adapter(tmp_path / "taught")
    stage.cue("crash-decode")
    annotator.use_taught("tumour", tmp_path / "taught")
    job = annotator.finish("tumour")
    job.wait(SAFETY_S)
    assert job.progress == (12, 12)
    assert any(isinstance(event, Restarted) for event in annotator.poll())
    assert all(mask_of(annotator, k).all() for k in range(12))
    # The adapter leaves the encoder alone: each slice was embedded once, by the base, and once
    # more at most the one that was under way when the worker died.
    keys = {SliceKeys(annotator.volume).key(SlicePosition("k", k)) for k in range(12)}
    assert set(stage.encoded()) == {"base 0"}
    assert len(keys) <= len(stage.encoded()) <= len(keys) + 1
    annotator.undo()
    assert not any(mask_of(annotator, k).any() for k in range(12))


def test_stopping_leaves_the_worker_nothing_to_do(annotator, stage, tmp_path):
    leave_adapter(tmp_path / "taught")
    annotator.use_taught("tumour", tmp_path / "taught")
    job = annotator.finish("tumour")
    while job.progress[0] < 3:
        job.poll()
    job.stop()
    done = job.progress[0]
    annotator.wait(SAFETY_S)
    assert not annotator.busy
    assert [k for k in range(12) if mask_of(annotator, k).any()] == list(range(done))
