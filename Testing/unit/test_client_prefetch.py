import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from stage import (
    POINT,
    SAFETY_S,
    Stage,
    a_slice,
    await_end,
    is_alive,
    launcher_command,
    only,
    poll_until,
    process_of,
)
from strange_workers import GREETING, SLEEP, python, speaking

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.events import Decoded, Encoded, Ready, Restarted

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


class Volume:
    """Slices that know how often they were asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def ahead(self, *numbers: int) -> list[tuple[str, object]]:
        return [(a_slice(n)[0], lambda n=n: self._give(n)) for n in numbers]

    def _give(self, number: int) -> np.ndarray:
        self.asked.append(number)
        return a_slice(number)[1]


def told(news: list[object], number: int) -> list[str]:
    return [e.key for e in news if isinstance(e, Encoded) and e.request == number]


def keys(*numbers: int) -> list[str]:
    return [a_slice(number)[0] for number in numbers]


def test_slices_ahead_are_encoded_in_order_and_each_is_told(stage: Stage) -> None:
    client, volume = stage.started(), Volume()
    prefetch = client.prefetch(volume.ahead(5, 3, 4, 3, 1))
    assert client.prefetching
    assert not client.busy
    news = client.wait(prefetch, timeout_s=SAFETY_S)
    assert told(news, prefetch) == keys(5, 3, 4, 1)
    assert volume.asked == [5, 3, 4, 1]
    assert not client.prefetching


def test_slices_in_the_cache_are_told_at_once_and_not_asked_for(stage: Stage) -> None:
    client, volume = stage.started(), Volume()
    client.wait(client.prefetch(volume.ahead(1, 2)), timeout_s=SAFETY_S)
    again = client.prefetch(volume.ahead(2, 3, 1))
    news = client.wait(again, timeout_s=SAFETY_S)
    assert sorted(told(news, again)) == sorted(keys(1, 2, 3))
    assert {event.key for event in news if event.cached} == set(keys(1, 2))
    assert volume.asked == [1, 2, 3]


def test_a_jump_drops_what_lies_ahead_of_the_old_place(stage: Stage) -> None:
    client, volume = stage.started(), Volume()
    stage.cue("hold-encode")
    before = client.prefetch(volume.ahead(1, 2, 3, 4))
    poll_until(client, lambda: stage.happened("encoding") and len(volume.asked) == 2)
    process_of(client)
    after = client.prefetch(volume.ahead(8, 4, 1))
    process_of(client)
    stage.drop("hold-encode")
    stage.cue("go-1")
    news = client.wait(after, timeout_s=SAFETY_S)
    assert [line.split()[1] for line in stage.encoded()] == ["1", "8", "4"]
    assert (told(news, before), sorted(told(news, after))) == ([], sorted(keys(1, 4, 8)))
    assert volume.asked == [1, 2, 8, 4]


def test_an_empty_list_stops_prefetching(stage: Stage) -> None:
    client, volume = stage.started(), Volume()
    stage.cue("hold-encode")
    client.prefetch(volume.ahead(1, 2, 3))
    poll_until(client, lambda: stage.happened("encoding"))
    client.prefetch([])
    assert not client.prefetching
    stage.drop("hold-encode")
    stage.cue("go-1")
    process_of(client)
    assert 3 not in volume.asked


def test_a_prompt_ahead_of_the_prefetch_is_told_to_the_prefetch_too(stage: Stage) -> None:
    client, volume = stage.started(), Volume()
    stage.cue("hold-encode")
    prefetch = client.prefetch(volume.ahead(1, 2, 3, 4))
    poll_until(client, lambda: stage.happened("encoding"))
    key, pixels = a_slice(4)
    client.decode(key, POINT, pixels=lambda: pixels)
    stage.drop("hold-encode")
    stage.cue("go-1")
    news = client.wait(prefetch, timeout_s=SAFETY_S)
    assert sorted(told(news, prefetch)) == sorted(keys(1, 2, 3, 4))
    assert sorted(stage.encoded()) == [f"base {n}" for n in (1, 2, 3, 4)]


def test_prefetching_survives_a_crash(stage: Stage) -> None:
    client, volume = stage.started(), Volume()
    client.wait(client.encode(*a_slice(0)))
    stage.cue("crash-encode")
    prefetch = client.prefetch(volume.ahead(1, 2, 3, 4))
    news = client.wait(prefetch, timeout_s=SAFETY_S)
    assert told(news, prefetch) == keys(1, 2, 3, 4)
    assert any(isinstance(event, Restarted) for event in news)


def test_masks_of_the_old_model_never_arrive_after_a_switch(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.wait(client.encode(key, pixels))
    stage.cue("hold-decode")
    old = client.decode(key, POINT)
    poll_until(client, lambda: stage.happened("decoding"))
    load = client.load_model(stage.model("other"))
    stage.drop("hold-decode")
    stage.cue("go-decode")
    new = client.decode(key, POINT, pixels=lambda: pixels)
    news = client.wait(timeout_s=SAFETY_S)
    assert old not in {event.request for event in news}
    assert [only(news, Ready).request, only(news, Decoded).request] == [load, new]


def test_a_cancelled_request_is_never_answered(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.wait(client.encode(key, pixels))
    stage.cue("hold-decode")
    running = client.decode(key, POINT)
    waiting = client.decode(key, POINT)
    last = client.decode(key, POINT)
    poll_until(client, lambda: stage.happened("decoding"))
    client.cancel(running)
    client.cancel(waiting)
    client.cancel(12345)
    stage.drop("hold-decode")
    stage.cue("go-decode")
    assert [event.request for event in client.wait(timeout_s=SAFETY_S)] == [last]


def test_waiting_too_long_raises_and_loses_no_news(stage: Stage) -> None:
    client = stage.started()
    stage.cue("hold-encode")
    client.encode(*a_slice(1))
    poll_until(client, lambda: stage.happened("encoding"))
    (stats,) = client.wait(client.stats())
    client.cancel(stats.request)
    other = client.stats()
    with pytest.raises(WorkerError, match="while encoding a slice"):
        client.wait(timeout_s=0.5)
    # The answer came during the wait, or comes after it on a slow machine.
    assert [event.request for event in client.wait(other, timeout_s=SAFETY_S)] == [other]


@posix
def test_polling_never_blocks_though_the_worker_reads_nothing(stage: Stage) -> None:
    client = stage.started()
    process = process_of(client)
    os.kill(process, signal.SIGSTOP)
    slices = [a_slice(number, (1500, 1500)) for number in range(3)]
    for key, pixels in slices:
        client.encode(key, pixels)
    for _ in range(100):
        assert client.poll() == []
    os.kill(process, signal.SIGCONT)
    news = client.wait(timeout_s=SAFETY_S)
    assert [event.key for event in news] == [key for key, _ in slices]


def test_stopping_leaves_no_process_and_can_be_done_twice(stage: Stage) -> None:
    client = stage.started()
    process = process_of(client)
    client.stop()
    client.stop()
    assert not client.running
    assert not is_alive(process)
    client.start()
    assert only(client.wait(timeout_s=SAFETY_S), Ready)


@posix
def test_a_worker_that_will_not_stop_is_killed_with_its_children(
    stage: Stage, tmp_path: Path
) -> None:
    pid_file = tmp_path / "child"
    child = f"import os,time; open({str(pid_file)!r},'w').write(str(os.getpid())); {SLEEP}"
    stubborn = f"import subprocess; subprocess.run({python(child)!r})"
    client = stage.client(command=speaking(GREETING, stubborn))
    client.start()
    poll_until(client, lambda: pid_file.exists() and pid_file.read_text() != "")
    client.stop(grace_s=0.0)
    await_end(int(pid_file.read_text()))


@posix
@pytest.mark.parametrize("launched", [False, True])
def test_kill_9_at_any_instant_loses_nothing_and_leaves_no_process(
    stage: Stage, tmp_path: Path, launched: bool
) -> None:
    from killing import kill_again_and_again

    pid_file = tmp_path / "pid"
    command = launcher_command(pid_file) if launched else None
    kill_again_and_again(stage, command, pid_file if launched else None, kills=4, seed=0)


def test_importing_the_client_brings_in_neither_torch_nor_threads_nor_images(
    checkout: Path,
) -> None:
    program = (
        "import sys, threading, MedSAGaSlicerLib.worker.client;"
        "print(sorted({'torch', 'SimpleITK', 'scipy', 'slicer', 'qt'} & set(sys.modules)),"
        " threading.active_count())"
    )
    environment = {**os.environ, "PYTHONPATH": str(checkout / "MedSAGaSlicer")}
    done = subprocess.run(
        python(program), env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[] 1"


def test_options_have_defaults_that_need_no_worker() -> None:
    client = InferenceClient()
    assert not client.running
    assert not client.busy
    assert client.poll() == []
    client.stop()


def test_empty_prompts_are_the_model_s_business(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    news = client.wait(client.decode(key, Prompts(), pixels=lambda: pixels), timeout_s=SAFETY_S)
    assert not only(news, Decoded).mask.any()
