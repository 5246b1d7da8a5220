"""What Teach brings: the same clicks before and after, and no prompts at all, on files not taught.

`--data` holds 2d/<set> and 3d/<set>, each with images/ and labels/. For each structure and seed 15
slices are drawn from one part of the files, taught, and measured on the other part. Every line has
before and after together. A lesson's line is printed as soon as it is measured; `--summary` takes
such lines from a file, of as many runs as there were, and prints each structure's means over its
seeds and the means over the structures. With `--results` a lesson that is in that file already is
not given again, and new ones are added to it.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from lines import append, keyed
from numpy.typing import NDArray
from report import line_of, report

from MedSAGaSlicerLib.engine.cases import Case, LabelChoice, find_cases, read_case
from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.evaluation import SMALLEST, evaluate
from MedSAGaSlicerLib.engine.finishing.volumes import finish_volume
from MedSAGaSlicerLib.engine.metrics import dice
from MedSAGaSlicerLib.engine.predictor import Predictor, load_predictor
from MedSAGaSlicerLib.engine.teaching.adapters import load_adapter
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import Finished
from MedSAGaSlicerLib.engine.teaching.loop import train
from MedSAGaSlicerLib.engine.teaching.shots import draw_examples, segment_name
from MedSAGaSlicerLib.engine.teaching.taught import TaughtPredictor, TaughtSegment

LABEL = LabelChoice.parse("any")
LESSON: Final = "teach, a lesson"
KEY: Final = ("structure", "seed")
TOLD: Final = (
    *("before", "after", "unprompted", "finished"),
    *("clicks before", "clicks after", "clicks90 before", "clicks90 after"),
)


@dataclass(frozen=True)
class Structure:
    """A structure, and for how many of its files there is time."""

    name: str
    folder: str
    tested: int


STRUCTURES = (
    Structure("hippocampus", "3d/hippocampus_mr", 6),
    Structure("breast lesion", "2d/breast_ultrasound", 30),
    Structure("lungs", "2d/chest_xray_lungs", 15),
    Structure("spinal cord", "3d/spinal_cord_mr", 1),
)


class Remembering:
    """A model that encodes no slice twice, whoever asks; for `evaluate` and Finish."""

    def __init__(self, model: Predictor | TaughtSegment, cache: EmbeddingCache) -> None:
        self.model = model
        self.cache = cache
        self.predict, self.depth = model.predict, model.depth
        if isinstance(model, TaughtSegment):
            self.predict_unprompted = model.predict_unprompted
        if isinstance(model, TaughtPredictor):
            self.find = model.find

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        key = slice_key(pixels)
        found = self.cache.get(key, self.model.encoder_key)
        return found or self.cache.keep(key, self.model.encode(pixels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--shots", type=int, default=15)
    parser.add_argument("--empty", type=int, default=3)
    parser.add_argument("--steps", type=int, default=TeachingConfig.steps)
    parser.add_argument("--method", default=TeachingConfig.method)
    parser.add_argument("--only", help="a structure's name")
    parser.add_argument("--cases", type=int, help="measure on so many files, not all")
    parser.add_argument(
        "--clicks", action="store_true", help="also clicks to 0.80 and 0.90, which take long"
    )
    parser.add_argument("--summary", type=Path, help="only sum up lessons in this file")
    parser.add_argument("--results", type=Path, help="a file of lessons: only missing ones, added")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no lesson after these")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    lessons = measured(options) if options.summary is None else read_lessons(options.summary)
    tell(lessons)


def measured(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Give all lessons asked for and measure what they brought."""
    base = load_predictor(options.model, "cpu", options.threads)
    known = keyed(options.results, LESSON, KEY) if options.results else {}
    lessons, until = [], time.monotonic() + 60 * options.minutes
    chosen = [one for one in STRUCTURES if options.only in (None, one.name)]
    for seed, structure in itertools.product(options.seeds, chosen):
        line = known.get((structure.name, seed))
        if line is None or (options.clicks and "clicks90 after" not in line):
            if time.monotonic() > until:
                continue
            found = measure(base, structure, seed, options)
            rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in found.items()}
            line = line_of(LESSON, [found["after"]], "Dice after one click", **rounded)
            append(options.results, line)
        lessons.append(line)
    return lessons


def read_lessons(path: Path) -> list[dict[str, Any]]:
    """The lessons among a file's lines; of two on the same structure and seed the later one."""
    return list(keyed(path, LESSON, KEY).values())


