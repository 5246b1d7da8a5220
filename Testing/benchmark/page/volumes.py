"""Accuracy that needs no teaching: the starter, propagating, a nearer look; and reviewing."""

from __future__ import annotations

from lines import RESULTS, read

from page.markdown import MISSING, Line, command, mean, origin, table

STARTER = "python Testing/benchmark/accuracy_starter.py --data DATA --most-cases 12"
PROPAGATE = "python Testing/benchmark/accuracy_propagate.py --data DATA"
REGIONS = "python Testing/benchmark/accuracy_regions.py --data DATA"
PRECISION = "python Testing/benchmark/bench_precision.py --data DATA --rounds 0"
REVIEW = "python Testing/benchmark/accuracy_review.py --data DATA --volumes 1"
KINDS = {"one": "one", "three": "three", "ends": "three, both ends among them"}
STRATEGIES = (
    "tracked",
    "previous box (LiteMedSAM)",
    "box interpolation",
    "box interpolation, held beyond",
    "shape interpolation",
)
SETS = ("hippocampus", "spinal cord", "prostate", "trunk organs")


def latest(name: str) -> dict[str, Line]:
    """Lines of a file by what they measured; the later one counts."""
    return {line["benchmark"]: line for line in read(RESULTS / f"{name}.jsonl")}


def starter() -> str:
    """By set of images: the box, the ellipse in it, and clicks."""
    lines = [line for line in latest("starter").values() if line["unit"] == "Dice"]
    header = ["images", "starter has", "files", "box", "ellipse in the box", "1 click", "3 clicks"]
    header += ["5 clicks", "clicks to 0.80"]
    rows = [
        [
            line["benchmark"].partition(", ")[2],
            "learned from them"
            if line["part"] == "taught"
            else "not seen them" + line["part"].removeprefix("unseen"),
            str(line["cases"]),
            f"**{line['value']:.3f}**",
            *(f"{line[name]:.3f}" for name in ("ellipse", "click_1", "clicks_3", "clicks_5")),
            f"{line['noc80']:.1f}",
        ]
        for line in lines
    ]
    return "\n\n".join([command(STARTER), table(header, rows), f"{origin(lines)}."])


def headline() -> dict[str, float]:
    """Means over the sets that the starter never saw, with manual labels of compact objects."""
    lines = [line for line in latest("starter").values() if line.get("part") == "unseen"]
    found = {name: mean([li[name] for li in lines]) for name in ("ellipse", "click_1", "clicks_3")}
    return {"box": mean([line["value"] for line in lines]), **found}


def propagated() -> dict[tuple[str, str], dict[str, Line]]:
    """Lines by kind of prompts and strategy, of each set."""
    lines = latest("propagate")
    return {
        (kind, strategy): {
            name: lines[f"propagate {name}, {kind}, {strategy}"]
            for name in SETS
            if f"propagate {name}, {kind}, {strategy}" in lines
        }
        for kind in KINDS
        for strategy in STRATEGIES
    }


def propagating() -> str:
    """Volume Dice and over-propagation by strategy."""
    found = propagated()
    header = ["prompted slices", "strategy", "mean of sets", *SETS, "found beyond the ends"]
    rows = []
    for (kind, strategy), own in found.items():
        values = [own[name]["value"] if name in own else None for name in SETS]
        told = [MISSING if value is None else f"{value:.3f}" for value in values]
        known = [value for value in values if value is not None]
        beyond = mean([line["over_mean"] for line in own.values()]) if own else None
        name = "**ours**" if strategy == "tracked" else strategy
        ends = MISSING if beyond is None else f"{100 * beyond:.1f} %"
        rows.append(
            [KINDS[kind], name, f"**{mean(known):.3f}**" if known else MISSING, *told, ends]
        )
    lines = [line for own in found.values() for line in own.values()]
    return "\n\n".join([command(PROPAGATE), table(header, rows), f"{origin(lines)}."])


def review() -> str:
    """Corrections in the suggested order over those in a random one."""
    lines = [line for line in read(RESULTS / "review.jsonl") if "case" in line]
    header = ["structure", "volume", "seed", "Dice at first", "a quarter of the way", "half"]
    header += ["three quarters", "half, the best order there is"]
    rows = [
        [
            line["benchmark"].removeprefix("review ").partition(",")[0],
            str(line["case"]),
            str(line["seed"]),
            f"{line['began']:.2f}",
            f"{line['at 25%']:.2f}",
            f"**{line['at 50%']:.2f}**",
            f"{line['at 75%']:.2f}",
            f"{line['best_possible']['50%']:.2f}",
        ]
        for line in {(li["benchmark"], li["case"], li["seed"]): li for li in lines}.values()
    ]
    return "\n\n".join([command(REVIEW), table(header, rows), f"{origin(lines)}."])


def precision() -> str:
    """Dice of the starter in reduced precision, beside that in full."""
    found = [line for line in latest("precision").values() if line["unit"] == "Dice"]
    lines = [line for line in found if "reference" in line]
    if not lines:
        return "\n\n".join([command(PRECISION), MISSING + "."])
    rows = [
        [
            line["benchmark"].removeprefix("starter Dice in "),
            f"{line['reference']:.4f}",
            f"{line['value']:.4f}",
            f"{line['value'] - line['reference']:+.4f}",
            str(line["cases"]),
        ]
        for line in lines
    ]
    header = ["", "float32", "reduced", "difference", "files"]
    return "\n\n".join([command(PRECISION), table(header, rows), f"{origin(lines)}."])


def regions() -> str:
    """Boxes looked at as part of the whole slice, and from near, by the size of the object."""
    found = latest("regions")
    lines = [line for name, line in found.items() if " of the side, " in name]
    if not lines:
        return "\n\n".join([command(REGIONS), MISSING + "."])
    sizes = list(dict.fromkeys(line["benchmark"].rpartition(", ")[0] for line in lines))
    rows = []
    for size in sizes:
        whole, near = (found.get(f"{size}, {way}") for way in ("whole", "auto"))
        cells = [MISSING if one is None else f"{one['value']:.3f}" for one in (whole, near)]
        rows.append(
            [size.removeprefix("box Dice, "), *cells, str((whole or near or {})["objects"])]
        )
    header = ["Dice of boxes", "whole slice", "`auto`", "objects"]
    return "\n\n".join([command(REGIONS), table(header, rows), f"{origin(lines)}."])
