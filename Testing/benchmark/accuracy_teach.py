"""What Teach brings: the same clicks before and after, and no prompts at all, on files not taught.

`--data` holds 2d/<set> and 3d/<set>, each with images/ and labels/. For each structure and seed 15
slices are drawn from one part of the files, taught, and measured on the other part. Every line has
before and after together; the last lines are means over the structures.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from report import report

from MedSAGaSlicerLib.engine.cases import Case, LabelChoice, find_cases
from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.evaluation import evaluate
from MedSAGaSlicerLib.engine.predictor import Predictor, load_predictor
from MedSAGaSlicerLib.engine.teaching.adapters import load_adapter
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import Finished
from MedSAGaSlicerLib.engine.teaching.loop import train
from MedSAGaSlicerLib.engine.teaching.shots import draw_examples
from MedSAGaSlicerLib.engine.teaching.taught import TaughtSegment

LABEL = LabelChoice.parse("any")


@dataclass(frozen=True)
class Structure:
    """A structure, and for how many of its files there is time; `taught` files may be few."""

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
    """A model that encodes no slice twice, whoever asks; for `evaluate`."""

    def __init__(self, model: Predictor | TaughtSegment, cache: EmbeddingCache) -> None:
        self.model = model
        self.cache = cache
        self.predict = model.predict
        if isinstance(model, TaughtSegment):
            self.predict_unprompted = model.predict_unprompted

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        key = slice_key(pixels)
        found = self.cache.get(key, self.model.encoder_key)
        return found or self.cache.keep(key, self.model.encode(pixels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--shots", type=int, default=15)
    parser.add_argument("--empty", type=int, default=3)
    parser.add_argument("--steps", type=int, default=TeachingConfig.steps)
    parser.add_argument("--only", help="a structure's name")
    parser.add_argument(
        "--clicks", action="store_true", help="also clicks to 0.80, which take long"
    )
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    base = load_predictor(options.model, "cpu", options.threads)
    measure_all(base, options)


def measure_all(base: Predictor, options: argparse.Namespace) -> None:
    """All structures over all seeds, then the means."""
    closed, fewer = [], []
    for structure in STRUCTURES:
        if options.only in (None, structure.name):
            rows = [measure(base, structure, seed, options) for seed in range(options.seeds)]
            told = tell(structure.name, rows)
            closed.append(told["gap closed"])
            fewer.append(told.get("clicks saved", 0.0))
    report("teach, part of the gap to 1 closed, mean of structures", [float(np.mean(closed))], "")
    if options.clicks:
        report("teach, clicks to 0.80 saved, mean of structures", [float(np.mean(fewer))], "")


def measure(
    base: Predictor, structure: Structure, seed: int, options: argparse.Namespace
) -> dict[str, float]:
    """One lesson: the figures before and after, on files that it did not see."""
    folder = options.data / structure.folder
    taught_on, tested_on = split(find_cases(folder / "images", folder / "labels"), structure, seed)
    examples = draw_examples(taught_on, LABEL, options.shots, options.empty, seed)
    cache = EmbeddingCache(None, ram_bytes=8 << 30)
    kind = "clicks" if options.clicks else "point"
    with tempfile.TemporaryDirectory() as work:
        output = Path(work) / "taught"
        config = TeachingConfig(seed=seed, steps=options.steps)
        events = train(config, examples, base, output, base_name=options.model, cache=cache)
        (lesson,) = (event.report for event in events if isinstance(event, Finished))
        taught = TaughtSegment(load_adapter(output, base), examples.segments[0])
    before = evaluate(tested_on, LABEL, Remembering(base, cache), kind)
    after = evaluate(tested_on, LABEL, Remembering(taught, cache), kind)
    free = evaluate(tested_on, LABEL, Remembering(taught, cache), "none")
    found = {
        "before": one_click(before),
        "after": one_click(after),
        "unprompted": free["mean_dice"],
        "guard before": lesson["before"] or 0.0,
        "guard after": lesson["after"] or 0.0,
        "accepted": float(bool(lesson["accepted"])),
        "seconds": lesson["seconds"],
    }
    if options.clicks:
        found |= {"clicks before": before["noc80"], "clicks after": after["noc80"]}
    torch.manual_seed(0)
    return found


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


def tell(name: str, rows: list[dict[str, float]]) -> dict[str, float]:
    """Print a structure's figures; the means of what the summary needs."""
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    before, after = columns["before"], columns["after"]
    closed = [(b - a) / (1 - a) for a, b in zip(before, after, strict=True)]
    details = {key: [round(value, 3) for value in values] for key, values in columns.items()}
    report(f"teach {name}, one click after", after, "Dice", **details)
    report(
        f"teach {name}, gap closed", closed, "", before=details["before"], after=details["after"]
    )
    report(f"teach {name}, unprompted on all slices", columns["unprompted"], "Dice")
    told = {"gap closed": float(np.mean(after) - np.mean(before)) / (1 - float(np.mean(before)))}
    for saved in clicks_saved(columns):
        report(f"teach {name}, clicks to 0.80", columns["clicks after"], "clicks", **details)
        told["clicks saved"] = saved
    return told


def clicks_saved(columns: dict[str, list[float]]) -> Iterator[float]:
    """The part of the clicks that is no longer needed, if clicks were counted."""
    if "clicks before" in columns:
        yield 1 - float(np.mean(columns["clicks after"])) / float(np.mean(columns["clicks before"]))


if __name__ == "__main__":
    main()
