"""The same work on many volumes: what is done already is left, and one failure is one line."""

from __future__ import annotations

import errno
import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from MedSAGaSlicerLib import __version__
from MedSAGaSlicerLib.engine.cases import stem
from MedSAGaSlicerLib.engine.json_file import write_json
from MedSAGaSlicerLib.engine.progress import Progress, silent
from MedSAGaSlicerLib.engine.segmentation_file import SUFFIX
from MedSAGaSlicerLib.errors import (
    CheckpointError,
    DependencyError,
    InputError,
    MedSAGaError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

DONE: Final = "done"
PRESENT: Final = "present"
FAILED: Final = "failed"
LEFT: Final = "left"

INPUT: Final = "input"
MODEL: Final = "model"
PACKAGE: Final = "package"
DISK: Final = "disk"
OTHER: Final = "other"

# With these every other volume would fail as well, after as much work.
_HOPELESS: Final = (MODEL, PACKAGE, DISK)


@dataclass(frozen=True)
class Outcome:
    """What became of one volume.

    Attributes:
        name: of the volume.
        status: "done", "present" (it had been done before), "failed", or "left" (not begun).
        seconds: the work took.
        facts: what there is to tell of it.
        message: why it failed.
        fault: whose fault that is: "input", "model", "package", "disk", "other", or "" for none.
    """

    name: str
    status: str
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    fault: str = ""

    @property
    def is_hopeless(self) -> bool:
        """Whether the other volumes would fail for the same reason."""
        return self.fault in _HOPELESS


@dataclass(frozen=True)
class Order(ABC):
    """What is to be done with one volume; small, so that it can be sent to another machine.

    Attributes:
        volume: the image.
        output: the segmentation to be written; a report of the same name lies beside it.
    """

    volume: Path
    output: Path

    @property
    def name(self) -> str:
        """The volume's name up to the first dot."""
        return stem(self.volume)

    @property
    def report(self) -> Path:
        """Where the facts are kept, and what they were found by.

        NAME.seg.json: a NAME.json beside an image is often somebody's.
        """
        return self.output.with_suffix(".json")

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """All that the result depends on beside the volume, in plain values.

        Raises:
            MedSAGaError, OSError: it cannot be found out.
        """

    @abstractmethod
    def work(self, progress: Progress) -> dict[str, Any]:
        """Write the output; the facts, in plain values.

        Raises:
            MedSAGaError, OSError: it cannot be done.
        """

    def stamp(self) -> dict[str, Any]:
        """What tells whether a result that is there is this order's.

        Raises:
            MedSAGaError, OSError: it cannot be found out.
        """
        found = self.volume.stat()
        image = [self.volume.name, found.st_size, found.st_mtime_ns]
        return {"version": __version__, "image": image, "settings": self.settings()}


def carry_out(order: Order, progress: Progress = silent) -> Outcome:
    """Do one volume unless it is done; never raises because of it.

    It counts as done if its segmentation and its report are there and the report has the same
    image, model and settings.
    """
    begin = time.monotonic()
    try:
        if not order.volume.exists():
            msg = f"There is no file or folder {order.volume}. Check the path."
            raise InputError(msg)
        stamp = order.stamp()
        known = _known(order, stamp)
        if known is not None:
            return Outcome(order.name, PRESENT, 0.0, known)
        facts = order.work(progress)
        seconds = time.monotonic() - begin
        write_json(order.report, {"stamp": stamp, "seconds": round(seconds, 1), "facts": facts})
        return Outcome(order.name, DONE, seconds, facts)
    except (MedSAGaError, ImportError, MemoryError, OSError, RuntimeError, ValueError) as error:
        # Whatever a damaged file makes a library raise; torch's lack of memory is a RuntimeError.
        fault = _fault(error)
        words = " ".join(str(error).split()) or type(error).__name__
        return Outcome(order.name, FAILED, time.monotonic() - begin, {}, words, fault)


def run_here(orders: Sequence[Order], progress: Progress = silent) -> Iterator[Outcome]:
    """Do the volumes one after the other, as one outcome after the other.

    After a fault that would befall the others as well, they are left.
    """
    hopeless = False
    for number, order in enumerate(orders, start=1):
        if hopeless:
            yield Outcome(order.name, LEFT)
            continue
        which = f"{order.name} ({number} of {len(orders)})" if len(orders) > 1 else ""
        outcome = carry_out(order, partial(_named, progress, which) if which else progress)
        hopeless = outcome.is_hopeless
        yield outcome


def output_for(volume: Path, folder: Path) -> Path:
    """The segmentation's path in the folder of results."""
    return folder / (stem(volume) + SUFFIX)


def check_names(volumes: Sequence[Path]) -> None:
    """Refuse volumes whose results would have one name.

    Raises:
        InputError: names one.
    """
    for name, count in Counter(stem(volume) for volume in volumes).items():
        if count > 1:
            msg = (
                f"{count} volumes are called {name!r} up to the first dot, by which the results "
                "are named. Rename them, or do them one by one into folders of their own."
            )
            raise InputError(msg)


def make_folder(folder: Path) -> None:
    """Make the folder of results, unless it is there.

    Raises:
        InputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"Cannot make the folder {folder}: {error.strerror or error}. Name another."
        raise InputError(msg) from error


def digest(path: Path) -> str:
    """A file's content in 32 hexadecimal digits.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except OSError as error:
        msg = f"Cannot read {path}: {error.strerror or error}. Check the path."
        raise InputError(msg) from error


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """A line for each volume, for people."""
    width = max((len(outcome.name) for outcome in outcomes), default=0)
    lines = []
    for outcome in outcomes:
        told = outcome.message or _voxels(outcome.facts)
        time_taken = f"{outcome.seconds:.1f} s" if outcome.status in (DONE, FAILED) else ""
        lines.append(f"{outcome.name:<{width}}  {outcome.status:<7}  {time_taken:>9}  {told}")
    return [line.rstrip() for line in lines]


def refuse_failures(outcomes: Sequence[Outcome]) -> None:
    """Raise what a batch ends with, if anything in it failed.

    Raises:
        InputError: all that failed was the input's fault.
        CheckpointError: the model cannot be used.
        DependencyError: a package is missing.
        MedSAGaError: something else.
    """
    failed = [outcome for outcome in outcomes if outcome.status == FAILED]
    left = sum(outcome.status == LEFT for outcome in outcomes)
    if not failed:
        return
    msg = failed[-1].message
    if len(outcomes) > 1:
        others = f", and {left} not begun" if left else ""
        names = ", ".join(outcome.name for outcome in failed[:5])
        more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
        msg = (
            f"{len(failed)} of {len(outcomes)} volumes failed{others}: {names}{more}. The last "
            f"one: {msg} The same command again does those that are missing."
        )
    faults = {outcome.fault for outcome in failed}
    kinds: dict[str, Callable[[str], MedSAGaError]] = {
        PACKAGE: DependencyError,
        MODEL: CheckpointError,
        INPUT: InputError,
    }
    for fault, kind in kinds.items():
        if fault in faults and (fault in _HOPELESS or faults == {fault}):
            raise kind(msg)
    raise MedSAGaError(msg)


def _named(progress: Progress, which: str, done: int, total: int, doing: str) -> None:
    progress(done, total, f"{which}, {doing}")


def _known(order: Order, stamp: dict[str, Any]) -> dict[str, Any] | None:
    """The facts of a result that is there; None if there is none, or another one."""
    if not order.output.exists():
        return None
    try:
        report = json.loads(order.report.read_text(encoding="utf-8"))
        facts: dict[str, Any] = report["facts"]
        same = report["stamp"] == json.loads(json.dumps(stamp))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return facts if same and isinstance(facts, dict) else None


def _fault(error: Exception) -> str:
    if isinstance(error, InputError):
        return INPUT
    if isinstance(error, CheckpointError):
        return MODEL
    if isinstance(error, (DependencyError, ImportError)):
        return PACKAGE
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return DISK if full else OTHER


def _voxels(facts: dict[str, Any]) -> str:
    counts = facts.get("voxels")
    if not isinstance(counts, dict):
        return ""
    return ", ".join(f"{name}: {count} voxels" for name, count in counts.items())
