"""Prompts and masks outlive a worker, or its launcher, that is killed at any instant.

A quick run by default; MEDSAGA_KILLS=100 is the thorough one.
"""

import os
import signal
import time

import numpy as np
import pytest
from fake_predictor import expected
from killing import processes_of
from stage import SAFETY_S, Stage, await_end, launcher_command

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.segments import read_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of
from MedSAGaSlicerLib.worker.events import Restarted

KILLS = int(os.environ.get("MEDSAGA_KILLS", "4"))
PLACES = {"tumour": (5, 5), "liver": (12, 10), "spleen": (18, 14)}


@pytest.fixture
def stage(tmp_path):
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def masks_of(annotator, k):
    node, grid = annotator.segmentation, grid_of(annotator.volume)
    return {name: read_slice(node, name, grid, SlicePosition("k", k)) for name in PLACES}


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("launched", [False, True], ids=["worker", "launcher"])
def test_prompts_and_masks_survive_kill_9_at_any_instant(
    volume, segmentation, stage, tmp_path, launched
):
    stage.cue("encode-seconds", "0.004")
    stage.cue("decode-seconds", "0.002")
    pid_file = tmp_path / "pid" if launched else None
    client = stage.started(command=launcher_command(pid_file) if launched else None)
    annotator = Annotator(volume, segmentation, client)
    random = np.random.default_rng(KILLS)
    processes: set[int] = set()
    for number in range(KILLS):
        alive = processes_of(client, pid_file)
        processes |= set(alive)
        k = number % 12
        for name, (i, j) in PLACES.items():
            annotator.point(name, grid_of(volume).to_ras((i, j, k)))
        until = time.monotonic() + random.uniform(0, 0.05)
        while time.monotonic() < until:
            annotator.poll()
        os.kill(alive[number % len(alive)], signal.SIGKILL)
        # Masks may all have been there already: the end of a launcher shows a little later.
        limit, events = time.monotonic() + SAFETY_S, []
        while not any(isinstance(event, Restarted) for event in events):
            assert time.monotonic() < limit, events
            events = annotator.poll()
        annotator.wait(SAFETY_S)
        assert len(annotator.prompts()) == len(PLACES)
        for name, mask in masks_of(annotator, k).items():
            prompts = Prompts((PLACES[name],), (True,))
            assert np.array_equal(mask, expected((20, 24), prompts, 0, 0).mask), (number, name)
        while annotator.undo():
            pass
        assert not any(mask.any() for mask in masks_of(annotator, k).values())
    processes |= set(processes_of(client, pid_file))
    annotator.close()
    client.stop()
    for process in processes:
        await_end(process)
