import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_predictor import expected
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

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError, WorkerError
from MedSAGaSlicerLib.worker.channel import Channel, ConnectionLostError
from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.events import Decoded, Died, Encoded, Failed, Ready, Restarted, Stats
from MedSAGaSlicerLib.worker.launch import python_command
from MedSAGaSlicerLib.worker.protocol import MAGIC, VERSION, frame

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def speaking(data: bytes, then: str) -> list[str]:
    """A worker that says ``data`` and then does something else."""
    return python(
        f"import sys, time; sys.stdout.buffer.write({data!r}); sys.stdout.flush(); {then}"
    )


SLEEP = "time.sleep(1000)"
GREETING = MAGIC + frame("greeting", protocol=VERSION, version="0")


def test_a_banner_before_the_handshake_is_skipped(stage: Stage) -> None:
    banner = b"Welcome to the cluster\r\nquota: 3 GB\n\x1b[1m$ "
    start = f"import os; os.execv(sys.executable, {python_command()!r})"
    client = stage.client(command=speaking(banner, start))
    assert isinstance(client.wait(client.start(), timeout_s=SAFETY_S)[0], Ready)


def test_a_worker_of_another_version_is_named_and_not_tried_again(stage: Stage) -> None:
    greeting = MAGIC + frame("greeting", protocol=VERSION + 1, version="9.9")
    client = stage.client(command=speaking(greeting, SLEEP))
    load = client.start()
    decode = client.decode("key", POINT)
    news = client.wait(timeout_s=SAFETY_S)
    assert [event.request for event in news if isinstance(event, Failed)] == [load, decode]
    assert f"version {VERSION + 1}" in only(news, Died).message
    assert f"version {VERSION}." in only(news, Died).message
    assert not client.running


def test_what_never_introduces_itself_is_given_up(stage: Stage) -> None:
    client = stage.client(command=python(f"import time; {SLEEP}"), start_limit_s=0.0)
    client.start()
    died = only(client.wait(timeout_s=SAFETY_S), Died)
    assert "did not introduce itself" in died.message
    assert SLEEP in died.message


def test_what_greets_and_never_answers_is_started_once_more_and_given_up(stage: Stage) -> None:
    client = stage.client(command=speaking(GREETING, SLEEP), silence_limit_s=0.0)
    load = client.start()
    news = client.wait(timeout_s=SAFETY_S)
    assert [type(event) for event in news] == [Restarted, Failed, Died]
    assert (news[0].doing, news[1].request) == ("loading a model", load)
    assert "no sign of life" in news[2].message


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_worker_that_is_busy_for_long_is_asked_for_a_sign_and_left_alone(stage: Stage) -> None:
    answering = (
        '[sys.stdout.buffer.write(b\'{"type":"pong"}\\n\') or sys.stdout.flush()'
        " for line in sys.stdin]"
    )
    clock = Clock()
    channel = Channel(speaking(GREETING, answering), silence_limit_s=60, clock=clock)
    try:
        while channel.greeting is None:
            channel.poll(expecting=True)
        for _ in range(20):
            clock.now += 31
            channel.poll(expecting=True)
            channel.wait(SAFETY_S)
            assert channel.poll(expecting=True) == []
        clock.now += 1000
        assert channel.poll(expecting=False) == []
    finally:
        channel.close(0)


def test_a_worker_that_leaves_the_question_open_is_lost(stage: Stage) -> None:
    clock = Clock()
    channel = Channel(speaking(GREETING, SLEEP), silence_limit_s=60, clock=clock)
    try:
        while channel.greeting is None:
            channel.poll(expecting=True)
        clock.now = 31
        channel.poll(expecting=True)
        clock.now = 90
        channel.poll(expecting=True)
        clock.now = 92
        with pytest.raises(ConnectionLostError, match="no sign of life"):
            channel.poll(expecting=True)
    finally:
        channel.close(0)


def test_a_command_that_is_none_is_told_at_once(stage: Stage) -> None:
    client = stage.client(command=["/no/such/python"])
    with pytest.raises(WorkerError, match="/no/such/python"):
        client.start()
    assert not client.running
    with pytest.raises(WorkerError, match="not running"):
        client.decode("key", POINT)