def measure(
    base: Predictor, structure: Structure, seed: int, options: argparse.Namespace
) -> dict[str, Any]:
    """One lesson: the figures before and after, on files that it did not see."""
    folder = options.data / structure.folder
    cases = find_cases(folder / "images", folder / "labels")
    taught_on, tested_on = split(cases, structure, seed)
    tested_on = tested_on[: options.cases]
    examples = draw_examples(taught_on, LABEL, options.shots, options.empty, seed)
    cache = EmbeddingCache(None, ram_bytes=2 << 30)
    kind = "clicks" if options.clicks else "point"
    with tempfile.TemporaryDirectory() as work:
        output = Path(work) / "taught"
        config = TeachingConfig(options.method, seed, options.steps)
        begun = time.process_time()
        events = train(config, examples, base, output, base_name=options.model, cache=cache)
        (lesson,) = (event.report for event in events if isinstance(event, Finished))
        cpu = time.process_time() - begun
        adapter = load_adapter(output, base)
    taught = TaughtSegment(adapter, examples.segments[0])
    before = evaluate(tested_on, LABEL, Remembering(base, cache), kind)
    after = evaluate(tested_on, LABEL, Remembering(taught, cache), kind)
    free = evaluate(tested_on, LABEL, Remembering(taught, cache), "none")
    found = {
        "structure": structure.name,
        "seed": seed,
        "files": len(before["cases"]),
        "slices": sum(case["slices"] for case in before["cases"]),
        "before": one_click(before),
        "after": one_click(after),
        "unprompted": free["mean_dice"],
        "finished": finished_dice(tested_on, Remembering(adapter, cache)),
        "unprompted 3d": free["dice_3d"],
        "unprompted slices": sum(case["slices"] for case in free["cases"]),
        "guard before": lesson["before"],
        "guard after": lesson["after"],
        "accepted": lesson["accepted"],
        "cpu seconds": cpu,
    }
    if options.clicks:
        found |= {"clicks before": before["noc80"], "clicks after": after["noc80"]}
        found |= {"clicks90 before": before["noc90"], "clicks90 after": after["noc90"]}
    return found


def finished_dice(cases: Sequence[Case], model: Remembering) -> float:
    """Mean over volumes of the mean slice Dice of Finish, on the slices of `evaluate`'s `none`."""
    means = []
    for case in cases:
        volume, truth, _ = read_case(case, LABEL)
        found = finish_volume(volume, model, (segment_name(LABEL),)).labels_kji > 0
        pixels = np.count_nonzero(truth, axis=(1, 2))
        indices = np.flatnonzero((pixels >= SMALLEST) | (pixels == 0))
        means.append(np.mean([dice(found[index], truth[index]) for index in indices]))
    return float(np.mean(means))


def one_click(evaluation: dict[str, Any]) -> float:
    """Mean Dice after one click, of either kind of evaluation."""
    curve = evaluation["dice_at"]
    return float(evaluation["mean_dice"] if curve is None else curve["1"])


def split(
    cases: tuple[Case, ...], structure: Structure, seed: int
) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Files to teach on and others to measure on, drawn by the seed."""
    order = np.random.default_rng([seed, 5]).permutation(len(cases))
    tested = sorted(int(number) for number in order[: structure.tested])
    taught = sorted(int(number) for number in order[structure.tested :])
    return tuple(cases[n] for n in taught), tuple(cases[n] for n in tested)


def tell(lessons: list[dict[str, Any]]) -> None:
    """Print each structure's figures, means over its seeds, and the means over the structures."""
    closed, saved = [], []
    for name in dict.fromkeys(lesson["structure"] for lesson in lessons):
        rows = [lesson for lesson in lessons if lesson["structure"] == name]
        columns = {key: [row[key] for row in rows] for key in rows[0] if key in TOLD}
        means = {key: float(np.mean(values)) for key, values in columns.items()}
        details = {key: [round(value, 3) for value in values] for key, values in columns.items()}
        closed.append((means["after"] - means["before"]) / (1 - means["before"]))
        report(f"teach {name}, part of the gap closed", [closed[-1]], "", goal=0.3, **details)
        report(f"teach {name}, Dice gained", [means["after"] - means["before"]], "", goal=-0.01)
        free = means["unprompted"]
        report(f"teach {name}, unprompted slice by slice", [free], "Dice", seeds=len(rows))
        report(f"teach {name}, finished, all slices", [means["finished"]], "Dice", goal=0.7)
        if "clicks after" in means:
            saved.append(1 - means["clicks after"] / means["clicks before"])
            report(f"teach {name}, clicks to 0.80 saved", [saved[-1]], "", **details)
    told = [round(part, 3) for part in closed]
    report("teach, part of the gap closed", [float(np.mean(closed))], "", structures=told, goal=0.3)
    if saved:
        told = [round(part, 3) for part in saved]
        report("teach, clicks saved", [float(np.mean(saved))], "", structures=told, goal=0.3)


if __name__ == "__main__":
    main()
