"""Kills a worker or its launcher at random instants and checks that nobody notices."""

import os
import signal
import time
from pathlib import Path

import numpy as np
from fake_predictor import expected
from stage import SAFETY_S, Stage, a_slice, is_alive

from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.events import Decoded, Encoded, Event, Ready, Restarted, Stats

SIZE = (64, 80)


def kill_again_and_again(
    stage: Stage, command: list[str] | None, worker_pid: Path | None, *, kills: int, seed: int
) -> dict[str, int]:
    """Do work with a worker that is killed ``kills`` times; raises AssertionError on any loss.

    With a ``command`` that launches, ``worker_pid`` is where it writes the worker's number; then
    launcher and worker are killed by turns.
    """
    random = np.random.default_rng(seed)
    stage.cue("encode-seconds", "0.004")
    stage.cue("decode-seconds", "0.002")
    client = stage.started(command=command)
    processes: set[int] = set()
    counts = {"kills": 0, "masks": 0, "slices": 0}
    for number in range(kills):
        targets = processes_of(client, worker_pid)
        processes |= set(targets)
        work = _Work(client, random, number)
        until = time.monotonic() + random.uniform(0, 0.08)
        while time.monotonic() < until:
            work.take(client.poll())
        os.kill(targets[number % len(targets)], signal.SIGKILL)
        while not any(isinstance(event, Restarted) for event in work.news):
            work.take(client.poll())
        work.finish()
        counts["kills"] += 1
        counts["masks"] += len(work.masks)
        counts["slices"] += len(work.keys)
    processes |= set(processes_of(client, worker_pid))
    client.stop()
    while any(is_alive(process) for process in processes):
        time.sleep(0.001)
    _check_cache(stage, kills)
    return counts


def processes_of(client: InferenceClient, worker_pid: Path | None) -> list[int]:
    (answer,) = (e for e in client.wait(client.stats(), timeout_s=SAFETY_S) if isinstance(e, Stats))
    worker = int(answer.values["process"])
    if worker_pid is None:
        return [worker]
    launcher = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
    return [launcher, worker]


class _Work:
    """Slices, prompts and refinements of one round, and what has come of them."""

    def __init__(self, client: InferenceClient, random: np.random.Generator, number: int) -> None:
        self.client, self.news = client, []
        self.masks: dict[int, np.ndarray] = {}
        ahead = [_round_slice(number, part) for part in range(4)]
        self.keys = {key for key, _ in ahead}
        self.prefetch = client.prefetch([(key, lambda p=pixels: p) for key, pixels in ahead])
        self.encode = client.encode(*ahead[0])
        for key, pixels in ahead[:2]:
            previous = None
            for refinements in range(3):
                point = tuple(int(random.integers(size)) for size in (SIZE[1], SIZE[0]))
                prompts = Prompts(points=(point,), positive=(True,))
                previous = client.decode(key, prompts, pixels=lambda p=pixels: p, previous=previous)
                self.masks[previous] = expected(SIZE, prompts, refinements, 0).mask

    def take(self, news: list[Event]) -> None:
        self.news += news

    def finish(self) -> None:
        """Wait for all, and for one answer more: a worker shows so that it works again."""
        self.take(self.client.wait(self.prefetch, timeout_s=SAFETY_S))
        self.take(self.client.wait(timeout_s=SAFETY_S))
        unknown = [e for e in self.news if not isinstance(e, Decoded | Encoded | Ready | Restarted)]
        assert not unknown, unknown
        answers = [event for event in self.news if isinstance(event, Decoded)]
        assert sorted(event.request for event in answers) == sorted(self.masks)
        for answer in answers:
            np.testing.assert_array_equal(answer.mask, self.masks[answer.request])
        told = [e.key for e in self.news if isinstance(e, Encoded) and e.request == self.prefetch]
        assert sorted(told) == sorted(self.keys)
        assert self.encode in {e.request for e in self.news if isinstance(e, Encoded)}


def _round_slice(number: int, part: int) -> tuple[str, np.ndarray]:
    return a_slice(4 * number + part, SIZE)


def _check_cache(stage: Stage, kills: int) -> None:
    """Every slice that was told encoded is in the cache, and it is that slice's embedding."""
    cache = EmbeddingCache(stage.cache_folder)
    for number in range(kills):
        for part in range(4):
            key, pixels = _round_slice(number, part)
            found = cache.get(key, "fake-base")
            assert found is not None, (number, part)
            blocks = pixels.reshape(8, 8, 10, 8).astype(np.float32).mean((1, 3)) * 4
            np.testing.assert_array_equal(found.features[0], blocks.astype(np.float16))
    assert cache.usage()["disk_entries"] == 4 * kills
