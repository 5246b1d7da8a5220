"""Ways of teaching by the number of masks: one click on files not taught."""

from __future__ import annotations

from lines import RESULTS, read

from page.markdown import MISSING, Line, command, mean, origin, table
from page.teaching import STRUCTURES

METHODS = ("decoder", "late", "lora", "galore", "adapter", "full")
ASKED = ("decoder", "late", "lora", "galore", "adapter")
KINDS = {"point": "One click", "box": "A box", "none": "No prompt, slice by slice"}
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


def most_lessons(lines: list[Line]) -> int:
    """The length of lessons of which there are most."""
    return max(steps_of(lines), key=lambda steps: sum(line["steps"] == steps for line in lines))


def section() -> str:
    """Tables for each length of lessons; what is missing is an empty cell."""
    lines = rows()
    parts = []
    for steps in steps_of(lines):
        own = [line for line in lines if line["steps"] == steps]
        parts.append(command(f"{COMMAND} --steps {steps}"))
        for kind, title in KINDS.items():
            known = [line for line in own if f"{kind} after" in line]
            if known:
                parts.append(f"{title}, lessons of {steps} steps:")
                parts.append(steps_table(known, kind))
    return "\n\n".join([*parts, f"{origin(lines)}." if lines else MISSING])


def steps_table(lines: list[Line], kind: str) -> str:
    """Structures and numbers of masks in rows, ways of teaching in columns."""
    methods = [one for one in METHODS if one in ASKED or any(li["method"] == one for li in lines)]
    found = []
    for structure in sorted({*STRUCTURES, *(line["structure"] for line in lines)}):
        own = [line for line in lines if line["structure"] == structure]
        if not own:
            found.append([structure, "", *[MISSING] * len(methods)])
            continue
        base = "none" if kind == "none" else f"{untaught(own, kind):.3f}"
        found.append([structure, "0", *[base] * len(methods)])
        for shots in SHOTS:
            found.append(["", str(shots), *(cell(own, one, shots, kind) for one in methods)])
    return table(["structure", "masks", *(f"`{method}`" for method in methods)], found)


def untaught(lines: list[Line], kind: str) -> float:
    """The base's Dice on a structure: each seed once, however many lessons it has."""
    return mean(list({line["seed"]: line[f"{kind} before"] for line in lines}.values()))


def cell(lines: list[Line], method: str, shots: int, kind: str) -> str:
    """The mean over the seeds, the smallest and largest, and how many seeds there are."""
    values = [
        line[f"{kind} after"]
        for line in lines
        if (line["method"], line["shots"]) == (method, shots)
    ]
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.3f} (1)"
    return f"{mean(values):.3f} ({min(values):.2f} to {max(values):.2f}, {len(values)})"
