"""The downloading process from the inside, and commands run in the background."""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from MedSAGaSlicerLib.engine import downloads, registry
from MedSAGaSlicerLib.worker.command_run import CommandRun
from MedSAGaSlicerLib.worker.fetch_main import fetch
from MedSAGaSlicerLib.worker.protocol import FrameReader, Message

CONTENT = bytes(range(256)) * 8


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[Message]]:
    """Download a model whose file is CONTENT; what the process would have told."""
    pin = registry.Pin("sha256", hashlib.sha256(CONTENT).hexdigest())
    model = replace(registry.entry("mobile_sam"), size=len(CONTENT), pin=pin)
    monkeypatch.setattr(registry, "entry", lambda name: model)
    monkeypatch.setattr(downloads, "fetch_https", send_content)

    def run(stop: Callable[[], bool] = lambda: False) -> list[Message]:
        order = {
            "model": "mobile_sam",
            "folder": str(tmp_path),
            "transport": "MedSAGaSlicerLib.engine.downloads:fetch_https",
        }
        sent: list[bytes] = []
        fetch(order, stop, sent.append)
        return [message for data in sent for message in FrameReader().feed(data)]

    return run


def send_content(_url: str, start: int) -> downloads.Answer:
    chunks = iter([CONTENT[start:]])
    return downloads.Answer(206 if start else 200, start, None, chunks, lambda: None)


def test_a_download_ends_with_the_file(told: Callable[..., list[Message]], tmp_path: Path) -> None:
    *progress, end = told()
    assert {message.type for message in progress} == {"progress"}
    assert end.type == "fetched"
    assert Path(end.header["path"]).read_bytes() == CONTENT


def test_a_download_that_is_stopped_has_no_file(told: Callable[..., list[Message]]) -> None:
    *_, end = told(lambda: True)
    assert (end.type, end.header["path"]) == ("fetched", None)


def test_what_is_not_the_model_is_refused(
    told: Callable[..., list[Message]], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = downloads.Answer(200, 0, None, iter([CONTENT[::-1]]), lambda: None)
    monkeypatch.setattr(downloads, "fetch_https", lambda _url, _start: answer)
    *_, end = told()
    assert end.type == "error"
    assert "is not mobile_sam" in end.header["message"]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def finish(run: CommandRun) -> CommandRun:
    while not run.poll():
        pass
    return run


def test_commands_run_in_order_and_what_they_print_is_kept() -> None:
    run = finish(CommandRun([python("print('one')"), python("print('two', flush=True)")]))
    assert run.succeeded
    assert run.tail().split() == ["one", "two"]
    run.close()


def test_after_a_command_that_fails_none_is_run() -> None:
    run = finish(CommandRun([python("raise SystemExit(3)"), python("print('never')")]))
    assert (run.exit_status, run.done, run.succeeded) == (3, 0, False)
    assert "never" not in run.tail()
    run.close()


def test_a_command_that_cannot_be_run_says_so() -> None:
    run = finish(CommandRun([["no such program anywhere"]]))
    assert run.exit_status == -1
    assert "no such program" in run.tail()
    run.close()


def test_a_command_is_ended_when_asked() -> None:
    run = CommandRun([python("import time; time.sleep(1000)")])
    run.poll()
    run.stop()
    assert not run.running
    assert run.exit_status is None
    run.close()
