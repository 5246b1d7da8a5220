"""What a lesson tells while it runs: one frozen dataclass per kind of news, plain values only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Started:
    """A lesson begins, or goes on after ``done`` steps.

    ``slices`` counts confirmed slices, ``held_out`` those of them kept aside for measuring.
    """

    version: str
    method: str
    device: str
    steps: int
    done: int
    slices: int
    held_out: int
    segments: tuple[str, ...]


@dataclass(frozen=True)
class Prepared:
    """``done`` of ``total`` views of slices have their embedding."""

    done: int
    total: int
    seconds_left: float


@dataclass(frozen=True)
class Progress:
    """A step is done.

    ``loss`` is this step's, None if it was not finite and the step was left out; ``dice`` is the
    mean Dice of its last answers: the points of a curve.
    """

    step: int
    steps: int
    loss: float | None
    dice: float
    seconds_left: float


@dataclass(frozen=True)
class Validated:
    """The slices kept aside were measured: ``moment`` is ``before`` or ``after``."""

    moment: str
    dice: float
    slices: int


@dataclass(frozen=True)
class Saved:
    """A state from which the lesson can go on lies in ``path``."""

    path: Path
    step: int


@dataclass(frozen=True)
class Stopped:
    """The lesson was asked to stop; ``resumable`` says whether it can go on from where it was."""

    step: int
    resumable: bool


@dataclass(frozen=True)
class Finished:
    """The adapter lies in ``path``.

    ``accepted`` is the guard's verdict, None where too few slices were confirmed to measure.
    ``report`` is what report.json holds.
    """

    path: Path
    accepted: bool | None
    report: dict[str, Any]


Event = Started | Prepared | Progress | Validated | Saved | Stopped | Finished
