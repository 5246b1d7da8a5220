"""A step of the method `late` beside one of `full`, in one run: what the trunk's cache brings.

Random weights, one object per step, one prompt, one thread; seconds of the processor, on a GPU of
the clock. Preparing, which `late` pays once per view and then never again, is told beside.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from bench_teach import examples, fill
from clocks import wall
from report import report

from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.examples import ExampleSet
from MedSAGaSlicerLib.engine.families import FAMILIES, build
from MedSAGaSlicerLib.engine.predictor import Predictor
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import Prepared, Progress
from MedSAGaSlicerLib.engine.teaching.loop import train


@dataclass
class Course:
    """Seconds of a lesson's parts: preparing all slices, and each step."""

    preparing: float
    steps: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", default="sam_vit_b", choices=FAMILIES)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--slices", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    base = Predictor(build(options.family), options.device)
    late, full = (course(base, method, options) for method in ("late", "full"))
    report(
        f"late against full, {options.family}, a step",
        [min(full.steps) / min(late.steps)],
        "times shorter",
        late_seconds=[round(seconds, 3) for seconds in late.steps],
        full_seconds=[round(seconds, 3) for seconds in full.steps],
        late_preparing=round(late.preparing, 2),
        slices=options.slices,
        goal=3,
    )


def course(base: Predictor, method: str, options: argparse.Namespace) -> Course:
    """A lesson of some steps."""
    taught = ExampleSet(("disc",), examples().examples[: options.slices])
    cache = EmbeddingCache(None)
    if method == "full" and base.model.logits_size == 256:
        # Its locators' embeddings are no part of its step.
        fill(cache, taught, base, views=1)
    config = TeachingConfig(
        method=method,
        steps=options.steps,
        batch=1,
        views=1,
        rounds=1,
        head_start=0.0,
        encoder_start=1e-9,
        save_every=options.steps,
    )
    clock = time.process_time if options.device == "cpu" else wall(options.device)
    found, since = Course(0.0, []), clock()
    with tempfile.TemporaryDirectory() as work:
        output = Path(work) / "taught"
        for event in train(config, taught, base, output, base_name="", cache=cache):
            now = clock()
            if isinstance(event, Prepared):
                found.preparing += now - since
            elif isinstance(event, Progress):
                found.steps.append(now - since)
            since = clock()
    return found


if __name__ == "__main__":
    main()
