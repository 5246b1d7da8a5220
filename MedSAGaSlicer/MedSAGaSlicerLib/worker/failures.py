"""What a failure inside a worker is called when it is told to the other process."""

import traceback
from collections.abc import Callable

from MedSAGaSlicerLib.errors import (
    CheckpointError,
    DependencyError,
    InputError,
    MedSAGaError,
    MemoryShortageError,
    TeachingError,
)


class NoModelError(MedSAGaError):
    """Something was asked of a worker that has no model."""


_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (NoModelError, "no_model"),
    (InputError, "input"),
    (CheckpointError, "checkpoint"),
    (DependencyError, "dependency"),
    (MemoryShortageError, "memory"),
    (TeachingError, "teaching"),
    (ImportError, "dependency"),
    (MemoryError, "memory"),
)


def failure_of(action: Callable[[], object]) -> tuple[str, str] | None:
    """Do something at the boundary of a process; what `told` says if it failed."""
    try:
        action()
    except Exception as error:  # noqa: BLE001  whatever a library raises must reach the person
        return told(error)
    return None


def told(error: Exception) -> tuple[str, str]:
    """A failure's kind, for programs, and its message, for people.

    What was not raised on purpose is written to the log with where it came from.
    """
    if not isinstance(error, MedSAGaError):
        traceback.print_exception(error)
    kind = kind_of(error)
    if kind == "memory" and not isinstance(error, MedSAGaError):
        reason = str(error).partition("\n")[0] or type(error).__name__
        text = "Out of memory. Close other programs, or choose a smaller model or another device"
        return kind, f"{text} ({reason})."
    # The person has to know which of many kinds of accident it was only if nobody foresaw it.
    return kind, f"{type(error).__name__}: {error}" if kind == "internal" else str(error)


def kind_of(error: Exception) -> str:
    """The kind as in the worker's events."""
    for family, kind in _KINDS:
        if isinstance(error, family):
            return kind
    # torch has its own errors for it, and must not be imported to know them.
    return "memory" if "memory" in f"{type(error).__name__} {error}".lower() else "internal"
