"""Which way of teaching is best: one click before and after, by method, masks and seed.

`--data` holds 2d/<set> and 3d/<set>, each with images/ and labels/. For each structure, seed and
number of masks the same slices are taught by every method, and measured on files that none of them
saw. Each lesson is one line of `--results`, written as soon as it is measured; what is there is not
measured again, so that a run can be stopped and gone on with (`--minutes` stops it by itself).
`--picture` draws the lines, and the differences from `decoder` are printed, seed by seed.
"""

import argparse
import contextlib
import io
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from accuracy_teach import LABEL, Remembering, Structure, one_click, split
from PIL import Image, ImageDraw, ImageFont
from report import report

from MedSAGaSlicerLib.engine.cases import find_cases
from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.evaluation import evaluate
from MedSAGaSlicerLib.engine.predictor import Predictor, load_predictor
from MedSAGaSlicerLib.engine.teaching.adapters import METHOD_CLASSES, load_adapter
from MedSAGaSlicerLib.engine.teaching.config import METHODS, TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import Finished
from MedSAGaSlicerLib.engine.teaching.loop import train
from MedSAGaSlicerLib.engine.teaching.shots import draw_examples
from MedSAGaSlicerLib.engine.teaching.taught import TaughtSegment

RESULTS: Final = Path(__file__).parent / "results"
LESSON: Final = "methods, a lesson"
STRUCTURES: Final = (
    Structure("hippocampus", "3d/hippocampus_mr", 3),
    Structure("breast lesion", "2d/breast_ultrasound", 24),
)
EMPTY: Final = {1: 0, 5: 1, 15: 3}
INKS: Final = {
    "decoder": (20, 110, 170),
    "late": (190, 90, 30),
    "lora": (40, 140, 60),
    "adapter": (120, 120, 120),
    "galore": (150, 60, 150),
    "full": (200, 160, 0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="nothing is measured without")
    parser.add_argument("--results", type=Path, default=RESULTS / "methods.jsonl")
    parser.add_argument("--picture", type=Path, default=RESULTS / "methods.png")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["decoder", "late"])
    parser.add_argument("--shots", type=int, nargs="+", default=[15, 1, 5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=TeachingConfig.steps)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no lesson after these")
    parser.add_argument("--only", help="a structure's name")
    options = parser.parse_args()
    if options.data is not None:
        measure_all(options)
    rows = [row for row in current(read(options.results)) if row["steps"] == options.steps]
    compare(rows)
    draw(rows, options.picture)


def measure_all(options: argparse.Namespace) -> None:
    """Every lesson that is not there yet; all methods of one beginning before the next one."""
    base = load_predictor("starter", "cpu", 1)
    known = {name_of(row) for row in current(read(options.results))}
    until = time.monotonic() + 60 * options.minutes
    chosen = [s for s in STRUCTURES if options.only in (None, s.name)]
    for shots, seed, structure in itertools.product(options.shots, options.seeds, chosen):
        cache = EmbeddingCache(None, ram_bytes=1 << 30)
        for method in options.methods:
            name = (structure.name, seed, shots, method, options.steps)
            if name not in known and time.monotonic() < until:
                write(options.results, lesson(base, structure, name, cache, options.data))


def lesson(
    base: Predictor,
    structure: Structure,
    name: tuple[str, int, int, str, int],
    cache: EmbeddingCache,
    data: Path,
    depth: int = 1,
) -> dict[str, Any]:
    """Teach, and measure before and after on files not taught; `depth` slices at a time."""
    _, seed, shots, method, steps = name
    folder = data / structure.folder
    taught_on, tested_on = split(find_cases(folder / "images", folder / "labels"), structure, seed)
    empty = EMPTY.get(shots, shots // 5)
    examples = draw_examples(taught_on, LABEL, shots, empty, seed, depth=depth)
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as work:
        output = Path(work) / "taught"
        config = TeachingConfig(method, seed, steps, save_every=steps, depth=depth)
        events = train(config, examples, base, output, base_name="starter", cache=cache)
        (told,) = (event.report for event in events if isinstance(event, Finished))
        seconds = time.process_time() - begun
        size = (output / "weights.safetensors").stat().st_size
        taught = TaughtSegment(load_adapter(output, base), examples.segments[0])
    found: dict[str, Any] = {}
    for kind in ("point", "box"):
        before = evaluate(tested_on, LABEL, Remembering(base, cache), kind)
        after = evaluate(tested_on, LABEL, Remembering(taught, cache), kind)
        found |= {f"{kind} before": one_click(before), f"{kind} after": one_click(after)}
        found |= {"files": len(after["cases"])}
        found |= {"slices": sum(case["slices"] for case in after["cases"])}
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in found.items()}
    return {
        "structure": structure.name,
        "seed": seed,
        "shots": shots,
        "method": method,
        "steps": steps,
        "encoder rate": METHOD_CLASSES[method].encoder_rate,
        **rounded,
        "guard before": told["before"],
        "guard after": told["after"],
        "adapter bytes": size,
        "cpu seconds": round(seconds, 1),
    }


def name_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key] for key in ("structure", "seed", "shots", "method", "steps"))


