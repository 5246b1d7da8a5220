"""The pictures, of the same lines as the tables; needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")

from lines import RESULTS, read
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from page import memory, nshot, teaching, volumes
from page.markdown import Line, mean, reference_of
from page.speed import LIKE_FOR_LIKE

# Okabe and Ito's colours, which people with any kind of colour blindness can tell apart.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#777777",
)
METHOD_STYLES: Final = {
    "decoder": (BLUE, "o"),
    "late": (ORANGE, "s"),
    "lora": (GREEN, "^"),
    "galore": (PURPLE, "D"),
    "adapter": (SKY, "v"),
    "full": (RED, "P"),
}


def draw_all(folder: Path) -> None:
    """Draw every picture anew."""
    folder.mkdir(parents=True, exist_ok=True)
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    for name, draw in PICTURES.items():
        figure = draw()
        figure.savefig(folder / f"{name}.png", dpi=110, metadata={"Software": None})
        plt.close(figure)


def speed() -> Figure:
    """How many times as fast or as small each figure of the CPU set is as another's, alike."""
    files = [RESULTS / "cpu" / f"{name}.jsonl" for name in LIKE_FOR_LIKE]
    found = [pair for path in files for pair in ratios(path)]
    found.sort(key=lambda pair: pair[1])
    figure, axes = plt.subplots(figsize=(9.5, 0.9 + 0.3 * max(1, len(found))), layout="constrained")
    for place, (_, ratio) in enumerate(found):
        axes.barh(place, ratio - 1, left=1, color=BLUE if ratio >= 1 else RED)
        told = f" {ratio:.2g}" if ratio < 100 else f" {ratio:.0f}"
        axes.text(max(ratio, 1), place, told, va="center", fontsize=9)
    axes.set_yticks(range(len(found)), [name for name, _ in found], fontsize=9)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.axvline(1, color="black", linewidth=1)
    axes.margins(x=0.12)
    axes.set_xlabel("times as fast, or as small, as the reference (1: level)")
    axes.set_ylabel("figure")
    return figure


def ratios(path: Path) -> list[tuple[str, float]]:
    """Names and ratios of the lines of a file that have a reference."""
    found = []
    for line in read(path):
        reference = reference_of(line)
        if reference and line["value"] > 0 and reference[0] > 0 and line["unit"] != "MiB":
            axis = f" ({line['axis']})" if "axis" in line else ""
            found.append((line["benchmark"] + axis, reference[0] / line["value"]))
    return found


def memory_bars() -> Figure:
    """Peaks by method: as published, and ours, a panel for each model."""
    lines = memory.by_setting("cpu")
    families = [one for one in memory.FAMILIES if any(family == one for family, _ in lines)]
    figure, panels = plt.subplots(
        1,
        len(families),
        figsize=(3.4 + 2.3 * len(families), 4.2),
        sharey=True,
        layout="constrained",
    )
    names = {name: told.strip("*`") for name, told in memory.METHODS.items()}
    for family, axes in zip(families, panels if len(families) > 1 else [panels], strict=True):
        for place, method in enumerate(reversed(names)):
            line = lines.get((family, method))
            if line is None:
                told = memory.cell(None, method, family)
                axes.text(0, place, f" {told}", va="center", color=GREY, fontsize=9)
                continue
            published = method in memory.PUBLISHED
            axes.barh(place, line["value"], color=GREY if published else BLUE)
            axes.text(line["value"], place, f" {line['value']:.2g}", va="center", fontsize=9)
            if "planned" in line:
                axes.plot(line["planned"], place, "|", color=RED, markersize=13, markeredgewidth=2)
        axes.set_title(memory.FAMILIES[family], fontsize=10)
        axes.set_yticks(range(len(names)), list(reversed(names.values())))
        axes.set_xlim(0, 1.35 * max(line["value"] for (f, _), line in lines.items() if f == family))
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_xlabel("GiB above the weights")
    first = panels[0] if len(families) > 1 else panels
    first.set_ylabel("what is done")
    figure.suptitle("grey: as published, blue: ours, red: the plan", fontsize=10)
    return figure