def test_a_worker_that_cannot_even_begin_shows_what_it_said(stage: Stage) -> None:
    client = stage.client(command=python("raise SystemExit('no numpy here')"))
    load = client.start()
    news = client.wait(timeout_s=SAFETY_S)
    assert [type(event) for event in news] == [Restarted, Failed, Died]
    assert news[1].request == load
    assert "no numpy here" in news[2].stderr
    assert news[2].exit_status == 1


def test_a_dead_worker_can_be_started_again(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.wait(client.encode(key, pixels))
    stage.cue("crash-decode", "always")
    client.decode(key, POINT)
    only(client.wait(timeout_s=SAFETY_S), Died)
    stage.drop("crash-decode")
    client.start()
    assert only(client.wait(client.decode(key, POINT), timeout_s=SAFETY_S), Decoded).mask.any()


@pytest.mark.parametrize("what", ["encode", "decode"])
def test_a_crash_is_survived_once_and_said_with_what_was_being_done(
    stage: Stage, what: str
) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    if what == "decode":
        client.wait(client.encode(key, pixels))
    stage.cue(f"crash-{what}")
    request = client.encode(key, pixels) if what == "encode" else client.decode(key, POINT)
    news = client.wait(request, timeout_s=SAFETY_S)
    assert [type(event) for event in news[:2]] == [Restarted, Ready]
    assert what[:-1] in news[0].doing
    assert "loading base" in news[0].stderr
    assert news[2].request == request
    assert isinstance(news[2], Encoded if what == "encode" else Decoded)


@pytest.mark.parametrize("what", ["encode", "decode"])
def test_the_second_crash_ends_it_and_shows_what_the_worker_said(stage: Stage, what: str) -> None:
    client = stage.started()
    stage.cue(f"crash-{what}", "always")
    key, pixels = a_slice(1)
    asked = [client.encode(key, pixels), client.decode(key, POINT)]
    news = client.wait(timeout_s=SAFETY_S)
    assert sum(isinstance(event, Restarted) for event in news) == 1
    died = only(news, Died)
    assert news[-1] is died
    assert what[:-1] in died.message
    assert "loading base" in died.stderr
    if os.name == "posix":
        assert died.exit_status == -signal.SIGKILL
    failed = [event for event in news if isinstance(event, Failed)]
    assert {event.kind for event in failed} == {"died"}
    assert asked[1] in {event.request for event in failed}
    assert not client.busy


def test_a_model_that_kills_the_worker_does_so_twice_only(stage: Stage) -> None:
    client = stage.client("fatal")
    client.start()
    only(client.wait(timeout_s=SAFETY_S), Died)
    client.load_model(stage.model("base"))
    assert isinstance(client.wait(timeout_s=SAFETY_S)[0], Ready)


def test_a_worker_that_ends_whenever_it_idles_is_not_started_for_ever(stage: Stage) -> None:
    ready = frame("ready", request=1, model="m", adapter=None, device="cpu", encoder="e")
    ready = ready.replace(b"}", b',"threads":1,"version":"0","milliseconds":1}')
    then_end = f"sys.stdin.readline(); sys.stdout.buffer.write({ready!r})"
    client = stage.client(command=speaking(GREETING, then_end))
    client.start()
    news = []
    while client.running:
        news += client.poll()
    assert [type(event) for event in news] == [Ready, Restarted, Ready, Died]


def test_refinement_survives_a_crash_bit_for_bit(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.encode(key, pixels)
    first = client.decode(key, POINT)
    second = client.decode(key, POINT, previous=first)
    client.wait(timeout_s=SAFETY_S)
    stage.cue("crash-decode")
    third = client.decode(key, POINT, previous=second)
    news = client.wait(timeout_s=SAFETY_S)
    answer = only(news, Decoded)
    assert answer.request == third
    np.testing.assert_array_equal(answer.mask, expected((24, 40), POINT, 2, 0).mask)
    assert any(isinstance(event, Restarted) for event in news)


def test_refinement_of_what_is_not_answered_yet_survives_a_crash_and_an_empty_cache(
    stage: Stage,
) -> None:
    client = stage.started(disk_bytes=0)
    key, pixels = a_slice(1)
    client.wait(client.encode(key, pixels))
    stage.cue("crash-decode")
    previous, asked = None, []
    for _ in range(5):
        previous = client.decode(key, POINT, pixels=lambda: pixels, previous=previous)
        asked.append(previous)
    answers = [e for e in client.wait(timeout_s=SAFETY_S) if isinstance(e, Decoded)]
    assert [answer.request for answer in answers] == asked
    for refinements, answer in enumerate(answers):
        wanted = expected((24, 40), POINT, refinements, 0).mask
        np.testing.assert_array_equal(answer.mask, wanted)
    assert stage.encoded() == ["base 1", "base 1"]


def test_refinement_goes_on_with_another_model(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    first = client.decode(key, POINT, pixels=lambda: pixels)
    client.wait(timeout_s=SAFETY_S)
    client.load_model(stage.model("other"))
    second = client.decode(key, POINT, pixels=lambda: pixels, previous=first)
    answer = only(client.wait(timeout_s=SAFETY_S), Decoded)
    assert answer.request == second
    np.testing.assert_array_equal(answer.mask, expected((24, 40), POINT, 1, 0).mask)
    assert answer.score == pytest.approx(float(pixels[:8, :8].mean()) * 5, rel=1e-3)


@pytest.mark.parametrize("crash", [False, True])
def test_a_mask_can_be_carried_to_the_next_slice_before_it_is_answered(
    stage: Stage, crash: bool
) -> None:
    client = stage.started()
    stage.cue("hold-encode")
    slices = {number: a_slice(number) for number in (1, 2, 3)}
    previous, asked = None, []
    for key, pixels in slices.values():
        previous = client.decode(key, POINT, pixels=lambda p=pixels: p, previous=previous)
        asked.append(previous)
    poll_until(client, lambda: stage.happened("encoding"))
    if crash:
        os.kill(process_of(client), signal.SIGTERM)
    # The slices come in the least helpful order.
    for number in (3, 2, 1):
        stage.cue(f"go-{number}")
    answers = [e for e in client.wait(timeout_s=SAFETY_S) if isinstance(e, Decoded)]
    assert [answer.request for answer in answers] == asked
    for refinements, answer in enumerate(answers):
        wanted = expected((24, 40), POINT, refinements, 0).mask
        np.testing.assert_array_equal(answer.mask, wanted)


def test_an_answer_can_be_released_before_and_after_it_was_refined(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.encode(key, pixels)
    first = client.decode(key, POINT)
    second = client.decode(key, POINT, previous=first)
    client.release(first)
    third = client.decode(key, POINT, previous=second)
    answers = [e for e in client.wait(timeout_s=SAFETY_S) if isinstance(e, Decoded)]
    assert [answer.request for answer in answers] == [first, second, third]
    np.testing.assert_array_equal(answers[2].mask, expected((24, 40), POINT, 2, 0).mask)
    with pytest.raises(InputError, match=f"no answer {first} to refine"):
        client.decode(key, POINT, previous=first)
    for number in (second, third, third):
        client.release(number)
    # Releases take their turn among the decodes: one more of those, and they are done.
    client.wait(client.decode(key, POINT), timeout_s=SAFETY_S)
    after = only(client.wait(client.stats(), timeout_s=SAFETY_S), Stats)
    assert after.values["logits"] == 1


def test_prompts_on_a_slice_that_nobody_can_give_fail_kindly(stage: Stage) -> None:
    client = stage.started()
    (failed,) = client.wait(client.decode(a_slice(1)[0], POINT), timeout_s=SAFETY_S)
    assert failed.kind == "missing"
    assert "Encode it first" in failed.message


def gone() -> np.ndarray:
    msg = "The volume was deleted."
    raise InputError(msg)


def test_a_volume_deleted_meanwhile_is_the_answer(stage: Stage) -> None:
    client = stage.started()
    decode = client.decode(a_slice(1)[0], POINT, pixels=gone)
    prefetch = client.prefetch([(a_slice(2)[0], gone), (a_slice(3)[0], lambda: a_slice(3)[1])])
    news = client.wait(decode, timeout_s=SAFETY_S) + client.wait(prefetch, timeout_s=SAFETY_S)
    failed = [event for event in news if isinstance(event, Failed)]
    assert {(event.request, event.message) for event in failed} == {
        (decode, "The volume was deleted."),
        (prefetch, "The volume was deleted."),
    }
    assert only(news, Encoded).key == a_slice(3)[0]


def test_voxels_edited_meanwhile_never_answer_under_the_old_key(stage: Stage) -> None:
    client = stage.started()
    key, _ = a_slice(1)
    (failed,) = client.wait(client.decode(key, POINT, pixels=lambda: a_slice(2)[1]))
    assert failed.kind == "input"
    assert stage.encoded() == []


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
    assert [event.request for event in client.poll()] == [other]


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
