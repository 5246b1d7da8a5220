"""How many corrections the suggested order of reviewing saves, beside a random one.

`--data` holds 3d/<set>, each with images/ and labels/. For each structure, volume and seed some
slices are confirmed, taught, and the volume is finished by that. Then slices are corrected one
after the other (a corrected slice is right), and it is counted how many it takes until the mean
Dice of all slices that were not confirmed at first has reached a goal: a part of the way from where
it began to 1. The random order is the mean of many. With `--reteach N` the model is taught again
after every N corrections, in both orders, and the suggestions are renewed.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from report import report

from MedSAGaSlicerLib.engine.cases import LabelChoice, find_cases, read_case
from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.examples import Example, ExampleSet
from MedSAGaSlicerLib.engine.finishing.evidence import Finding
from MedSAGaSlicerLib.engine.finishing.finisher import Opinion
from MedSAGaSlicerLib.engine.finishing.settings import FinishSettings
from MedSAGaSlicerLib.engine.finishing.volumes import finish_volume
from MedSAGaSlicerLib.engine.images import Volume
from MedSAGaSlicerLib.engine.metrics import dice
from MedSAGaSlicerLib.engine.predictor import Predictor, load_predictor
from MedSAGaSlicerLib.engine.review import Reviewed, suggest
from MedSAGaSlicerLib.engine.segmenting import normalised_slice, volume_normalisation
from MedSAGaSlicerLib.engine.teaching.adapters import load_adapter
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.loop import train
from MedSAGaSlicerLib.engine.teaching.taught import TaughtPredictor

GOALS = (0.25, 0.5, 0.75)
_RANDOM_ORDERS = 200
_AT_MOST = 0.7


@dataclass(frozen=True)
class Structure:
    """A label of a data set, and in how many of its volumes it is reviewed."""

    name: str
    folder: str
    label: str
    volumes: int


STRUCTURES = (
    Structure("hippocampus", "3d/hippocampus_mr", "any", 2),
    Structure("prostate", "3d/prostate_mr", "any", 1),
    Structure("liver", "3d/abdomen_ct_multiorgan", "5", 1),
    Structure("spleen", "3d/abdomen_ct_multiorgan", "1", 1),
    Structure("brain tumour", "3d/brain_tumour_mr", "any", 1),
)


@dataclass
class Patient:
    """A volume with its truth, and what is known of it so far."""

    volume: Volume
    truth: NDArray[np.bool_]
    base: Predictor
    config: TeachingConfig
    cache: EmbeddingCache = field(default_factory=lambda: EmbeddingCache(None, ram_bytes=4 << 30))

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        """No slice twice, whoever asks."""
        key = slice_key(pixels)
        known = self.cache.get(key, self.base.encoder_key)
        return known or self.cache.keep(key, self.base.encode(pixels))

    def finished(self, confirmed: Sequence[int]) -> tuple[list[float], tuple[Opinion, ...]]:
        """Dice of each slice, and the opinions, after teaching with these slices."""
        normalisation = volume_normalisation(self.volume)
        spacing = self.volume.geometry.spacing_mm
        examples = tuple(
            Example(
                "made",
                "k",
                index,
                normalised_slice(self.volume.array_kji, normalisation, "k", index),
                {"it": self.truth[index]},
                normalisation,
                (spacing[1], spacing[0]),
                spacing[2],
            )
            for index in sorted(confirmed)
        )
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work) / "taught"
            lesson = ExampleSet(("it",), examples)
            list(train(self.config, lesson, self.base, folder, base_name="", cache=self.cache))
            finder = _Finder(self, load_adapter(folder, self.base))
        found = finish_volume(self.volume, finder, ("it",), FinishSettings())
        scores = [dice(a > 0, b) for a, b in zip(found.labels_kji, self.truth, strict=True)]
        return scores, found.opinions


@dataclass(frozen=True)
class _Finder:
    patient: Patient
    taught: TaughtPredictor

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        return self.patient.encode(pixels)

    def find(self, embedding: Embedding, segments: Sequence[str]) -> Finding:
        return self.taught.find(embedding, segments)


Order = Callable[[Sequence[int], Sequence[int], tuple[Opinion, ...]], list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--start", type=int, default=8, help="slices confirmed at first")
    parser.add_argument("--steps", type=int, default=TeachingConfig.steps)
    parser.add_argument("--reteach", type=int, default=0, metavar="N")
    parser.add_argument("--only", help="a structure's name")
    parser.add_argument("--volumes", type=int, default=2, help="of a structure, at most")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    base = load_predictor(options.model, "cpu", options.threads)
    rows = []
    for structure in STRUCTURES:
        if options.only in (None, structure.name):
            rows += measure(base, structure, options)
    for goal in GOALS:
        ratios = [row[goal] for row in rows]
        report(
            f"review, corrections beside random order, goal {goal:.0%} of the way, all",
            [float(np.mean(ratios))],
            "times",
            goal=_AT_MOST,
            reteach=options.reteach,
        )


def measure(
    base: Predictor, structure: Structure, options: argparse.Namespace
) -> list[dict[float, float]]:
    """The ratio of corrections by goal, for each volume and seed."""
    folder, rows = options.data / structure.folder, []
    choice = LabelChoice.parse(structure.label)
    count = min(structure.volumes, options.volumes)
    cases = find_cases(folder / "images", folder / "labels")[:count]
    for case in cases:
        volume, truth, _ = read_case(case, choice)
        for seed in options.seeds:
            config = TeachingConfig(seed=seed, steps=options.steps)
            patient = Patient(volume, truth, base, config)
            row = compare(patient, seed, options)
            rows.append(row["ratio"])
            report(
                f"review {structure.name}, corrections beside random order",
                [row["ratio"][0.5]],
                "times",
                goal=_AT_MOST,
                case=case.name,
                seed=seed,
                slices=len(truth),
                began=round(row["began"][0], 3),
                **{f"at {goal:.0%}": round(row["ratio"][goal], 2) for goal in GOALS},
                best_possible={f"{g:.0%}": round(row["best"][g], 2) for g in GOALS},
            )
    return rows


def compare(patient: Patient, seed: int, options: argparse.Namespace) -> dict[str, dict]:
    """Corrections in the suggested order over those in random order, by goal."""
    rng = np.random.default_rng([seed, 11])
    confirmed = first_slices(patient.truth, options.start, rng)
    scores, opinions = patient.finished(confirmed)
    rest = [index for index in range(len(scores)) if index not in confirmed]
    began = float(np.mean([scores[index] for index in rest]))
    if options.reteach:
        suggested = curve_taught(patient, confirmed, by_suggestion, options.reteach)
        at_random = curve_taught(patient, confirmed, in_order_of(rng), options.reteach)
    else:
        suggested = curve(scores, rest, by_suggestion(rest, confirmed, opinions))
        orders = [rng.permutation(rest).tolist() for _ in range(_RANDOM_ORDERS)]
        at_random = np.mean([curve(scores, rest, order) for order in orders], axis=0)
    best = curve(scores, rest, sorted(rest, key=lambda index: scores[index]))
    ratio, least = {}, {}
    for goal in GOALS:
        wanted = began + goal * (1 - began)
        random = needed(at_random, wanted)
        ratio[goal] = needed(suggested, wanted) / random
        least[goal] = needed(best, wanted) / random
    return {"ratio": ratio, "best": least, "began": {0: began}}


def first_slices(truth: NDArray[np.bool_], count: int, rng: np.random.Generator) -> list[int]:
    """Slices that a person may begin with: two without the object, the others spread over it."""
    there = np.flatnonzero(truth.any(axis=(1, 2)))
    empty = np.setdiff1d(np.arange(len(truth)), there)
    chosen = rng.choice(empty, min(2, len(empty)), replace=False).tolist()
    parts = np.array_split(there, count - len(chosen))
    return sorted(chosen + [int(rng.choice(part)) for part in parts if len(part)])


def by_suggestion(
    rest: Sequence[int], confirmed: Sequence[int], opinions: tuple[Opinion, ...]
) -> list[int]:
    """All the rest in the suggested order."""
    by_index = {one.index: one for one in opinions}
    look = {n: Reviewed(n, one.uncertainty, one.pooled) for n, one in by_index.items()}
    chosen = suggest([look[n] for n in rest], [look[n] for n in confirmed], len(rest))
    return [one.index for one in chosen]


def in_order_of(rng: np.random.Generator) -> Order:
    """All the rest in a random order."""

    def order(rest: Sequence[int], _known: Sequence[int], _opinions: object) -> list[int]:
        return rng.permutation(rest).tolist()

    return order


def curve(
    scores: Sequence[float], rest: Sequence[int], order: Sequence[int]
) -> NDArray[np.float64]:
    """Mean Dice of the rest after 0, 1, 2, ... corrections."""
    gains = [0.0, *(1 - scores[index] for index in order)]
    return float(np.mean([scores[index] for index in rest])) + np.cumsum(gains) / len(rest)


def curve_taught(
    patient: Patient, confirmed: Sequence[int], order: Order, every: int
) -> NDArray[np.float64]:
    """As `curve`, taught again after every so many corrections."""
    known, values = list(confirmed), []
    at_first = [index for index in range(len(patient.truth)) if index not in confirmed]
    while len(known) < len(patient.truth):
        scores, opinions = patient.finished(known)
        now = {n: 1.0 if n in known else scores[n] for n in at_first}
        rest = [index for index in at_first if index not in known]
        for index in order(rest, known, opinions)[:every]:
            values.append(float(np.mean(list(now.values()))))
            now[index] = 1.0
            known.append(index)
    return np.array([*values, 1.0])


def needed(values: NDArray[np.float64], goal: float) -> float:
    """Corrections until a goal is reached, in parts of one."""
    reached = int(np.argmax(values >= goal - 1e-9))
    if reached == 0:
        return 0.0
    before, after = values[reached - 1], values[reached]
    return reached - 1 + float((goal - before) / max(after - before, 1e-9))


if __name__ == "__main__":
    main()
