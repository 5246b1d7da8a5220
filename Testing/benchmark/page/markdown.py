"""Numbers and tables as text: the same lines give the same text, on every machine."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

Line = dict[str, Any]
MISSING = "not measured"
_SECONDS = {"s": 1.0, "ms": 1e-3, "s of CPU": 1.0}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def command(*texts: str) -> str:
    """Commands to copy."""
    return "\n".join(["```", *texts, "```"])


def digits(value: float, count: int = 3) -> str:
    """A number with so many digits that count, without an exponent."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "none"
    places = count - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{max(0, places)}f}" if places >= 0 else f"{round(value, places):.0f}"


def amount(value: float, unit: str) -> str:
    """A value with its unit, in the order of magnitude that is read most easily."""
    if unit in _SECONDS:
        seconds = value * _SECONDS[unit]
        cpu = " of CPU" * unit.endswith("CPU")
        if abs(seconds) < 1e-3:
            return f"{digits(seconds * 1e6)} µs{cpu}"
        return (
            f"{digits(seconds * 1e3)} ms{cpu}" if abs(seconds) < 1 else f"{digits(seconds)} s{cpu}"
        )
    if unit == "bytes":
        return f"{digits(value / 1e6)} MB" if value >= 1e6 else f"{digits(value / 1e3)} kB"
    if unit in ("share", "part"):
        return f"{100 * value:.0f} %"
    if unit == "count":
        return f"{value:.0f}"
    if unit.startswith("MiB"):
        return f"{value:.0f} MiB" if abs(value) < 1024 else f"{value / 1024:.2f} GiB"
    if unit.startswith("GiB"):
        return f"{value:.2f} GiB"
    if unit == "Dice":
        return f"{value:.3f}"
    return f"{digits(value)} {unit}".strip()


def reference_of(line: Line) -> tuple[float, str] | None:
    """What stands beside a figure, in its unit, and what that is."""
    if "reference" in line:
        return float(line["reference"]), str(line["reference_is"])
    if isinstance(line.get("official"), list):
        return statistics.median(line["official"]), "the authors' code"
    if "galore_torch" in line:
        return float(line["galore_torch"]), "galore-torch"
    return None


def goal_of(line: Line) -> str:
    """What was to be reached, and whether it was; empty if nothing was asked for."""
    for part in ("p95", "p99"):
        if line.get(f"limit_{part}") is not None:
            told = f"{part} ≤ {line[f'limit_{part}']} {line['unit']}: {digits(line[part])}"
            return f"{told}, {verdict(reached=line[part] <= line[f'limit_{part}'])}"
    goal = line.get("goal", line.get("limit"))
    if goal is None:
        return ""
    if isinstance(goal, str):
        numbers = [float(word) for word in goal.split() if word.replace(".", "").isdigit()]
        low, high = numbers[:2]
        if goal.endswith("GiB") and line["measured"] < 2**30:
            return goal
        return f"{goal}, {verdict(reached=low <= line['value'] <= high)}"
    upward = line["benchmark"] in UPWARD or line["unit"] in ("share", "times shorter")
    reached = line["value"] >= goal if upward else line["value"] <= goal
    sign = "≥" if upward else "≤"
    return f"{sign} {amount(goal, line['unit'])}, {verdict(reached=reached)}"


def verdict(*, reached: bool) -> str:
    """A missed goal is to be seen."""
    return "reached" if reached else "**missed**"


UPWARD = frozenset({"teach ViT-B, encoding each step against cached"})


def spread_of(line: Line) -> str:
    """From the smallest to the largest value, and how many there were."""
    if line["n"] == 1:
        return "1 run"
    low, high = (amount(value, line["unit"]) for value in line["spread"])
    return f"{low} to {high}, n = {line['n']}"


def origin(lines: Sequence[Line]) -> str:
    """On what machine, with what, and at which commit lines were measured."""
    machines = {f"{one['machine']['processor']}" for one in lines}
    torches = {one["versions"].get("torch", "") for one in lines} - {""}
    commits = list(dict.fromkeys(one["commit"] for one in lines))
    told = [", ".join(sorted(machines)), *(f"torch {version}" for version in sorted(torches))]
    shown = ", ".join(f"`{one}`" for one in commits[:6]) + ", …" * (len(commits) > 6)
    return f"{', '.join(told)}; commit{'s' * (len(commits) > 1)} {shown}"


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return math.fsum(values) / len(values)
