"""Lessons in a process of their own: told as they go, stopped in time, and never lost."""

import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from classroom_stage import ClassroomStage, poll_lesson, real_lesson
from lessons import QUICK, discs
from stage import FAKES, SAFETY_S, await_end

from MedSAGaSlicerLib.engine.teaching.events import Finished, Progress, Saved, Started, Stopped
from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.events import Restarted
from MedSAGaSlicerLib.worker.launch import TEACHING, python_command, teaching_command
from MedSAGaSlicerLib.worker.lesson_events import Failed
from MedSAGaSlicerLib.worker.teach_client import TeachClient

NEEDS_GALORE = pytest.mark.skipif(
    importlib.util.find_spec("galore_torch") is None, reason="galore-torch is not installed"
)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ClassroomStage]:
    room = ClassroomStage(tmp_path)
    yield room
    room.close()


def steps_of(news: list[object]) -> list[int]:
    return [event.step for event in news if isinstance(event, Progress)]


def has(kind: type):
    return lambda news: any(isinstance(event, kind) for event in news)


def test_a_lesson_is_told_step_by_step_and_ends_once(room: ClassroomStage) -> None:
    client = room.client()
    client.start(room.lesson())
    news = client.wait(SAFETY_S)
    started, end = news[0], news[-1]
    assert (started.done, started.segments) == (0, ("a", "b"))
    assert steps_of(news) == list(range(1, 21))
    assert [event.step for event in news if isinstance(event, Saved)] == [5, 10, 15, 20]
    assert end == Finished(room.base / "taught", True, {"steps": 20, "title": "mine"})
    assert not client.running
    assert client.poll() == []


def test_a_lesson_stops_when_asked_and_goes_on_later(room: ClassroomStage) -> None:
    room.cue("slow")
    client = room.client()
    client.start(room.lesson(steps=1000, save_every=1000))
    before = poll_lesson(client, lambda news: len(steps_of(news)) > 2)
    client.stop()
    client.stop()
    end = client.wait(SAFETY_S)[-1]
    assert isinstance(end, Stopped)
    assert end.resumable
    assert end.step >= steps_of(before)[-1]
    (room.folder / "slow").unlink()
    client.start(room.lesson(steps=1000, save_every=1000))
    news = client.wait(SAFETY_S)
    assert news[0].done == end.step
    assert steps_of(news)[0] == end.step + 1
    assert isinstance(news[-1], Finished)


def test_a_lesson_that_cannot_be_interrupted_stops_all_the_same(room: ClassroomStage) -> None:
    client = room.client()
    client.start(room.lesson(steps=12))
    client.wait(SAFETY_S)
    room.cue("deaf")
    client.start(room.lesson("again", steps=20))
    poll_lesson(client, lambda _: (room.folder / "deafened").exists())
    client.stop()
    (end,) = (e for e in client.wait(SAFETY_S) if isinstance(e, Stopped))
    assert end == Stopped(10, resumable=True)
    assert not client.running


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_worker_that_does_not_even_listen_is_ended_after_two_seconds(
    room: ClassroomStage,
) -> None:
    clock = Clock()
    client = room.client(clock=clock, command=python_command(module="this"))
    client.start(room.lesson())
    client.stop()
    clock.now = 1.9
    assert all(not isinstance(event, Stopped) for event in client.poll()[1:])
    clock.now = 2.0
    news = client.poll()
    assert not client.running
    assert all(isinstance(event, Stopped) for event in news)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_kill_9_costs_the_steps_since_the_last_state_and_nothing_else(
    room: ClassroomStage,
) -> None:
    room.cue("crash", "13")
    client = room.client()
    client.start(room.lesson())
    news = client.wait(SAFETY_S)
    (restarted,) = (event for event in news if isinstance(event, Restarted))
    assert restarted.doing == "at step 12 of 20"
    assert restarted.exit_status == -signal.SIGKILL
    assert [event.done for event in news if isinstance(event, Started)] == [0, 10]
    assert steps_of(news) == [*range(1, 13), *range(11, 21)]
    assert isinstance(news[-1], Finished)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_step_that_kills_every_worker_ends_the_lesson(room: ClassroomStage) -> None:
    room.cue("crash", "13 always")
    client = room.client()
    client.start(room.lesson())
    news = client.wait(SAFETY_S)
    assert sum(isinstance(event, Restarted) for event in news) == 1
    failed = news[-1]
    assert (failed.kind, failed.step) == ("died", 10)
    assert "at step 12 of 20" in failed.message
    assert "a print that must not" in failed.stderr


