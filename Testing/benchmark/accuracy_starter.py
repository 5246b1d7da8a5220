"""Accuracy of the starter by data set: boxes and clicks, beside the ellipse drawn in the box.

`--data` holds 2d/<set> and 3d/<set>, each with images/ and labels/. The starter has learned from
TAUGHT and never from UNSEEN. The headline is the mean over the unseen sets with manual labels of
compact objects; vessels and membranes, and labels that are another model's output, stand apart.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from report import report

from MedSAGaSlicerLib.engine.cases import Case, LabelChoice, find_cases, read_case
from MedSAGaSlicerLib.engine.clicks import tight_box
from MedSAGaSlicerLib.engine.evaluation import SMALLEST, evaluate
from MedSAGaSlicerLib.engine.metrics import dice
from MedSAGaSlicerLib.engine.predictor import Predictor, load_predictor


@dataclass(frozen=True)
class Set:
    """A data set and the part it plays."""

    folder: str
    label: str
    part: str


HEADLINE = (
    Set("3d/hippocampus_mr", "any", "unseen"),
    Set("3d/spinal_cord_mr", "any", "unseen"),
    Set("3d/prostate_mr", "any", "unseen"),
    Set("2d/breast_ultrasound", "any", "unseen"),
    Set("2d/chest_xray_lungs", "any", "unseen"),
)
APART = (
    Set("2d/em_neurites", "any", "unseen, membranes"),
    Set("2d/retina_vessels", "any", "unseen, vessels"),
    Set("3d/abdomen_ct_multiorgan", "5", "unseen, model-made labels"),
    Set("3d/abdomen_mr_multiorgan", "5", "unseen, model-made labels"),
)
TAUGHT = (
    Set("2d/polyp_endoscopy", "any", "taught"),
    Set("3d/brain_tumour_mr", "any", "taught"),
    Set("3d/sarcoma_ct", "any", "taught"),
    Set("3d/sarcoma_mr_t1", "any", "taught"),
    Set("3d/sarcoma_pet", "any", "taught"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--most-cases", type=int, default=20, help="per set, evenly spread; 0: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--headline-only", action="store_true")
    options = parser.parse_args()
    predictor = load_predictor(options.model, "cpu", options.threads)
    measure(predictor, options.data, options.most_cases, headline_only=options.headline_only)


def measure(predictor: Predictor, data: Path, most_cases: int, *, headline_only: bool) -> None:
    """Print the figures of each set, then the headline's means."""
    headline: list[dict[str, float]] = []
    for chosen in HEADLINE if headline_only else (*HEADLINE, *APART, *TAUGHT):
        cases = find_cases(data / chosen.folder / "images", data / chosen.folder / "labels")
        if most_cases and len(cases) > most_cases:
            places = np.linspace(0, len(cases) - 1, most_cases).round().astype(int)
            cases = tuple(cases[place] for place in places)
        figures = measure_set(predictor, cases, LabelChoice.parse(chosen.label))
        details = {name: round(value, 3) for name, value in figures.items() if name != "box"}
        report(
            f"starter box Dice, {chosen.folder}",
            [figures["box"]],
            "Dice",
            part=chosen.part,
            cases=len(cases),
            **details,
        )
        if chosen in HEADLINE:
            headline.append(figures)
    for name in headline[0]:
        values = [figures[name] for figures in headline]
        mean = float(np.mean(values))
        report(f"starter headline {name}", [mean], "", sets=[round(v, 3) for v in values])


def measure_set(
    predictor: Predictor, cases: tuple[Case, ...], choice: LabelChoice
) -> dict[str, float]:
    """Mean slice Dice after a box and after 1, 3, 5 clicks, clicks needed, and the ellipse's."""
    box = evaluate(cases, choice, predictor, "box")
    clicks = evaluate(cases, choice, predictor, "clicks")
    return {
        "box": box["mean_dice"],
        "ellipse": ellipse_dice(cases, choice),
        "click_1": clicks["dice_at"]["1"],
        "clicks_3": clicks["dice_at"]["3"],
        "clicks_5": clicks["dice_at"]["5"],
        "noc80": clicks["noc80"],
    }


def ellipse_dice(cases: tuple[Case, ...], choice: LabelChoice) -> float:
    """Mean slice Dice of the ellipse that fills the tight box: what needs no model."""
    means = []
    for case in cases:
        _, truth, _ = read_case(case, choice)
        scores = [dice(ellipse(mask), mask) for mask in truth if mask.sum() >= SMALLEST]
        if scores:
            means.append(np.mean(scores))
    return float(np.mean(means))


def ellipse(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The ellipse in the tight box of a mask, (rows, columns) bool."""
    left, top, right, bottom = tight_box(mask)
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    across = (columns - (left + right) / 2) / ((right - left + 1) / 2)
    down = (rows - (top + bottom) / 2) / ((bottom - top + 1) / 2)
    return np.asarray(across**2 + down**2 <= 1)


if __name__ == "__main__":
    main()
