"""From one or three prompted slices to the volume: ours beside the simpler ways, same prompts.

`--data` holds 3d/<set> with images/ and labels/. Prompts are tight boxes on axial slices: `one` on
the object's largest, `three` at a sixth, half and five sixths of its slices, `ends` on the first,
the middle and the last. Every strategy gets the same masks on them from the same model. A line has
the volume Dice of a set's cases and the over-propagation: voxels found beyond the object's first
and last slice, as a part of its volume. What the rule was made on (`Set.tuned`, other organs of the
trunk, sarcomas) is left out; but two of its limits, on the change of grey and on how far several
given slices reach, were added after a look at one spinal cord and at the prostate. That prostate's
label ends at its largest slice, where nothing in the image does.

With `--resume FILE`, the output of an earlier run that was stopped, its lines are told again and
only what is missing is measured.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from report import report

from MedSAGaSlicerLib.engine.cases import Case, LabelChoice, find_cases, read_case
from MedSAGaSlicerLib.engine.clicks import tight_box
from MedSAGaSlicerLib.engine.metrics import dice
from MedSAGaSlicerLib.engine.predictor import Predictor, load_predictor
from MedSAGaSlicerLib.engine.prompts import Box, Prompts
from MedSAGaSlicerLib.engine.propagating import Slices, journey, travel
from MedSAGaSlicerLib.engine.propagation.guides import (
    BoxInterpolationGuide,
    Guide,
    PreviousBoxGuide,
    ShapeInterpolationGuide,
)
from MedSAGaSlicerLib.engine.propagation.strategies import spacing_across
from MedSAGaSlicerLib.engine.propagation.tracking import TrackedGuide

Spacing = tuple[float, float, float]
Masks = dict[int, NDArray[np.bool_]]
Boxes = dict[int, Box]

STRATEGIES: dict[str, Callable[[Spacing, Boxes], Guide]] = {
    "tracked": lambda spacing, _: TrackedGuide(spacing),
    "previous box (LiteMedSAM)": lambda _, boxes: PreviousBoxGuide(boxes),
    "box interpolation": lambda _, boxes: BoxInterpolationGuide(boxes),
    "box interpolation, held beyond": lambda _, boxes: BoxInterpolationGuide(boxes, held=True),
    "shape interpolation": lambda _, __: ShapeInterpolationGuide(),
}
OURS = "tracked"
KINDS = ("one", "three", "ends")


@dataclass(frozen=True)
class Set:
    """A data set, its labels that are objects by themselves, and cases that the rule was made on.

    Without labels everything but 0 is one object.
    """

    name: str
    folder: str
    labels: tuple[int, ...] = ()
    tuned: tuple[str, ...] = ()


SETS = (
    Set(
        "hippocampus",
        "3d/hippocampus_mr",
        tuned=tuple(f"hippocampus_{number}" for number in ("003", "077", "127", "219", "290")),
    ),
    Set("spinal cord", "3d/spinal_cord_mr", tuned=("mt1", "t1w")),
    Set("prostate", "3d/prostate_mr"),
    # Spleen, right kidney, liver, stomach, bladder; others of this file were tuned on.
    Set("trunk organs", "3d/abdomen_ct_multiorgan", (1, 2, 5, 6, 21)),
)


@dataclass(frozen=True)
class Score:
    """One object, carried from prompts of one kind by one strategy."""

    dice: float
    over: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--most-cases", type=int, default=12, help="per set, evenly spread; 0: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", help="a set's name")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="output of an earlier run")
    options = parser.parse_args()
    known = earlier(options.resume)
    predictor = load_predictor(options.model, "cpu", options.threads)
    measured = {
        one.name: measure(predictor, one, options, known)
        for one in SETS
        if options.only in (None, one.name)
    }
    if options.only is None:
        summary(measured)


def earlier(path: Path | None) -> dict[str, dict[str, Any]]:
    """The lines of an earlier run, by what they say they measured."""
    if path is None or not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
    return {line["benchmark"]: line for line in lines if "objects" in line}


def measure(
    predictor: Predictor, chosen: Set, options: argparse.Namespace, known: dict[str, Any]
) -> dict[tuple[str, str], list[Score]]:
    """All kinds and strategies on one set, each told in one line."""
    names = {(k, s): f"propagate {chosen.name}, {k}, {s}" for k in KINDS for s in STRATEGIES}
    scores: dict[tuple[str, str], list[Score]] = {what: [] for what in names}
    if all(name in known for name in names.values()):
        for what, name in names.items():
            pairs = zip(known[name]["dice"], known[name]["over"], strict=True)
            scores[what] = [Score(*pair) for pair in pairs]
    else:
        for slices, truth in objects(chosen, options.data, options.most_cases):
            for kind in KINDS:
                anchors = prompted(predictor, slices, truth, kind)
                for strategy in STRATEGIES:
                    score = carried(predictor, slices, truth, anchors, STRATEGIES[strategy])
                    scores[kind, strategy].append(score)
    for what, name in names.items():
        tell(name, scores[what])
    return scores


def tell(name: str, scores: list[Score]) -> None:
    """One line: the mean Dice, and everything by object."""
    report(
        name,
        [float(np.mean([score.dice for score in scores]))],
        "Dice",
        over_mean=round(float(np.mean([score.over for score in scores])), 4),
        objects=len(scores),
        dice=[round(score.dice, 4) for score in scores],
        over=[round(score.over, 4) for score in scores],
    )


def objects(chosen: Set, data: Path, most_cases: int) -> Iterator[tuple[Slices, NDArray[np.bool_]]]:
    """Each object's volume and its truth (k, j, i); one case's slices stay encoded."""
    folder = data / chosen.folder
    cases: tuple[Case, ...] = find_cases(folder / "images", folder / "labels")
    if most_cases and len(cases) > most_cases:
        places = np.linspace(0, len(cases) - 1, most_cases).round().astype(int)
        cases = tuple(cases[place] for place in places)
    for case in cases:
        if case.name in chosen.tuned:
            continue
        slices = None
        for label in chosen.labels or ("any",):
            volume, truth, _ = read_case(case, LabelChoice.parse(str(label)))
            slices = slices or Slices(volume)
            yield slices, truth


def prompted(predictor: Predictor, slices: Slices, truth: NDArray[np.bool_], kind: str) -> Masks:
    """What the model makes of tight boxes on the prompted slices."""
    areas = truth.sum(axis=(1, 2))
    present = np.flatnonzero(areas)
    parts = {"three": (1 / 6, 1 / 2, 5 / 6), "ends": (0.0, 0.5, 1.0)}.get(kind, ())
    chosen = {int(present[round(part * (present.size - 1))]) for part in parts}
    return {
        index: predictor.predict(
            slices.embedding(predictor, ("k", index)), Prompts(box=tight_box(truth[index]))
        ).mask
        for index in sorted(chosen or {int(areas.argmax())})
    }


def carried(
    predictor: Predictor,
    slices: Slices,
    truth: NDArray[np.bool_],
    anchors: Masks,
    make: Callable[[Spacing, Boxes], Guide],
) -> Score:
    """Carry the masks through the volume and compare the result with the truth."""
    found = np.zeros_like(truth)
    for index, mask in anchors.items():
        found[index] = mask
    boxes = {index: tight_box(truth[index]) for index in anchors}
    guide = make(spacing_across(slices.volume.geometry.spacing_mm, "k"), boxes)
    for _, one in travel([journey(slices, "k", anchors, guide, predictor)], slices):
        found[one.index] = one.mask
    inside = truth.any(axis=(1, 2))
    first, last = np.flatnonzero(inside)[[0, -1]]
    beyond = int(found[:first].sum()) + int(found[last + 1 :].sum())
    return Score(dice(found, truth), beyond / int(truth.sum()))


def summary(measured: dict[str, dict[tuple[str, str], list[Score]]]) -> None:
    """Means over the sets, by kind of prompts and strategy."""
    for kind in KINDS:
        for strategy in STRATEGIES:
            scores = [by_kind[kind, strategy] for by_kind in measured.values()]
            means = [float(np.mean([score.dice for score in one])) for one in scores]
            over = [float(np.mean([score.over for score in one])) for one in scores]
            every = [score.over for one in scores for score in one]
            report(
                f"propagate mean of sets, {kind}, {strategy}",
                [float(np.mean(means))],
                "Dice",
                sets=dict(zip(measured, (round(mean, 3) for mean in means), strict=True)),
                over_sets=dict(zip(measured, (round(part, 3) for part in over), strict=True)),
                over_mean_of_objects=round(float(np.mean(every)), 4),
                over_median_of_objects=round(float(np.median(every)), 4),
            )


if __name__ == "__main__":
    main()
