import os
import signal

import pytest
from stage import (
    POINT,
    SAFETY_S,
    Stage,
    a_slice,
    only,
)
from strange_workers import GREETING, SLEEP, python, speaking

from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.worker.channel import Channel, ConnectionLostError
from MedSAGaSlicerLib.worker.events import Decoded, Died, Encoded, Failed, Ready, Restarted
from MedSAGaSlicerLib.worker.launch import python_command
from MedSAGaSlicerLib.worker.protocol import MAGIC, VERSION, frame


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