@pytest.mark.parametrize(
    ("cue", "kind", "words"),
    [
        ("disk", "disk", "No space left"),
        ("memory", "memory", ""),
        ("input", "input", "bad"),
        ("odd", "internal", "RuntimeError: odd"),
    ],
)
def test_a_lesson_that_fails_says_why(
    room: ClassroomStage, cue: str, kind: str, words: str
) -> None:
    room.cue("fail", cue)
    client = room.client()
    client.start(room.lesson())
    (failed,) = client.wait(SAFETY_S)
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.step) == (kind, None)
    assert words in failed.message


def test_the_end_of_the_asking_program_keeps_the_state_and_leaves_no_process(
    room: ClassroomStage,
) -> None:
    room.cue("slow")
    client = room.client()
    client.start(room.lesson(steps=1000, save_every=1000))
    news = poll_lesson(client, lambda news: len(steps_of(news)) > 2)
    process = client.process
    client.close()
    await_end(process)
    assert int((room.base / "work" / "state").read_text()) >= steps_of(news)[-1]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_killed_launcher_takes_its_worker_along_and_the_lesson_goes_on(
    room: ClassroomStage,
) -> None:
    pid_file = room.base / "pid"
    launcher = [sys.executable, str(FAKES / "launcher.py"), str(pid_file)]
    room.cue("slow")
    # Its worker goes on telling: that must not hide that the launcher is gone.
    client = room.client(command=[*launcher, *python_command(module=TEACHING)])
    client.start(room.lesson(steps=60))
    poll_lesson(client, lambda news: 7 in steps_of(news))
    worker = int(pid_file.read_text())
    os.kill(client.process, signal.SIGKILL)
    news = client.wait(SAFETY_S)
    assert [event.done >= 5 for event in news if isinstance(event, Started)] == [True]
    assert isinstance(news[-1], Finished)
    await_end(worker)


def test_only_one_lesson_is_given_at_a_time(room: ClassroomStage) -> None:
    room.cue("deaf")
    client = room.client()
    client.start(room.lesson())
    with pytest.raises(WorkerError, match="Stop it first"):
        client.start(room.lesson())
    with pytest.raises(WorkerError, match="did not end within 0 s"):
        client.wait(0)


def test_lessons_are_given_in_the_python_of_the_inference_worker_if_it_is_local() -> None:
    here = python_command("/opt/env/bin/python")
    assert teaching_command(here) == python_command("/opt/env/bin/python", TEACHING)
    ssh = ["ssh", "host", "python", "-m", "MedSAGaSlicerLib.worker"]
    assert teaching_command(ssh) == python_command(module=TEACHING)
    assert not TeachClient.beside(InferenceClient(ssh)).running


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("method", ["decoder", pytest.param("galore", marks=NEEDS_GALORE)])
def test_a_real_lesson_killed_and_stopped_learns_the_same_bit_for_bit(
    room: ClassroomStage, method: str
) -> None:
    config = replace(QUICK, method=method, rank=4)
    client = room.real_client("tiny_model:load")
    client.start(real_lesson(room.base, "whole", "tiny", config, discs(10, 2)))
    assert isinstance(client.wait(SAFETY_S)[-1], Finished)
    disturbed = real_lesson(room.base, "disturbed", "tiny", config, discs(10, 2))
    client.start(disturbed)
    poll_lesson(client, lambda news: 3 in steps_of(news))
    os.kill(client.process, signal.SIGKILL)
    poll_lesson(client, has(Restarted))
    client.stop()
    assert isinstance(client.wait(SAFETY_S)[-1], Stopped)
    client.start(disturbed)
    news = client.wait(SAFETY_S)
    assert isinstance(news[-1], Finished)
    (started,) = [event for event in news if isinstance(event, Started)]
    assert started.done >= 2
    whole, other = (
        safetensors.numpy.load_file(room.base / name / "weights.safetensors")
        for name in ("whole", "disturbed")
    )
    assert whole.keys() == other.keys()
    for name, tensor in whole.items():
        np.testing.assert_array_equal(tensor, other[name])
