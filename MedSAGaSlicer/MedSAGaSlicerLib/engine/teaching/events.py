"""What a lesson tells while it runs: one frozen dataclass per kind of news, plain values only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Planned:
    """How a lesson will be given, before it begins.

    ``peak`` bytes and ``seconds`` are predicted; ``free`` bytes were there, None if not known.
    ``why`` is a sentence for people.
    """

    method: str
    device: str
    peak: int
    free: int | None
    seconds: float
    why: str


@dataclass(frozen=True)
class RoomWanted:
    """The device has ``free`` bytes, ``peak`` are wanted: who holds some of it may give way.

    The lesson waits some seconds for that, and goes on in either case.
    """

    device: str
    peak: int
    free: int | None


@dataclass(frozen=True)
class SteppedDown:
    """Memory ran out: the lesson goes on by leaner settings, or begins anew by a leaner method.

    ``at_once`` objects have their gradients computed together. ``why`` is a sentence for people.
    """

    method: str
    at_once: int
    former_method: str
    former_at_once: int
    why: str


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


Event = (
    Planned
    | RoomWanted
    | SteppedDown
    | Started
    | Prepared
    | Progress
    | Validated
    | Saved
    | Stopped
    | Finished
)
