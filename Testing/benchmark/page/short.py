"""The figures that were to be reached, in one table."""

from __future__ import annotations

import statistics

from lines import RESULTS, read

from page import teaching, volumes
from page.markdown import MISSING, Line, mean, table, verdict


def section() -> str:
    """What was to be reached, and what was."""
    return table(["", "goal", "measured", ""], [*encoding(), *using(), *taught()])


def line_of(file: str, name: str) -> Line | None:
    """A line of the CPU set."""
    lines = {line["benchmark"]: line for line in read(RESULTS / "cpu" / f"{file}.jsonl")}
    return lines.get(name)


def row(what: str, goal: str, value: float | None, told: str, *, reached: bool) -> list[str]:
    """One figure beside its goal."""
    if value is None:
        return [what, goal, MISSING, ""]
    return [what, goal, told.format(value), verdict(reached=reached)]


def middle_ratio(line: Line | None) -> float | None:
    """The median of the ratios of alternating runs."""
    return None if line is None else statistics.median(line["official_over_ours"])


def encoding() -> list[list[str]]:
    """Encoding, against the authors' code in the same run."""
    ratio = middle_ratio(line_of("encode", "sam_vit_b encode"))
    mobile = middle_ratio(line_of("encode-mobile_sam", "mobile_sam encode"))
    reduced = middle_ratio(line_of("precision", "sam_vit_b encode, bfloat16"))
    optional = middle_ratio(line_of("precision", "sam_vit_b encode, openvino-bfloat16"))
    lost, lost_optional = (
        volumes.latest("precision").get(f"starter Dice lost to {name}, largest", {}).get("value")
        for name in ("bfloat16", "openvino-bfloat16")
    )
    peak = (line_of("encode", "sam_vit_b peak") or {}).get("value")
    what = "ViT-B at 1024 pixels, encode, fp32, against the authors' code"
    return [
        row(what, "≥ 1.8 x", ratio, "{:.2f} x", reached=(ratio or 0) >= 1.8),
        row(
            "its peak above the weights",
            "≤ 1.2 GiB",
            peak,
            "{:.2f} GiB",
            reached=(peak or 9) <= 1.2,
        ),
        row(
            "ViT-B at 1024 pixels, encode, bfloat16, against the same",
            "≥ 2.5 x",
            reduced,
            "{:.2f} x",
            reached=(reduced or 0) >= 2.5,
        ),
        row(
            "the starter's Dice that bfloat16 costs, at most",
            "≤ 0.005",
            lost,
            "{:.4f}",
            reached=(1 if lost is None else lost) <= 0.005,
        ),
        row(
            "ViT-B, encode, bfloat16 by OpenVINO (an option), against the same",
            "≥ 2.5 x",
            optional,
            "{:.2f} x",
            reached=(optional or 0) >= 2.5,
        ),
        row(
            "the starter's Dice that this costs, at most",
            "≤ 0.005",
            lost_optional,
            "{:.4f}",
            reached=(1 if lost_optional is None else lost_optional) <= 0.005,
        ),
        row(
            "MobileSAM at 1024 pixels, encode, fp32, against its authors' code",
            "≥ 1.5 x",
            mobile,
            "{:.2f} x",
            reached=(mobile or 0) >= 1.5,
        ),
    ]


def using() -> list[list[str]]:
    """The scene."""
    click = line_of("scene", "click to mask beyond the decode")
    value = None if click is None else float(click["p95"])
    what = "click to mask in the scene beyond the decode, p95"
    return [row(what, "≤ 25 ms", value, "{:.1f} ms", reached=(value or 99) <= 25)]


def taught() -> list[list[str]]:
    """Fifteen slices."""
    lessons = teaching.lessons()
    rows = []
    for steps in teaching.BUDGETS:
        found = teaching.pairs(lessons, teaching.unets(steps))
        what = f"Dice without prompts, mean over {len(found)} of 4 structures"
        goal = f"above the U-Net's of {steps} steps"
        if not found:
            rows.append([what, goal, MISSING, ""])
            continue
        ours, theirs = (
            mean([mean([pair[n] for pair in own]) for own in found.values()]) for n in (0, 1)
        )
        rows.append([what, goal, f"{ours:.3f}, {theirs:.3f}", verdict(reached=ours > theirs)])
    for level, goal in (("", 0.3), ("90", None)):
        saved, count = clicks_saved(lessons, level)
        what = f"clicks to 0.{level or 80} saved by 15 slices, {count} of 4 structures"
        wanted = "" if goal is None else f"≥ {100 * goal:.0f} %"
        value = None if saved is None else 100 * saved
        found_row = row(what, wanted, value, "{:.0f} %", reached=(saved or 0) >= (goal or -9))
        rows.append(found_row if goal else [*found_row[:3], ""])
    return rows


def clicks_saved(lessons: dict[str, list[Line]], level: str) -> tuple[float | None, int]:
    """Mean over structures of the part of clicks that is saved, and how many these are."""
    before, after = f"clicks{level} before", f"clicks{level} after"
    parts = []
    for own in lessons.values():
        both = [line for line in own if before in line and after in line]
        if both:
            parts.append(1 - mean([li[after] for li in both]) / mean([li[before] for li in both]))
    return (mean(parts) if parts else None), len(parts)
