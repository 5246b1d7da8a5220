"""Seconds per slice of propagating, beside encoding and decoding the same slices and no more.

One made CT, one organ, the starter on one thread; both are done by turns in one process, slice by
slice on fresh embeddings. The goal is a ratio of 1.3 at most. Processor time stands beside, which
other programs disturb less.
"""

import argparse
import time

import numpy as np
import torch
from clocks import Clock, wall
from report import report

from MedSAGaSlicerLib.engine.clicks import tight_box
from MedSAGaSlicerLib.engine.images import Volume
from MedSAGaSlicerLib.engine.phantom import make_phantom
from MedSAGaSlicerLib.engine.predictor import Predictor, load_predictor
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.propagating import Slices, journey, travel
from MedSAGaSlicerLib.engine.propagation.names import TRACKED
from MedSAGaSlicerLib.engine.propagation.strategies import guide_for, spacing_across


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--organ", default="liver")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    predictor = load_predictor(options.model, options.device)
    phantom = make_phantom(0)
    volume = Volume(phantom.ct_kji, phantom.geometry, is_2d=False, path=None)
    truth = phantom.organs[options.organ]
    # Torch is slower the first few times.
    bare_slices(predictor, volume, truth, 3, time.perf_counter)
    for name, clock in (("seconds", wall(options.device)), ("processor time", time.process_time)):
        ours, bare = [], []
        for _ in range(options.rounds):
            seconds, count = propagated(predictor, volume, truth, clock)
            ours.append(seconds / count)
            bare.append(bare_slices(predictor, volume, truth, count, clock) / count)
        ratios = [a / b for a, b in zip(ours, bare, strict=True)]
        told = {"model": options.model, "slices": count}
        told |= {"reference": float(np.median(bare)), "reference_is": "bare encode and decode"}
        report(f"propagate, {name} per slice", ours, "s", **told)
        report(
            f"propagate, {name} per slice over bare encode and decode",
            ratios,
            "",
            goal=1.3,
            bare_median=float(np.median(bare)),
        )


def propagated(
    predictor: Predictor, volume: Volume, truth: np.ndarray, clock: Clock
) -> tuple[float, int]:
    """Seconds for a whole run from the largest slice, and the slices that it looked at."""
    slices, index = Slices(volume), int(truth.sum(axis=(1, 2)).argmax())
    guide = guide_for(TRACKED, spacing_across(volume.geometry.spacing_mm, "k"))
    trip = journey(slices, "k", {index: truth[index]}, guide, predictor)
    start = clock()
    found = sum(1 for _ in travel([trip], slices))
    # Each way one slice more was looked at, unless the volume ended there.
    return clock() - start, max(1, found + len(ends(volume, trip.course.passed)))


def ends(volume: Volume, passed: list[int]) -> list[int]:
    """The slices at which the run was given up: one beyond what was found on each side."""
    inner = sorted(set(passed))
    first = [index for index in inner if index + 1 not in inner and index + 1 < len_k(volume)]
    last = [index for index in inner if index - 1 not in inner and index > 0]
    return sorted({*first, *last})


def len_k(volume: Volume) -> int:
    """Slices along k."""
    return volume.geometry.shape_ijk[2]


def bare_slices(
    predictor: Predictor, volume: Volume, truth: np.ndarray, count: int, clock: Clock
) -> float:
    """Seconds to read, encode and decode as many slices, with one box each."""
    slices, present = Slices(volume), np.flatnonzero(truth.any(axis=(1, 2)))
    start = clock()
    for number in range(count):
        index = int(present[number % present.size])
        embedding = predictor.encode(slices.pixels(("k", index)))
        predictor.predict(embedding, Prompts(box=tight_box(truth[index])))
    return clock() - start


if __name__ == "__main__":
    main()
