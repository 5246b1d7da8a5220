"""Directs lessons in teaching workers, made ones and fakes."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from stage import FAKES

from MedSAGaSlicerLib.engine.example_file import write_examples
from MedSAGaSlicerLib.engine.examples import Example, ExampleSet
from MedSAGaSlicerLib.engine.intensity import Normalisation
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.worker.lesson import Lesson
from MedSAGaSlicerLib.worker.lesson_events import LessonEvent
from MedSAGaSlicerLib.worker.teach_client import TeachClient


class ClassroomStage:
    """Clients whose workers give a fake lesson that takes its cues from ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.base = folder
        self.folder = folder / "cues"
        self.folder.mkdir()
        self._clients: list[TeachClient] = []

    def client(self, **options: object) -> TeachClient:
        path = os.pathsep.join([str(FAKES), os.environ.get("PYTHONPATH", "")])
        settings = {
            "lesson": "fake_lesson:give",
            "environment": {**os.environ, "PYTHONPATH": path},
            "cache_folder": str(self.base / "cache"),
            "device": "cpu",
            "threads": 1,
            **options,
        }
        client = TeachClient(**settings)
        self._clients.append(client)
        return client

    def lesson(self, output: str = "taught", steps: int = 20, save_every: int = 5) -> Lesson:
        config = TeachingConfig(steps=steps, save_every=save_every)
        base = self.base
        return Lesson(self.folder, base / output, base / "work", "base", "mine", config)

    def cue(self, name: str, text: str = "") -> None:
        (self.folder / name).write_text(text)

    def close(self) -> None:
        for client in self._clients:
            client.close(0)


def poll_lesson(client: TeachClient, condition: Callable[[list[LessonEvent]], bool]) -> list:
    """Poll until the news so far meet a condition."""
    news = client.poll()
    while not condition(news):
        time.sleep(0.001)
        news += client.poll()
    return news


def made_examples(count: int, size: int = 48) -> ExampleSet:
    """Slices with a bright disc each, and the disc's mask; every fifth is empty."""
    examples = []
    rows, columns = np.mgrid[:size, :size]
    for number in range(count):
        random = np.random.default_rng(number)
        row, column = random.integers(size // 4, 3 * size // 4, 2)
        mask = (rows - row) ** 2 + (columns - column) ** 2 < (size // 6) ** 2
        mask &= number % 5 != 4
        pixels = (60 + 120 * mask + random.normal(0, 8, mask.shape)).clip(0, 255)
        normalisation = Normalisation("identity", 0.0, 255.0)
        examples.append(
            Example("volume 1", "k", number, pixels.astype(np.uint8), {"disc": mask}, normalisation)
        )
    return ExampleSet(("disc",), tuple(examples))


def made_lesson(folder: Path, name: str, config: TeachingConfig, model: str, count: int) -> Lesson:
    """A lesson on made slices for a real network."""
    examples = folder / "examples"
    if not examples.exists():
        write_examples(examples, made_examples(count))
    return Lesson(examples, folder / name, folder / f"{name}.work", model, None, config)
