"""Directs fake predictors in worker processes, and looks at what became of the processes."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.events import Event, Stats
from MedSAGaSlicerLib.worker.launch import python_command

FAKES = Path(__file__).resolve().parent
SAFETY_S = 300
Told = TypeVar("Told", bound=Event)
POINT = Prompts(points=((20, 12),), positive=(True,))


class Stage:
    """Clients whose workers have a fake predictor that takes its cues from ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "cues"
        self.folder.mkdir()
        self.cache_folder = folder / "cache"
        self._clients: list[InferenceClient] = []

    def model(self, name: str = "base") -> str:
        return f"{name}:{self.folder}"

    def client(self, name: str = "base", **options: object) -> InferenceClient:
        path = os.pathsep.join([str(FAKES), os.environ.get("PYTHONPATH", "")])
        settings = {
            "model": self.model(name),
            "predictor": "fake_predictor:load",
            "adapters": "fake_predictor:adapt",
            "cache_folder": str(self.cache_folder),
            "environment": {**os.environ, "PYTHONPATH": path},
            **options,
        }
        client = InferenceClient(**settings)
        self._clients.append(client)
        return client

    def started(self, name: str = "base", **options: object) -> InferenceClient:
        client = self.client(name, **options)
        client.start()
        client.wait(timeout_s=SAFETY_S)
        return client

    def cue(self, name: str, text: str = "") -> None:
        (self.folder / name).write_text(text)

    def drop(self, name: str) -> None:
        (self.folder / name).unlink()

    def happened(self, name: str) -> bool:
        return (self.folder / name).exists()

    def encoded(self) -> list[str]:
        """What the fakes encoded so far, in order: model and first pixel of the slice."""
        log = self.folder / "encoded"
        return log.read_text().splitlines() if log.exists() else []

    def adapted(self) -> list[str]:
        """The adapters read from disk so far, in order."""
        log = self.folder / "adapted"
        return log.read_text().splitlines() if log.exists() else []

    def close(self) -> None:
        for client in self._clients:
            client.stop()


def a_slice(number: int, size: tuple[int, ...] = (24, 40)) -> tuple[str, np.ndarray]:
    """A slice that can be told by its first pixel, with its key."""
    pixels = np.random.default_rng(number).integers(0, 255, size, dtype=np.uint8)
    pixels.flat[0] = number % 256
    return slice_key(pixels), pixels


def poll_until(client: InferenceClient, condition: Callable[[], bool]) -> list[Event]:
    """Poll until something shows elsewhere; the news meanwhile."""
    news = client.poll()
    while not condition():
        time.sleep(0.001)
        news += client.poll()
    return news


def only(news: list[Event], kind: type[Told]) -> Told:
    """The one event of a kind: which of two lanes is first is nobody's promise."""
    (event,) = (event for event in news if isinstance(event, kind))
    return event


def process_of(client: InferenceClient) -> int:
    """The process number of the worker itself, not of a launcher before it."""
    answer = only(client.wait(client.stats(), timeout_s=SAFETY_S), Stats)
    return int(answer.values["process"])


def is_alive(process: int) -> bool:
    """Whether a process runs; one that ended but that nobody has asked after does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    if not state.exists():
        return sys.platform != "linux"
    try:
        return state.read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def await_end(process: int) -> None:
    """Return when a process is gone."""
    while is_alive(process):
        time.sleep(0.001)


def launcher_command(pid_file: Path) -> list[str]:
    """A worker behind a launcher, as PythonSlicer is one, in a group that nobody can kill."""
    return [sys.executable, str(FAKES / "launcher.py"), str(pid_file), *python_command()]
