"""Encoding in reduced precision: how much faster than the official code, and what it costs in Dice.

ViT-B at 1024 pixels by turns in one process: segment-anything's own modules, ours exact, ours in
bfloat16; random weights from one seed. With `--data` (as of accuracy_starter.py) also the starter's
Dice on sets that it never learned from, exact and reduced on the same slices and prompts.
"""

import argparse
import copy
from pathlib import Path

import numpy as np
import torch
from accuracy_starter import HEADLINE, Set
from bench_encode import SIDE, Official
from clocks import by_turns, wall
from report import report

from MedSAGaSlicerLib.engine.cases import LabelChoice, find_cases
from MedSAGaSlicerLib.engine.evaluation import evaluate
from MedSAGaSlicerLib.engine.families import build
from MedSAGaSlicerLib.engine.precision import choose_precision
from MedSAGaSlicerLib.engine.predictor import Predictor, load_predictor

REDUCED = "bfloat16"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="0: no times")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--family", default="sam_vit_b")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--most-cases", type=int, default=4, help="per set, evenly spread")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.rounds:
        speed(options)
    if options.data:
        differences = [value for chosen in HEADLINE for value in cost(chosen, options)]
        report("starter Dice lost to bfloat16, largest", [max(map(abs, differences))], "Dice")


def speed(options: argparse.Namespace) -> None:
    """Seconds of an encode in each way, and how far the embeddings are apart."""
    torch.manual_seed(0)
    model = build(options.family)
    for name, weights in model.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            torch.nn.init.normal_(weights, std=0.1)
    pixels = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    official = Official(copy.deepcopy(model), "cpu")
    exact = Predictor(model)
    reduced = Predictor(model, precision=REDUCED)
    times = by_turns(
        options.rounds,
        1,
        wall("cpu"),
        lambda: official.encode(pixels),
        lambda: exact.encode(pixels),
        lambda: reduced.encode(pixels),
    )
    right = official.embedding()
    ways = (("float32", exact, times[1]), (REDUCED, reduced, times[2]))
    for name, predictor, values in ways:
        apart = np.linalg.norm(predictor.encode(pixels).features - right) / np.linalg.norm(right)
        report(
            f"{options.family} encode, {name}",
            values,
            "s",
            reference=float(np.median(times[0])),
            reference_is="segment-anything's own code, float32",
            official_over_ours=sorted(
                round(a / b, 3) for a, b in zip(times[0], values, strict=True)
            ),
            relative_error=float(apart),
            threads=options.threads,
            auto=choose_precision("auto", torch.device("cpu")),
        )


def cost(chosen: Set, options: argparse.Namespace) -> list[float]:
    """Print a set's Dice in both precisions; how much is lost with a box and with three clicks."""
    folder = options.data / chosen.folder
    cases = find_cases(folder / "images", folder / "labels")
    if len(cases) > options.most_cases:
        places = np.linspace(0, len(cases) - 1, options.most_cases).round().astype(int)
        cases = tuple(cases[place] for place in places)
    predictors = [
        load_predictor("starter", "cpu", options.threads, precision=precision)
        for precision in ("float32", REDUCED)
    ]
    lost = []
    for prompts in ("box", "clicks"):
        exact, reduced = (
            evaluate(cases, LabelChoice.parse(chosen.label), predictor, prompts)["mean_dice"]
            for predictor in predictors
        )
        lost.append(exact - reduced)
        report(
            f"starter Dice in {REDUCED}, {'a box' if prompts == 'box' else 'three clicks'}, "
            f"{chosen.folder}",
            [reduced],
            "Dice",
            reference=exact,
            reference_is="the same in float32",
            cases=len(cases),
        )
    return lost


if __name__ == "__main__":
    main()