def read(path: Path) -> list[dict[str, Any]]:
    """The lessons of a results file; a line that was cut short counts for nothing."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            rows.append(json.loads(line))
    return rows


def current(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those at the rate that the encoder has by default now: others were tried and given up."""
    return [
        row for row in rows if row["encoder rate"] == METHOD_CLASSES[row["method"]].encoder_rate
    ]


def write(path: Path, row: dict[str, Any]) -> None:
    """Print a lesson's line and add it to the results."""
    line = io.StringIO()
    with contextlib.redirect_stdout(line):
        report(LESSON, [row["point after"]], "Dice after one click", **row)
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(line.getvalue())
    print(line.getvalue(), end="", flush=True)


def compare(rows: list[dict[str, Any]]) -> None:
    """What each method gains over `decoder`, on the same slices, with the same prompts."""
    decoder = {name_of(row)[:3]: row for row in rows if row["method"] == "decoder"}
    for shots in sorted({row["shots"] for row in rows}):
        for method in INKS:
            own = [row for row in rows if (row["method"], row["shots"]) == (method, shots)]
            pairs = [(row, decoder[name_of(row)[:3]]) for row in own if name_of(row)[:3] in decoder]
            if not pairs:
                continue
            details: dict[str, Any] = {}
            for kind in ("point", "box"):
                after = [row[f"{kind} after"] for row, _ in pairs]
                gains = [row[f"{kind} after"] - other[f"{kind} after"] for row, other in pairs]
                details[f"{kind} after"] = round(float(np.mean(after)), 4)
                details[f"{kind} over decoder"] = round(float(np.mean(gains)), 4)
                details[f"{kind} each"] = [round(gain, 3) for gain in gains]
                before = [row[f"{kind} before"] for row, _ in pairs]
                details[f"{kind} before"] = round(float(np.mean(before)), 4)
            seconds = [row["cpu seconds"] for row, _ in pairs]
            report(
                f"methods, {method} from {shots} masks, gain over decoder with one click",
                [details.pop("point over decoder")],
                "Dice",
                lessons=len(pairs),
                cpu_seconds=round(float(np.mean(seconds)), 1),
                **details,
            )


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Dice after one click over the number of masks: a panel per structure, a line per method."""
    names = list(dict.fromkeys(row["structure"] for row in rows))
    if not names:
        return
    width, height, margin = 420, 360, (56, 46, 24, 44)
    picture = Image.new("RGB", (width * len(names), height + 30), (250, 250, 250))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    shots = sorted({row["shots"] for row in rows})
    for number, name in enumerate(names):
        own = [row for row in rows if row["structure"] == name]
        values = [row["point after"] for row in own] + [row["point before"] for row in own]
        low, high = 0.05 * np.floor(min(values) / 0.05), 0.05 * np.ceil(max(values) / 0.05)
        left, right = number * width + margin[0], (number + 1) * width - margin[2]
        top, bottom = margin[1], height - margin[3]

        def at(place: float, dice: float, box: Any = (left, right, top, bottom, low, high)) -> Any:
            x = box[0] + (box[1] - box[0]) * (place + 0.5) / len(shots)
            return x, box[3] - (box[3] - box[2]) * (dice - box[4]) / (box[5] - box[4])

        pen.text((left, top - 28), f"{name}, Dice after one click", fill=(60, 60, 60), font=font)
        for tick in np.arange(low, high + 0.001, 0.05):
            y = at(0, float(tick))[1]
            pen.line([(left, y), (right, y)], fill=(224, 224, 224))
            pen.text((left - 6, y), f"{tick:.2f}", fill=(60, 60, 60), font=font, anchor="rm")
        for place, count in enumerate(shots):
            text = f"{count} mask{'s' * (count > 1)}"
            pen.text(
                (at(place, low)[0], bottom + 8), text, fill=(60, 60, 60), font=font, anchor="mt"
            )
        before = float(np.mean([row["point before"] for row in own]))
        pen.line([(left, at(0, before)[1]), (right, at(0, before)[1])], fill=(0, 0, 0))
        pen.text((right, at(0, before)[1] - 2), "base", fill=(0, 0, 0), font=font, anchor="rb")
        for order, method in enumerate(INKS):
            points = []
            for place, count in enumerate(shots):
                found = [
                    row["point after"]
                    for row in own
                    if (row["method"], row["shots"]) == (method, count)
                ]
                if found:
                    shifted = place + 0.06 * (order - 2.5)
                    points.append(at(shifted, float(np.mean(found))))
                    ends = [at(shifted, min(found)), at(shifted, max(found))]
                    pen.line(ends, fill=INKS[method], width=1)
            if len(points) > 1:
                pen.line(points, fill=INKS[method], width=2)
            for x, y in points:
                pen.ellipse([x - 3, y - 3, x + 3, y + 3], fill=INKS[method])
    x = 56
    for method in [m for m in INKS if any(row["method"] == m for row in rows)]:
        count = sum(row["method"] == method for row in rows)
        pen.text((x, height + 4), f"{method} ({count})", fill=INKS[method], font=font)
        x += 130
    path.parent.mkdir(exist_ok=True)
    picture.save(path)


if __name__ == "__main__":
    main()
