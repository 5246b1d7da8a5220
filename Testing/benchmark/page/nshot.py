"""Ways of teaching by the number of masks: one click on files not taught."""

from __future__ import annotations

from lines import RESULTS, read

from page.markdown import Line, command, mean, origin, table

METHODS = ("decoder", "late", "lora", "galore", "adapter", "full")
ASKED = ("decoder", "late", "lora", "galore", "adapter")
SHOTS = (1, 3, 5, 10, 15, 20)
KEY = ("structure", "seed", "shots", "method", "steps")
COMMAND = (
    "python Testing/benchmark/accuracy_methods.py --data DATA "
    "--methods decoder late lora galore adapter --shots 1 3 5 10 15 20"
)


def rows() -> list[Line]:
    """All lessons; of two alike the later one."""
    lines = [line for line in read(RESULTS / "methods.jsonl") if "method" in line]
    return list({tuple(line[name] for name in KEY): line for line in lines}.values())


def steps_of(lines: list[Line]) -> list[int]:
    """The lengths of lessons that there are, the longest first."""
    return sorted({line["steps"] for line in lines}, reverse=True)


def section() -> str:
    """A table for each length of lessons; what is missing is an empty cell, and is counted."""
    lines = rows()
    parts = [command(COMMAND)]
    for steps in steps_of(lines):
        own = [line for line in lines if line["steps"] == steps]
        parts.append(f"Lessons of {steps} steps:")
        parts.append(steps_table(own))
    return "\n\n".join([*parts, f"{origin(lines)}." if lines else ""])


def steps_table(lines: list[Line]) -> str:
    """Structures and numbers of masks in rows, ways of teaching in columns."""
    methods = [one for one in METHODS if one in ASKED or any(li["method"] == one for li in lines)]
    found = []
    for structure in sorted({line["structure"] for line in lines}):
        own = [line for line in lines if line["structure"] == structure]
        before = mean([line["point before"] for line in own])
        found.append([structure, "0", *[f"{before:.3f}"] * len(methods)])
        for shots in SHOTS:
            cells = [cell(own, method, shots) for method in methods]
            found.append(["", str(shots), *cells])
    return table(["structure", "masks", *(f"`{method}`" for method in methods)], found)


def cell(lines: list[Line], method: str, shots: int) -> str:
    """The mean over the seeds, the smallest and largest, and how many seeds there are."""
    values = [
        line["point after"] for line in lines if (line["method"], line["shots"]) == (method, shots)
    ]
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.3f} (1)"
    return f"{mean(values):.3f} ({min(values):.2f} to {max(values):.2f}, {len(values)})"
