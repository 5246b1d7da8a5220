"""What fifteen slices bring: clicks, finishing without prompts, and the U-Net beside it."""

from __future__ import annotations

from lines import RESULTS, keyed

from page.markdown import MISSING, Line, command, mean, origin, table

STRUCTURES = {
    "lungs": "both lungs, chest X-ray",
    "hippocampus": "hippocampus, MR",
    "breast lesion": "breast lesion, ultrasound",
    "spinal cord": "spinal cord, MR",
}
TEACH = "python Testing/benchmark/accuracy_teach.py --data DATA --clicks --cases 12"
BUDGETS = (400, 1000)
UNET = "python Testing/benchmark/accuracy_unet.py --data DATA"


def lessons() -> dict[str, list[Line]]:
    """Teach's lessons by structure, one for each seed."""
    found = keyed(RESULTS / "teach.jsonl", "teach, a lesson", ("structure", "seed"))
    return grouped(list(found.values()))


def unets(steps: int) -> dict[str, list[Line]]:
    """The U-Net's lessons of so many steps, by structure."""
    found = keyed(RESULTS / "unet.jsonl", "U-Net, a lesson", ("structure", "seed", "steps"))
    return grouped([line for line in found.values() if line["steps"] == steps])


def grouped(lines: list[Line]) -> dict[str, list[Line]]:
    """By structure, in the order of their seeds."""
    ordered = sorted(lines, key=lambda line: line["seed"])
    return {name: [line for line in ordered if line["structure"] == name] for name in STRUCTURES}


def told(rows: list[Line], name: str, places: int = 2) -> str:
    """The mean of a value over the seeds, and each of them."""
    values = [row[name] for row in rows if name in row]
    if not values:
        return MISSING
    return f"**{mean(values):.{places}f}** ({', '.join(f'{v:.{places}f}' for v in values)})"


def clicks(rows: list[Line], level: str) -> str:
    """Clicks before and after, and how many are saved."""
    before, after = f"clicks{level} before", f"clicks{level} after"
    both = [row for row in rows if before in row and after in row]
    if not both:
        return MISSING
    first, then = (mean([row[name] for row in both]) for name in (before, after))
    seeds = "" if len(both) == len(rows) else f", n = {len(both)}"
    return f"{first:.1f} → **{then:.1f}** ({100 * (then / first - 1):+.0f} %{seeds})"


def section() -> str:
    """Before and after, on files that were not taught."""
    found = lessons()
    header = ["", "Dice of one click, before", "after", "part of the gap closed"]
    header += ["clicks to 0.80", "clicks to 0.90"]
    rows = []
    for name, title in STRUCTURES.items():
        own = found[name]
        cells = [told(own, "before"), told(own, "after"), closed(own)]
        rows.append([title, *cells, clicks(own, ""), clicks(own, "90")])
    parts = [command(TEACH), table(header, rows), summary(found)]
    every = [line for own in found.values() for line in own]
    return "\n\n".join([*parts, f"{origin(every)}."] if every else parts)


def closed(rows: list[Line]) -> str:
    """What of the way to Dice 1 was made."""
    if not rows:
        return MISSING
    before, after = (mean([row[name] for row in rows]) for name in ("before", "after"))
    return f"{(after - before) / (1 - before):.2f}"


def summary(found: dict[str, list[Line]]) -> str:
    """Means over the structures, with the goals."""
    rows = [own for own in found.values() if own]
    if not rows:
        return MISSING + "."
    parts, saved = [], []
    for own in rows:
        before, after = (mean([row[name] for row in own]) for name in ("before", "after"))
        parts.append((after - before) / (1 - before))
        with_clicks = [row for row in own if "clicks after" in row]
        if with_clicks:
            first, then = (
                mean([row[f"clicks {when}"] for row in with_clicks]) for when in ("before", "after")
            )
            saved.append(1 - then / first)
    clicks_told = f"{100 * mean(saved):.0f} %" if saved else MISSING
    return (
        f"Mean of {len(rows)} structures: {mean(parts):.2f} of the gap closed (goal 0.30), "
        f"clicks to 0.80 saved: {clicks_told} (goal 30 %)."
    )


def beside_unet() -> str:
    """All without any prompt, on the same slices and files."""
    taught, nets = lessons(), {steps: unets(steps) for steps in BUDGETS}
    header = ["Dice of all slices, no prompts", "finished after Teach"]
    header += [f"U-Net of {steps} steps, finished alike" for steps in BUDGETS]
    header += ["CPU seconds of these"]
    rows = []
    for name, title in STRUCTURES.items():
        every = [taught[name], *(found[name] for found in nets.values())]
        cells = [told(own, "value" if at else "finished") for at, own in enumerate(every)]
        spent = [of_seconds(own) for own in every]
        rows.append([title, *cells, ", ".join(spent)])
    lines = [line for found in (taught, *nets.values()) for own in found.values() for line in own]
    verdicts = [f"{steps} steps: {both_means(taught, found)}." for steps, found in nets.items()]
    text = "\n".join([*(f"- {one}" for one in verdicts), "", f"{origin(lines)}."])
    return "\n\n".join([command(TEACH, UNET), table(header, rows), text])


def of_seconds(rows: list[Line]) -> str:
    """The mean processor time."""
    return f"{mean([row['cpu seconds'] for row in rows]):.0f}" if rows else MISSING


def pairs(
    taught: dict[str, list[Line]], nets: dict[str, list[Line]]
) -> dict[str, list[tuple[float, float]]]:
    """Finished by ours and by the U-Net, by structure, for the seeds that both have."""
    found = {}
    for name in STRUCTURES:
        theirs = {row["seed"]: row["value"] for row in nets[name]}
        own = [
            (row["finished"], theirs[row["seed"]]) for row in taught[name] if row["seed"] in theirs
        ]
        if own:
            found[name] = own
    return found


def both_means(taught: dict[str, list[Line]], nets: dict[str, list[Line]]) -> str:
    """The means over the structures that both have."""
    found = pairs(taught, nets)
    if not found:
        return MISSING
    ours, theirs = (
        mean([mean([pair[n] for pair in own]) for own in found.values()]) for n in (0, 1)
    )
    lessons_told = sum(len(own) for own in found.values())
    verdict = "above" if ours > theirs else "**not above**"
    return (
        f"mean over {len(found)} structures ({lessons_told} lessons that both have): Teach "
        f"{ours:.3f}, U-Net {theirs:.3f}: {verdict} the U-Net (goal: above)"
    )
