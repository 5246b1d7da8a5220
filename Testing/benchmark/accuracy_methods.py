"""Which way of teaching is best: one click, a box and no prompt, by method, masks and seed.

`--data` holds 2d/<set> and 3d/<set>, each with images/ and labels/. For each structure, seed and
number of masks the same slices are taught by every method, and measured on files that none of them
saw. Each lesson is one line of `--results`, written as soon as it is measured; what is there is not
measured again, so that a run can be stopped and gone on with (`--minutes` stops it by itself). The
differences from `decoder` are printed, lesson by lesson.

Lessons have `--steps` steps by every method and no finder, which knows nothing of methods; the
product's other settings are as they are. With `--share` prompts are answered by another part of
what was taught: methods differ in that, and it makes a difference by itself; such lines belong in a
file of their own.
"""

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from accuracy_teach import LABEL, Remembering, Structure, one_click, split
from lines import RESULTS, append, read
from report import line_of, report

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
from MedSAGaSlicerLib.errors import InputError

LESSON: Final = "methods, a lesson"
STRUCTURES: Final = (
    Structure("hippocampus", "3d/hippocampus_mr", 3),
    Structure("breast lesion", "2d/breast_ultrasound", 24),
    Structure("lungs", "2d/chest_xray_lungs", 12),
    Structure("spinal cord", "3d/spinal_cord_mr", 1),
)
EMPTY: Final = {1: 0, 5: 1, 15: 3}
KINDS: Final = ("point", "box", "none")
Name = tuple[str, int, int, str, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="nothing is measured without")
    parser.add_argument("--results", type=Path, default=RESULTS / "methods.jsonl")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["decoder", "late"])
    parser.add_argument("--shots", type=int, nargs="+", default=[15, 1, 5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=TeachingConfig.steps)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no lesson after these")
    parser.add_argument("--share", type=float, default=0.0, help="0: as suits the method")
    names = [structure.name for structure in STRUCTURES]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    options = parser.parse_args()
    if options.data is not None:
        measure_all(options)
    compare([row for row in current(options) if row["steps"] == options.steps])


def measure_all(options: argparse.Namespace) -> None:
    """Every lesson that is not there yet; all methods of one beginning before the next one.

    Seeds come last, so that an unfinished table has every cell once before it has some twice.
    """
    base = load_predictor("starter", "cpu", 1)
    known = {name_of(row) for row in current(options)}
    until = time.monotonic() + 60 * options.minutes
    chosen = [structure for structure in STRUCTURES if structure.name in options.only]
    for seed, shots, structure in itertools.product(options.seeds, options.shots, chosen):
        key = structure.name, seed, shots
        missing = [one for one in options.methods if (*key, one, options.steps) not in known]
        if not missing or time.monotonic() > until:
            continue
        try:
            comparison = Comparison(base, structure, shots, seed, options)
        except InputError as error:
            # Some sets have too few slices for the largest lessons.
            print(f"# {structure.name}: {error}", file=sys.stderr)
            continue
        for method in missing:
            if time.monotonic() < until:
                line = comparison.lesson(method)
                told = line_of(LESSON, [line["point after"]], "Dice after one click", **line)
                append(options.results, told)


class Comparison:
    """Lessons on the same slices, measured on the same files with the same prompts."""

    def __init__(
        self,
        base: Predictor,
        structure: Structure,
        shots: int,
        seed: int,
        options: argparse.Namespace,
        **changes: Any,
    ) -> None:
        """``changes`` are further settings of the lessons."""
        self._base, self._options, self._changes = base, options, changes
        self._key = {"structure": structure.name, "seed": seed, "shots": shots}
        folder = options.data / structure.folder
        cases = find_cases(folder / "images", folder / "labels")
        taught_on, self._tested_on = split(cases, structure, seed)
        empty = EMPTY.get(shots, shots // 5)
        depth = changes.get("depth", 1)
        self._examples = draw_examples(taught_on, LABEL, shots, empty, seed, depth=depth)
        self._cache = EmbeddingCache(None, ram_bytes=1 << 30)
        self._before: dict[str, Any] = {}

    def lesson(self, method: str) -> dict[str, Any]:
        """Teach, and measure before and after on files not taught."""
        seed, steps = self._key["seed"], self._options.steps
        begun = time.process_time()
        with tempfile.TemporaryDirectory() as work:
            output = Path(work) / "taught"
            config = TeachingConfig(
                method=method,
                seed=seed,
                steps=steps,
                save_every=steps,
                share=self._options.share,
                finder_updates=0,
                **self._changes,
            )
            events = train(
                config, self._examples, self._base, output, base_name="starter", cache=self._cache
            )
            (told,) = (event.report for event in events if isinstance(event, Finished))
            seconds = time.process_time() - begun
            size = (output / "weights.safetensors").stat().st_size
            adapter = load_adapter(output, self._base)
        taught = Remembering(TaughtSegment(adapter, self._examples.segments[0]), self._cache)
        if not self._before:
            base = Remembering(self._base, self._cache)
            self._before = {kind: self._measured(base, kind) for kind in KINDS if kind != "none"}
        found: dict[str, Any] = {}
        for kind in KINDS:
            after = self._measured(taught, kind)
            found |= {f"{kind} after": one_click(after)}
            if kind in self._before:
                found |= {f"{kind} before": one_click(self._before[kind])}
                found |= {"files": len(after["cases"])}
                found |= {"slices": sum(case["slices"] for case in after["cases"])}
        return {
            **self._key,
            "method": method,
            "steps": steps,
            **settings(method, self._options.share),
            **{k: round(v, 4) if isinstance(v, float) else v for k, v in found.items()},
            "guard before": told["before"],
            "guard after": told["after"],
            "adapter bytes": size,
            "cpu seconds": round(seconds, 1),
        }

    def _measured(self, model: Remembering, kind: str) -> dict[str, Any]:
        return evaluate(self._tested_on, LABEL, model, kind)


def settings(method: str, share: float) -> dict[str, float]:
    """What of a method's settings was found by trying: lessons of others are not compared."""
    kind = METHOD_CLASSES[method]
    return {
        "encoder rate": kind.encoder_rate,
        "encoder start": kind.encoder_start,
        "share": share or kind.share,
    }


def current(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The lessons of the results file with the settings that methods have by default now."""
    rows = [row for row in read(options.results) if row["benchmark"] == LESSON]
    return [row for row in rows if settings(row["method"], options.share).items() <= row.items()]


def name_of(row: dict[str, Any]) -> Name:
    structure, seed, shots = row["structure"], row["seed"], row["shots"]
    return structure, seed, shots, row["method"], row["steps"]


def compare(rows: list[dict[str, Any]]) -> None:
    """What each method gains over `decoder`, on the same slices, with the same prompts."""
    decoder = {name_of(row)[:3]: row for row in rows if row["method"] == "decoder"}
    for shots in sorted({row["shots"] for row in rows}):
        for method in METHODS:
            own = [row for row in rows if (row["method"], row["shots"]) == (method, shots)]
            pairs = [(row, decoder[name_of(row)[:3]]) for row in own if name_of(row)[:3] in decoder]
            if not pairs:
                continue
            details: dict[str, Any] = {}
            for kind in KINDS:
                after = [row[f"{kind} after"] for row, _ in pairs]
                gains = [row[f"{kind} after"] - other[f"{kind} after"] for row, other in pairs]
                details[f"{kind} after"] = round(float(np.mean(after)), 4)
                details[f"{kind} over decoder"] = round(float(np.mean(gains)), 4)
                details[f"{kind} each"] = [round(gain, 3) for gain in gains]
                if kind != "none":
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


if __name__ == "__main__":
    main()
