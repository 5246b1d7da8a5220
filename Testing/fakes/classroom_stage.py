"""Directs lessons in teaching workers, made ones and fakes."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from stage import FAKES

from MedSAGaSlicerLib.engine.example_file import write_examples
from MedSAGaSlicerLib.engine.examples import ExampleSet
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

    def real_client(self, predictor: str) -> TeachClient:
        """A client whose worker gives real lessons to networks that a factory makes."""
        return self.client(lesson="MedSAGaSlicerLib.worker.lesson:give", predictor=predictor)

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


def real_lesson(
    folder: Path, name: str, model: str, config: TeachingConfig, examples: ExampleSet
) -> Lesson:
    """A lesson for a real network; all of one folder are on the same examples."""
    if not (folder / "examples").exists():
        write_examples(folder / "examples", examples)
    return Lesson(folder / "examples", folder / name, folder / f"{name}.work", model, None, config)
