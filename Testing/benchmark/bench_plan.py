"""What the planner says beside what is measured: peak bytes, and seconds of a step.

Each lesson runs in its own process, with random weights and made-up embeddings in the cache. On the
CPU seconds are of the processor, with one thread; on a GPU (`--device cuda`) they are of the clock,
and bytes are those of torch's allocator.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from bench_teach import examples, fill
from report import report

from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.examples import ExampleSet
from MedSAGaSlicerLib.engine.families import FAMILIES, build
from MedSAGaSlicerLib.engine.predictor import Predictor
from MedSAGaSlicerLib.engine.teaching.config import METHODS, TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import Progress
from MedSAGaSlicerLib.engine.teaching.loop import train
from MedSAGaSlicerLib.engine.teaching.machine_speed import machine_speed
from MedSAGaSlicerLib.engine.teaching.memory_plan import circumstances, plan_memory
from MedSAGaSlicerLib.engine.teaching.model_costs import cost_of
from MedSAGaSlicerLib.engine.teaching.peak_memory import peak_bytes
from MedSAGaSlicerLib.engine.teaching.planning import settled
from MedSAGaSlicerLib.engine.teaching.time_plan import Speed, plan_time

SLICES = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", nargs="+", default=["starter"], choices=FAMILIES)
    parser.add_argument("--method", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=3, help="that change the model")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--alone", action="store_true", help="one lesson, in this process")
    options = parser.parse_args()
    if options.alone:
        measure(options)
        return
    for family in options.family:
        for method in options.method:
            command = [sys.executable, __file__, "--alone", "--family", family, "--method", method]
            command += ["--device", options.device, "--steps", str(options.steps)]
            subprocess.run([*command, "--rounds", str(options.rounds)], check=True)


def measure(options: argparse.Namespace) -> None:
    """One lesson, and what was predicted of it."""
    torch.set_num_threads(1)
    family, method = options.family[0], options.method[0]
    config = TeachingConfig(
        method=method, steps=options.steps + 1, rounds=options.rounds, views=1, head_start=0.0
    )
    config = replace(
        config, head_start=1.01 / config.steps, encoder_start=1e-9, save_every=config.steps
    )
    speed = quickest(options.device)
    base = Predictor(build(family), options.device)
    taught = ExampleSet(("disc",), examples().examples[:SLICES])
    cache = EmbeddingCache(None)
    if base.model.logits_size == 256 and method != "late":
        fill(cache, taught, base, views=1)
    config = settled(config, base.model)
    seconds, since = [], 0.0
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    with tempfile.TemporaryDirectory() as work:
        for event in train(config, taught, base, Path(work) / "taught", base_name="", cache=cache):
            if isinstance(event, Progress):
                if event.step > config.head_steps:
                    seconds.append(clock() - since)
                since = clock()
    given = circumstances(config, SLICES, options.device)
    cost = cost_of(family)
    plan, times = plan_memory(cost, method, given), plan_time(cost, method, given, speed)
    peak, step = peak_bytes() or 0, sorted(seconds)[len(seconds) // 2]
    report(
        f"plan {family} {method}, peak bytes predicted / measured",
        [plan.total / peak],
        "",
        predicted=plan.total,
        measured=peak,
        parts={k: round(v / 2**20) for k, v in vars(plan).items()},
        goal="0.75 to 1.25 above 1 GiB",
    )
    report(
        f"plan {family} {method}, step seconds predicted / measured",
        [times.step / step],
        "",
        predicted=round(times.step, 4),
        measured=round(step, 4),
        all=json.dumps([round(s, 3) for s in seconds]),
        gigaflops=round(speed.operations / 1e9, 1),
        goal="0.5 to 2",
    )


def quickest(device: str) -> Speed:
    """The machine's speed when nothing else disturbed the measurement much."""
    found = [machine_speed(device) for _ in range(5)]
    return Speed(max(s.operations for s in found), min(s.overhead for s in found))


if __name__ == "__main__":
    main()
