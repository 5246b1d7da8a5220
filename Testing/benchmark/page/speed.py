"""The figures of `make benchmark`: one table for each script."""

from __future__ import annotations

import statistics
from pathlib import Path

from lines import RESULTS, read

from page.markdown import Line, amount, command, digits, goal_of, origin, reference_of, spread_of
from page.markdown import table as table_of

# In this order; what is not named here comes after, by name.
TITLES = {
    "encode": "ViT-B at 1024 pixels",
    "encode-mobile_sam": "MobileSAM at 1024 pixels",
    "precision": "Reduced precision",
    "starter": "The starter",
    "import": "Start-up",
    "scene": "The scene: a slice, a click, undo, scrolling",
    "worker": "The worker",
    "propagate": "Propagating",
    "finish": "Finishing",
    "teach": "Teaching",
    "late": "`late` beside `full`",
    "late-mobile_sam": "`late` beside `full`, MobileSAM",
    "late-sam_vit_b": "`late` beside `full`, ViT-B",
    "kept": "What is kept of a lesson",
    "galore": "GaLore's bases",
    "plan": "The planner",
    "plan-lite_medsam": "The planner, LiteMedSAM",
    "plan-mobile_sam": "The planner, MobileSAM",
    "teach_worker": "A lesson while a person goes on annotating",
    "panel": "The panel",
    "big_volume": "A volume of 546 x 820 x 820 voxels",
}
LIKE_FOR_LIKE = ("encode", "encode-mobile_sam", "precision", "starter", "galore", "propagate")
"""Where what stands beside does the same work, so that a ratio says something."""
TELLING = ("axis", "way", "killed", "family")


def section(device: str) -> str:
    """All that was measured on a device, or that nothing was."""
    folder = RESULTS / device
    files = {path.stem: path for path in sorted(folder.glob("*.jsonl"))}
    named = [name for name in TITLES if name in files]
    parts = [part(name, files[name]) for name in [*named, *sorted(set(files) - set(named))]]
    return "\n\n".join(parts)


def part(name: str, path: Path) -> str:
    """One script's table, and the command that printed it."""
    lines = read(path)
    usual = f"python Testing/benchmark/bench_{name.split('-')[0]}.py"
    commands = list(dict.fromkeys(line.get("command", usual) for line in lines))
    beside = any(reference_of(line) for line in lines)
    alike = beside and name in LIKE_FOR_LIKE
    goals = any(goal_of(line) for line in lines)
    titles = {"beside it": beside, "ours is": alike, "goal": goals}
    header = ["", "measured", "spread", *(title for title, shown in titles.items() if shown)]
    rows = [row(line, beside=beside, alike=alike, goals=goals) for line in lines]
    told = [f"### {TITLES.get(name, name)}", command(*commands), table_of(header, rows)]
    return "\n\n".join([*told, f"{origin(lines)}."])


def row(line: Line, *, beside: bool, alike: bool, goals: bool) -> list[str]:
    """One figure."""
    cells = [label(line), f"**{amount(line['value'], line['unit'])}**", spread_of(line)]
    reference = reference_of(line)
    if beside:
        told = f"{amount(reference[0], line['unit'])} ({reference[1]})" if reference else ""
        cells.append(told)
    if alike:
        cells.append(compared(line, reference[0]) if reference else "")
    return [*cells, goal_of(line)] if goals else cells


def label(line: Line) -> str:
    """What was measured."""
    details = [
        f"{key} {line[key]}" if key == "axis" else str(line[key]) for key in TELLING if key in line
    ]
    details = [one for one in details if one not in line["benchmark"]]
    return line["benchmark"] + (f" ({', '.join(details)})" if details else "")


def compared(line: Line, reference: float) -> str:
    """How much less ours is, from pairs of alternating runs where there are any."""
    if line["unit"] == "Dice":
        return f"{line['value'] - reference:+.4f}"
    if line["value"] <= 0 or reference <= 0:
        return ""
    pairs = line.get("official_over_ours")
    ratio = statistics.median(pairs) if pairs else reference / line["value"]
    kind = "faster" if line["unit"] in ("s", "ms", "s of CPU") else "smaller"
    other = "slower" if kind == "faster" else "larger"
    if 0.95 <= ratio <= 1.05:
        return "level"
    return f"{digits(ratio)} x {kind}" if ratio > 1 else f"{digits(1 / ratio)} x {other}"