def teach() -> Figure:
    """Before and after, by structure: Dice of one click, and clicks needed."""
    found = {name: rows for name, rows in teaching.lessons().items() if rows}
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.4), sharey=True, layout="constrained")
    parts = (
        ("", "Dice of one click"),
        ("clicks ", "clicks to 0.80"),
        ("clicks90 ", "clicks to 0.90"),
    )
    for axes, (key, title) in zip(panels, parts, strict=True):
        for place, rows in enumerate(reversed(found.values())):
            for when, colour, shape in (("before", GREY, "o"), ("after", BLUE, "D")):
                values = [row[key + when] for row in rows if key + when in row]
                if not values:
                    missing(axes, place)
                    continue
                axes.plot(values, [place] * len(values), shape, color=colour, alpha=0.35)
                axes.plot(mean(values), place, shape, color=colour, markersize=10, label=when)
        axes.set_xlabel(title)
        axes.grid(axis="x", alpha=0.3)
        axes.set_ylim(-0.5, len(found) - 0.5)
        if key:
            axes.set_xlim(0, 1.05 * axes.get_xlim()[1])
    titles = [teaching.STRUCTURES[name] for name in reversed(found)]
    panels[0].set_yticks(range(len(found)), titles)
    panels[0].set_ylabel("structure")
    legend_once(panels[0])
    return figure


def missing(axes: Any, place: float) -> None:
    """Say on a line of the axes that there is nothing."""
    where = axes.get_yaxis_transform()
    axes.text(0.03, place, "not measured", va="center", color=GREY, transform=where)


def unet() -> Figure:
    """Finished after Teach beside the U-Net, each seed a dot."""
    figure, axes = plt.subplots(figsize=(8.5, 3.8), layout="constrained")
    few, many = teaching.BUDGETS
    ways = (
        (teaching.lessons(), "finished", BLUE, -0.27, "Finish after Teach"),
        (teaching.unets(few), "value", ORANGE, 0.0, f"U-Net, {few} steps"),
        (teaching.unets(many), "value", RED, 0.27, f"U-Net, {many} steps"),
    )
    for found, key, colour, shift, label in ways:
        for place, name in enumerate(teaching.STRUCTURES):
            values = [row[key] for row in found[name]]
            if not values:
                axes.text(place + shift, 0.02, "not measured", ha="center", rotation=90, color=GREY)
                continue
            axes.bar(place + shift, mean(values), 0.26, color=colour, label=label)
            axes.plot([place + shift] * len(values), values, "o", color="black", markersize=4)
            axes.text(place + shift, 0.02, f"{mean(values):.2f}", ha="center", color="white")
    axes.set_xticks(range(len(teaching.STRUCTURES)), teaching.STRUCTURES.values())
    axes.set_xlim(-0.5, len(teaching.STRUCTURES) - 0.5)
    axes.set_ylim(0, 1.12)
    axes.set_ylabel("Dice of all slices, no prompts")
    axes.set_xlabel("structure (a dot: a seed)")
    legend_once(axes, ncols=3)
    return figure


