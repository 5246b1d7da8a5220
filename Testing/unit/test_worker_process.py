import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_predictor import expected
from stage import (
    FAKES,
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

from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.worker.channel import Channel
from MedSAGaSlicerLib.worker.events import Decoded, Encoded, Notice, Ready, Restarted
from MedSAGaSlicerLib.worker.launch import (
    kill_command,
    parse_command,
    process_options,
    python_command,
)
from MedSAGaSlicerLib.worker.payloads import pack_pixels
from MedSAGaSlicerLib.worker.protocol import Message, frame

posix = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")


def damage(folder: Path) -> None:
    for path in folder.glob("*.npy"):
        path.write_bytes(path.read_bytes()[:-7] + b"damaged")


def test_a_damaged_embedding_is_made_anew_from_the_slice(stage: Stage) -> None:
    key, pixels = a_slice(1)
    first = stage.started()
    first.wait(first.encode(key, pixels))
    first.stop()
    damage(stage.cache_folder)
    client = stage.started()
    encoded = only(client.wait(client.encode(key, pixels), timeout_s=SAFETY_S), Encoded)
    assert not encoded.cached
    client.stop()
    damage(stage.cache_folder)
    client.start()
    news = client.wait(client.decode(key, POINT, pixels=lambda: pixels), timeout_s=SAFETY_S)
    np.testing.assert_array_equal(only(news, Decoded).mask, expected((24, 40), POINT, 0, 0).mask)
    assert stage.encoded() == ["base 1"] * 3


@posix
def test_a_full_disk_is_told_once_and_stops_nobody(stage: Stage) -> None:
    # Every file longer than nothing is refused by the system itself, half-way.
    limited = ["/bin/sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *python_command()]
    client = stage.started(command=limited)
    news = []
    for number in (1, 2):
        key, pixels = a_slice(number)
        client.encode(key, pixels)
        news += client.wait(client.decode(key, POINT), timeout_s=SAFETY_S)
        news += client.wait(timeout_s=SAFETY_S)
    notices = [event for event in news if isinstance(event, Notice)]
    assert [notice.kind for notice in notices] == ["cache"]
    assert str(stage.cache_folder) in notices[0].message
    assert sum(isinstance(event, Decoded) for event in news) == 2
    assert sum(isinstance(event, Encoded) for event in news) == 2
    assert list(stage.cache_folder.iterdir()) == []


def test_two_workers_share_one_cache(stage: Stage) -> None:
    one, two = stage.started(), stage.started()
    for number in range(6):
        key, pixels = a_slice(number)
        for client in (one, two) if number % 2 else (two, one):
            client.encode(key, pixels)
            answer = only(client.wait(client.decode(key, POINT), timeout_s=SAFETY_S), Decoded)
            client.wait(timeout_s=SAFETY_S)
            assert answer.score == pytest.approx(float(pixels[:8, :8].mean()) * 4, rel=1e-3)
    assert stage.encoded() == [f"base {number}" for number in range(6)]


def test_the_worker_s_threads_leave_one_core(stage: Stage) -> None:
    client = stage.client()
    (ready,) = client.wait(client.start(), timeout_s=SAFETY_S)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert ready.threads == max(1, cores - 1)
    (ready,) = (other := stage.client(threads=5)).wait(other.start(), timeout_s=SAFETY_S)
    assert ready.threads == 5


def test_the_worker_encodes_in_the_precision_asked_for(stage: Stage) -> None:
    pytest.importorskip("torch")
    own = "MedSAGaSlicerLib.engine.predictor:load_predictor"
    chosen = {"predictor": own, "model": "starter", "device": "cpu", "threads": 1}
    client = stage.client(**chosen, precision="bfloat16")
    ready = only(client.wait(client.start(), timeout_s=SAFETY_S), Ready)
    assert ready.encoder.endswith("-bfloat16")


def test_a_real_network_answers_as_it_does_in_this_process(stage: Stage) -> None:
    torch = pytest.importorskip("torch")
    from random_weights import load

    threads = torch.get_num_threads()
    predictor = load("starter", device="cpu", threads=1)
    torch.set_num_threads(threads)
    client = stage.client(predictor="random_weights:load", model="starter", device="cpu", threads=1)
    key, pixels = a_slice(1, (90, 120))
    ready = only(client.wait(client.start(), timeout_s=SAFETY_S), Ready)
    assert (ready.device, ready.encoder) == ("cpu", predictor.encoder_key)
    first = client.decode(key, POINT, pixels=lambda: pixels)
    box = Prompts(box=(10, 10, 60, 50))
    client.decode(key, box, previous=first)
    answers = client.wait(timeout_s=SAFETY_S)
    assert [type(event) for event in answers] == [Decoded, Decoded], answers
    embedding = EmbeddingCache(None).keep(key, predictor.encode(pixels))
    one = predictor.predict(embedding, POINT)
    two = predictor.predict(embedding, box, one.logits)
    for answer, wanted in zip(answers, (one, two), strict=True):
        np.testing.assert_array_equal(answer.mask, wanted.mask)
        assert answer.score == pytest.approx(wanted.score, abs=1e-6)


class Pipe:
    """A worker spoken to by hand."""

    def __init__(self, stage: Stage) -> None:
        self.channel = Channel(
            python_command(), environment={**os.environ, "PYTHONPATH": str(FAKES)}
        )
        cache = {"folder": str(stage.cache_folder), "ram_bytes": 1000, "disk_bytes": 0}
        settings = {"predictor": "fake_predictor:load", "adapters": "fake_predictor:adapt"}
        model = {"model": stage.model(), "adapter": None, "device": "cpu", "threads": 1}
        self.channel.send(frame("hello", request=1, protocol=1, cache=cache, **settings, **model))
        assert self.next().type == "ready"

    def next(self) -> Message:
        while True:
            messages = self.channel.poll(expecting=True)
            if messages:
                (message,) = messages
                return message
            self.channel.wait(1)


@pytest.fixture
def pipe(stage: Stage) -> Pipe:
    pipe = Pipe(stage)
    yield pipe
    pipe.channel.close(0)


def test_an_unknown_message_is_an_error_and_no_end(pipe: Pipe) -> None:
    pipe.channel.send(frame("teach", request=7, examples=3))
    answer = pipe.next()
    assert (answer.type, answer.header["request"]) == ("error", 7)
    assert answer.header["kind"] == "unknown_message"
    assert "'teach'" in answer.header["message"]
    pipe.channel.send(frame("stats", request=8, future_field=[1]))
    assert pipe.next().type == "stats"


@pytest.mark.parametrize("kind", ["encode", "decode", "prefetch", "release", "load"])
def test_a_message_without_its_fields_is_an_error_and_no_end(pipe: Pipe, kind: str) -> None:
    pipe.channel.send(frame(kind, request=7))
    assert pipe.next().type == "error"
    pipe.channel.send(frame("stats", request=8))
    assert pipe.next().type == "stats"


def test_pixels_that_do_not_fit_their_shape_are_an_error(pipe: Pipe) -> None:
    key, pixels = a_slice(1)
    _, body = pack_pixels(pixels)
    pipe.channel.send(frame("encode", body, request=7, key=key, shape=[1000, 1000]))
    assert pipe.next().type == "error"


def test_garbage_ends_the_worker_with_a_word(pipe: Pipe) -> None:
    pipe.channel.send(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(WorkerError):
        pipe.next()
    status, log = pipe.channel.close(1)
    assert status == 2
    assert "does not speak the worker's protocol" in log


def test_shutdown_ends_the_worker_cleanly(pipe: Pipe) -> None:
    pipe.channel.send(frame("shutdown"))
    with pytest.raises(WorkerError):
        pipe.next()
    assert pipe.channel.close(1)[0] == 0


def test_the_end_of_stdin_ends_the_worker_in_the_midst_of_an_encode(stage: Stage) -> None:
    client = stage.started()
    process = process_of(client)
    stage.cue("hold-encode")
    client.encode(*a_slice(1))
    poll_until(client, lambda: stage.happened("encoding"))
    client.stop(grace_s=SAFETY_S)
    assert not is_alive(process)


@posix
def test_a_killed_launcher_takes_the_worker_along(stage: Stage, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    client = stage.started(command=launcher_command(pid_file))
    worker = process_of(client)
    launcher = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
    assert int(pid_file.read_text()) == worker != launcher
    os.kill(launcher, signal.SIGKILL)
    while not any(isinstance(event, Restarted) for event in client.poll()):
        pass
    await_end(worker)
    assert process_of(client) != worker


PROGRAM = """
import os, signal, sys
from pathlib import Path
from stage import Stage, process_of
stage = Stage(Path(sys.argv[1]))
client = stage.started()
Path(sys.argv[2]).write_text(str(process_of(client)))
os.kill(os.getpid(), signal.SIGKILL)
"""


@posix
def test_a_killed_program_takes_the_worker_along(tmp_path: Path, checkout: Path) -> None:
    path = os.pathsep.join([str(FAKES), str(checkout / "MedSAGaSlicer")])
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(tmp_path / "pid")],
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path)},
        check=False,
    )
    worker = int((tmp_path / "pid").read_text())
    await_end(worker)


