"""Whether neighbouring slices help: the method `adapter` with and without its branch over depth.

`--data` as for `accuracy_methods.py`, whose lessons these are: the same slices are taught alone and
among their neighbours, and measured with the same prompts on files that neither saw. A line for
each lesson is added to `--results`; what is there is not measured again. The rates are higher than
usual: small networks that begin with nothing would learn little in so few steps.
"""

import argparse
import itertools
import time
from pathlib import Path

from accuracy_methods import STRUCTURES, Comparison
from lines import RESULTS, append, keyed
from report import line_of

from MedSAGaSlicerLib.engine.predictor import load_predictor

LESSON = "depth, a lesson"
RATES = ("learning_rate", "encoder_rate", "encoder_start")
KEY = ("structure", "seed", "shots", "steps", *RATES, "depth")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--results", type=Path, default=RESULTS / "depth.jsonl")
    parser.add_argument("--depths", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--shots", type=int, default=15)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--share", type=float, default=0.0, help="0: as suits the method")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--encoder-rate", type=float, default=1.0)
    parser.add_argument("--encoder-start", type=float, default=0.3)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no lesson after these")
    options = parser.parse_args()
    base, structure = load_predictor("starter", "cpu", 1), STRUCTURES[0]
    until = time.monotonic() + 60 * options.minutes
    for seed, depth in itertools.product(options.seeds, options.depths):
        known = keyed(options.results, LESSON, KEY)
        rates = (getattr(options, name) for name in RATES)
        name = (structure.name, seed, options.shots, options.steps, *rates, depth)
        if name in known or time.monotonic() > until:
            continue
        changes = {name: getattr(options, name) for name in RATES} | {"depth": depth}
        comparison = Comparison(base, structure, options.shots, seed, options, **changes)
        row = comparison.lesson("adapter")
        # What the method would have by itself.
        usual = {name.replace("_", " ") for name in RATES}
        row = {name: value for name, value in row.items() if name not in usual} | changes
        append(options.results, line_of(LESSON, [row["point after"]], "Dice, one click", **row))


if __name__ == "__main__":
    main()
