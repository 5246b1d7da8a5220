"""The one form of a benchmark's result: a JSON line that says what, how sure, where and of what."""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("medsagaslicer", "numpy", "torch", "segment-anything", "SimpleITK", "slicer-core")


def report(name: str, values: Sequence[float], unit: str, **details: object) -> None:
    """Print one figure, see `line_of`."""
    print(json.dumps(line_of(name, values, unit, **details), allow_nan=False), flush=True)


def line_of(name: str, values: Sequence[float], unit: str, **details: object) -> dict[str, Any]:
    """One figure: the median of ``values``, their smallest and largest, and the context.

    ``details`` are added as they are: the setting measured, the reference beside it.
    """
    return {
        "benchmark": name,
        "value": statistics.median(values),
        "unit": unit,
        "spread": [min(values), max(values)],
        "n": len(values),
        **details,
        "machine": machine(),
        "versions": versions(),
        "commit": commit(),
    }


def machine() -> dict[str, object]:
    """Processor, the cores this process may use, their load in the last minute, system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    return {"processor": _processor(), "cores": cores, "load": load, "system": platform.platform()}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that make the figures."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The checkout's commit, with "+" when files that git knows have changed since."""
    head = _git("rev-parse", "--short", "HEAD")
    if not head:
        return "unknown"
    return head + "+" * bool(_git("status", "--porcelain", "--untracked-files=no"))


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