def test_the_settings_take_a_python_or_a_whole_command() -> None:
    assert parse_command("/opt/env/bin/python") == python_command("/opt/env/bin/python")
    words = ["ssh", "-p", "22", "host", "python", "-m", "MedSAGaSlicerLib.worker"]
    assert parse_command("ssh -p 22 host python -m MedSAGaSlicerLib.worker") == words
    assert parse_command("'/my env/python'")[0] == "/my env/python"
    windows = parse_command(r'"C:\Program Files\env\python.exe"', "win32")
    assert windows == python_command(r"C:\Program Files\env\python.exe")
    for wrong in ("", "  ", "'open"):
        with pytest.raises(WorkerError, match="The worker's command"):
            parse_command(wrong)


def test_this_library_is_the_worker_s_whatever_pythonpath_says(
    stage: Stage, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "MedSAGaSlicerLib"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise SystemExit('the wrong library')")
    path = os.pathsep.join([str(other.parent), str(FAKES)])
    client = stage.client(environment={**os.environ, "PYTHONPATH": path})
    (ready,) = client.wait(client.start(), timeout_s=SAFETY_S)
    assert isinstance(ready, Ready)


def test_on_windows_there_is_no_console_and_the_tree_is_killed() -> None:
    assert process_options("win32") == {"creationflags": 0x08000000}
    assert process_options("linux") == process_options("darwin") == {"start_new_session": True}
    assert kill_command(123)[1:] == ["/PID", "123", "/T", "/F"]
