"""What belongs to this machine and not to a scene: kept in the application's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import qt
import slicer

from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.launch import parse_command

if TYPE_CHECKING:
    from collections.abc import Mapping

DEVICES: Final = ("auto", "cpu", "cuda", "mps")
PRECISIONS: Final = ("float32", "auto")
"""Those of `engine.precision` that are offered: the exact one, and the fastest that there is."""
CACHE_GB: Final = 8
_PREFIX: Final = "MedSAGaSlicer/"


class MachineSettings:
    """A typed view of the settings; text that makes no sense counts as not set."""

    @property
    def worker_command(self) -> str:
        """What the person wrote as the worker's command, "" for Slicer's own Python."""
        return _read("WorkerCommand", "")

    @worker_command.setter
    def worker_command(self, text: str) -> None:
        _write("WorkerCommand", text.strip())

    @property
    def device(self) -> str:
        """Where the model shall compute: one of ``DEVICES``."""
        text = _read("Device", DEVICES[0])
        return text if text in DEVICES else DEVICES[0]

    @device.setter
    def device(self, name: str) -> None:
        _write("Device", name)

    @property
    def precision(self) -> str:
        """What slices are encoded in: one of ``PRECISIONS``."""
        text = _read("Precision", PRECISIONS[0])
        return text if text in PRECISIONS else PRECISIONS[0]

    @precision.setter
    def precision(self, name: str) -> None:
        _write("Precision", name)

    @property
    def cache_gb(self) -> int:
        """How much disk embeddings may take, in GB; 0 keeps them in memory only."""
        text = _read("CacheGB", str(CACHE_GB))
        return int(text) if text.isdecimal() else CACHE_GB

    @cache_gb.setter
    def cache_gb(self, size: int) -> None:
        _write("CacheGB", str(size))

    @property
    def lesson_steps(self) -> int:
        """How many steps a lesson has; fewer are quicker and teach less."""
        text = _read("LessonSteps", "")
        return int(text) if text.isdecimal() and int(text) else TeachingConfig.steps

    @lesson_steps.setter
    def lesson_steps(self, steps: int) -> None:
        _write("LessonSteps", str(steps))

    @property
    def is_own_python(self) -> bool:
        """Whether the worker runs in Slicer's own Python, whose packages can be looked up."""
        return not self.worker_command

    def make_client(self, model: str) -> InferenceClient:
        """A client of a worker as these settings say.

        Raises:
            WorkerError: the command cannot be read.
        """
        text = self.worker_command
        return InferenceClient(
            parse_command(text) if text else None,
            model=model,
            device=self.device,
            precision=None if self.precision == PRECISIONS[0] else self.precision,
            disk_bytes=self.cache_gb << 30,
            environment=_startup_environment() if text else None,
        )


def _startup_environment() -> Mapping[str, str]:
    """The environment without Slicer's libraries, which another Python must not load."""
    return dict(slicer.util.startupEnvironment())


def _read(key: str, default: str) -> str:
    value = qt.QSettings().value(_PREFIX + key)
    return default if value is None else str(value)


def _write(key: str, value: str) -> None:
    qt.QSettings().setValue(_PREFIX + key, value)