def methods() -> Figure:
    """Dice of one click by the number of masks, a panel for each structure."""
    every = nshot.rows()
    chosen = nshot.most_lessons(every)
    lines = [line for line in every if line["steps"] == chosen]
    names = sorted({*teaching.STRUCTURES, *(line["structure"] for line in lines)})
    figure, panels = plt.subplots(
        1, len(names), figsize=(1.2 + 2.8 * len(names), 4), layout="constrained", squeeze=False
    )
    places = {shots: place for place, shots in enumerate((0, *nshot.SHOTS))}
    for name, axes in zip(names, panels[0], strict=True):
        own = [line for line in lines if line["structure"] == name]
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("masks taught")
        if not own:
            axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes, color=GREY)
            axes.set_xticks([])
            axes.set_yticks([])
            continue
        before = nshot.untaught(own, "point")
        axes.axhline(before, color="black", linewidth=1, linestyle="--")
        for order, (method, (colour, shape)) in enumerate(METHOD_STYLES.items()):
            draw_method(axes, own, method, (colour, shape), places, before, 0.07 * (order - 2.5))
        axes.set_xticks(list(places.values()), list(places))
        axes.set_xlim(-0.5, len(places) - 0.5)
        widen(axes, 0.2)
        axes.grid(axis="y", alpha=0.3)
    panels[0][0].set_ylabel("Dice of one click")
    handles = [
        plt.Line2D([], [], color=colour, marker=shape, label=method)
        for method, (colour, shape) in METHOD_STYLES.items()
        if any(line["method"] == method for line in lines)
    ]
    title = f"lessons of {chosen} steps; dashed: the base; dotted: nothing measured between"
    figure.legend(handles=handles, loc="outside lower center", ncols=6, title=title)
    return figure


def draw_method(
    axes: Any,
    lines: list[Line],
    method: str,
    style: tuple[str, str],
    places: dict[int, int],
    before: float,
    shift: float,
) -> None:
    """One way of teaching: a line through the means, from the base on, and the seeds' range."""
    means = {0: before}
    for shots, place in places.items():
        values = [
            line["point after"]
            for line in lines
            if (line["method"], line["shots"]) == (method, shots)
        ]
        if values:
            means[shots] = mean(values)
            axes.plot([place + shift] * 2, [min(values), max(values)], color=style[0], linewidth=1)
            axes.plot(place + shift, means[shots], style[1], color=style[0])
    for (first, low), (last, high) in pairwise(means.items()):
        # Dotted where numbers of masks between the two were not measured.
        kind = "-" if places[last] - places[first] == 1 else ":"
        where = [places[shots] + (shift if shots else 0) for shots in (first, last)]
        axes.plot(where, [low, high], kind, color=style[0], alpha=0.6)


def widen(axes: Any, least: float) -> None:
    """Show no smaller a range than this: small differences are to look small."""
    low, high = axes.get_ylim()
    more = max(0.0, least - (high - low)) / 2
    axes.set_ylim(low - more, high + more)


def propagate() -> Figure:
    """The mean over the sets by strategy, for each kind of prompts."""
    found = volumes.propagated()
    figure, axes = plt.subplots(figsize=(9.5, 4), layout="constrained")
    colours = (BLUE, ORANGE, GREEN, PURPLE, SKY)
    for order, (strategy, colour) in enumerate(zip(volumes.STRATEGIES, colours, strict=True)):
        for place, kind in enumerate(volumes.KINDS):
            values = [line["value"] for line in found[kind, strategy].values()]
            if values:
                label = "ours" if strategy == "tracked" else strategy
                where = place + 0.16 * (order - 2)
                axes.bar(where, mean(values), 0.15, color=colour, label=label)
                axes.text(
                    where, mean(values), f"{mean(values):.2f}", ha="center", va="bottom", fontsize=8
                )
    axes.set_xticks(range(len(volumes.KINDS)), volumes.KINDS.values())
    axes.set_xlabel("prompted slices")
    axes.set_ylabel("volume Dice, mean of four sets")
    axes.set_ylim(0, 1)
    legend_once(axes, ncols=3)
    return figure


def legend_once(axes: Any, ncols: int = 1) -> None:
    """A legend without repetitions."""
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    axes.legend(once.values(), once.keys(), frameon=False, ncols=ncols, fontsize=9)


PICTURES: Final[dict[str, Callable[[], Figure]]] = {
    "speed": speed,
    "memory": memory_bars,
    "teach": teach,
    "unet": unet,
    "methods": methods,
    "propagate": propagate,
}
