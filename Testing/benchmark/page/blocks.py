"""The parts of BENCHMARKS.md and README that hold figures, by name."""

from __future__ import annotations

import re

from lines import RESULTS, read

from page import memory, nshot, short, speed, teaching, volumes
from page.markdown import MISSING, Line, amount, mean, table

_PART = re.compile(r"(<!-- figures: (\w+) -->\n)(.*?)(<!-- end of figures -->)", re.DOTALL)


def renewed(text: str) -> str:
    """A text with the figures of the lines."""
    return _PART.sub(lambda found: found[1] + PARTS[found[2]]() + "\n" + found[4], text)


def teach() -> str:
    """What fifteen slices bring, in short."""
    found = teaching.lessons()
    rows = []
    for name, title in teaching.STRUCTURES.items():
        own = found[name]

        if own:
            dice = f"{of(own, 'before')}, {of(own, 'after')}"
            clicks = f"{of(own, 'clicks before', 1)}, {of(own, 'clicks after', 1)}"
            rows.append([title, dice, clicks, of(own, "finished")])
    header = ["", "Dice of one click, before and after", "clicks to 0.80", "finished, all slices"]
    return table(header, rows)


def of(lines: list[Line], key: str, places: int = 2) -> str:
    """The mean of a value."""
    values = [line[key] for line in lines if key in line]
    return f"{mean(values):.{places}f}" if values else MISSING


def starter() -> str:
    """The starter's headline."""
    found = {name: f"{value:.2f}" for name, value in volumes.headline().items()}
    return (
        "On five sets of images that the starter never saw (MR, ultrasound, X-ray), one click "
        f"gives a mean Dice of {found['click_1']}, three clicks {found['clicks_3']}, a box "
        f"{found['box']} (the ellipse in the box: {found['ellipse']})."
    )


def methods() -> str:
    """Which way of teaching is best, as far as it was measured."""
    lines = nshot.rows()
    steps = nshot.most_lessons(lines)
    own = [line for line in lines if line["steps"] == steps and line["shots"] == 15]
    known = {
        method: {(li["structure"], li["seed"]): li for li in own if li["method"] == method}
        for method in nshot.METHODS
    }
    told = []
    for method, found in known.items():
        both = sorted(set(found) & set(known["decoder"]))
        if method != "decoder" and both:
            gain = mean(
                [found[k]["point after"] - known["decoder"][k]["point after"] for k in both]
            )
            told.append(f"`{method}` {gain:+.3f} ({len(both)})")
    return (
        f"From 15 masks, in lessons of {steps} steps on the starter, the Dice of one click on "
        "other files differs from that of `decoder` by (in so many lessons that both have): "
        f"{', '.join(told)}."
    )


def memory_short() -> str:
    """ViT-B at 1024 pixels: what was published, and ours."""
    lines = memory.by_setting("cpu")
    names = {**memory.PUBLISHED, "galore": "`galore`", "lora": "`lora`"}
    values = {name: float(lines["sam_vit_b", name]["value"]) for name in names}
    published, here = (
        f"{100 * values['galore' + who] / values['lora' + who]:.0f} %" for who in ("-published", "")
    )
    rows = [[f"{value:.1f} GiB" for value in values.values()]]
    return "\n\n".join(
        [
            table(list(names.values()), rows),
            f"GaLore's memory in parts of LoRA's: {published} as published, {here} here.",
        ]
    )


def kept() -> str:
    """Sizes of what lessons leave."""
    lines = read(RESULTS / "cpu" / "kept.jsonl")
    sizes = [f"`{li['benchmark'].rpartition(' ')[2]}` {li['value'] / 1e6:.0f} MB" for li in lines]
    if not lines:
        return f"What is kept of a lesson was {MISSING}."
    model = f"ViT-B ({lines[0]['reference'] / 1e6:.0f} MB)"
    return f"Of a lesson on {model} is kept by {', '.join(sizes)}."


def large() -> str:
    """Large volumes and small objects."""
    lines = {line["benchmark"]: line for line in read(RESULTS / "cpu" / "big_volume.jsonl")}
    taken = lines["scene and worker above empty processes and the volume"]
    near = volumes.latest("regions")
    told = []
    for size, words in (("0.12", "below an eighth"), ("0.25", "from there to a quarter")):
        name = f"box Dice, objects up to {size} of the side"
        if f"{name}, whole" in near:
            whole, close = (near[f"{name}, {way}"]["value"] for way in ("whole", "auto"))
            told.append(f"from {whole:.2f} to {close:.2f} for boxes {words} of the side")
    first = (
        "On slices larger than its input the starter's mean Dice rises "
        f"{', '.join(told)}, when they are looked at from near. "
        if told
        else ""
    )
    return (
        f"{first}Beside a volume of 546 x 820 x 820 voxels of 16 bits, scene and worker take "
        f"{amount(taken['value'], 'MiB')}."
    )


def card_memory() -> str:
    """Memory on a GPU."""
    return memory.section("cuda")


def cpu() -> str:
    """Speed on the CPU."""
    return speed.section("cpu")


def cuda() -> str:
    """Speed on a GPU."""
    return speed.section("cuda") or f"{MISSING.capitalize()}: there was no GPU."


PARTS = {
    "short": short.section,
    "teach_short": teach,
    "starter_short": starter,
    "methods_short": methods,
    "memory_short": memory_short,
    "kept_short": kept,
    "large_short": large,
    "speed": cpu,
    "speed_gpu": cuda,
    "memory": memory.section,
    "memory_gpu": card_memory,
    "starter": volumes.starter,
    "teach": teaching.section,
    "unet": teaching.beside_unet,
    "methods": nshot.section,
    "propagate": volumes.propagating,
    "precision": volumes.precision,
    "regions": volumes.regions,
    "review": volumes.review,
}
