"""Where lines of figures are kept, and how a file of them is read, added to and renewed.

A file of `results` is either what one run of a script printed, and is then replaced as a whole by
the next run, or it grows by a line for each measurement, of which the later of two alike counts.
"""

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from report import ROOT

RESULTS = ROOT / "Testing" / "benchmark" / "results"
Line = dict[str, Any]


def read(path: Path) -> list[Line]:
    """All lines of a file, none if there is no such file; a line that was cut short is left out."""
    found = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        with contextlib.suppress(json.JSONDecodeError):
            found.append(json.loads(text))
    return [line for line in found if isinstance(line, dict)]


def keyed(path: Path, benchmark: str, key: Iterable[str]) -> dict[tuple[Any, ...], Line]:
    """The lines of one benchmark by the values that name a measurement; the later one counts."""
    names = tuple(key)
    lines = [line for line in read(path) if line.get("benchmark") == benchmark]
    return {tuple(line[name] for name in names): line for line in lines}


def append(path: Path | None, line: Line) -> None:
    """Print a line and add it to a file, if there is one."""
    text = json.dumps(line, allow_nan=False)
    print(text, flush=True)
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text + "\n")


def replace(path: Path, lines: Iterable[Line]) -> None:
    """Write a file anew, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    beside.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    beside.replace(path)
