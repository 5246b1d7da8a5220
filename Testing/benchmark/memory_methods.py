"""Memory that teaching takes at a model's own input size, batch 1: as published, and ours.

Every method runs in a process of its own, two updates long, since the moments of the first lie
beside the activations of the second. What counts is the peak above the weights: of the process on
the CPU, of torch's allocator on CUDA. As published means segment-anything's modules as they are:

    inference          one picture encoded and one click decoded, no gradients
    full-published     every weight learns, torch's AdamW
    lora-published     SAMed: rank 4 on queries and values of all blocks, decoder in full
    galore-published   every weight learns, galore-torch's AdamW and projector, rank 4 on the
                       encoder's linear layers (its only release cannot project convolutions)

`ours-inference` is the product's predictor, `galore`, `lora`, `full`, `late`, `adapter` and
`decoder` its methods, learned prompts included, with what the planner predicts for the same. The
floor is what is still held when the updates are over. The same precision, prompt and loss for all;
memory is given back to the system by all alike (`--malloc`). Results are appended to a file, and
what it has already is not measured again. ViT-B takes long; the other models are quick:

    memory_methods.py --output FILE
    memory_methods.py --family starter lite_medsam sam_med2d_b mobile_sam --output FILE
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from memory_published import PUBLISHED, published
from report import commit, machine, versions

from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.families import FAMILIES, SamModel, build
from MedSAGaSlicerLib.engine.predictor import Predictor
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.teaching.config import METHODS, TeachingConfig
from MedSAGaSlicerLib.engine.teaching.encoder_method import EncoderMethod
from MedSAGaSlicerLib.engine.teaching.memory_plan import circumstances, plan_memory
from MedSAGaSlicerLib.engine.teaching.method import Method
from MedSAGaSlicerLib.engine.teaching.model_costs import cost_of
from MedSAGaSlicerLib.engine.teaching.planning import make_method, settled
from MedSAGaSlicerLib.engine.teaching.rounds import Rounds
from MedSAGaSlicerLib.engine.teaching.samples import SampleMaker
from MedSAGaSlicerLib.engine.teaching.views import View

OURS = ("ours-inference", *METHODS)
MALLOC = {
    "system": {},
    "trimmed": {
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": "131072",
        "MALLOC_TRIM_THRESHOLD_": "131072",
    },
}
EVERY = (*PUBLISHED, *OURS)
GIB = 2**30
TARGETS = (("lora-published", 0.34), ("inference", 1.15))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", choices=("all", *EVERY), default=["all"])
    parser.add_argument("--family", nargs="+", default=["sam_vit_b"], choices=FAMILIES)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--half", action="store_true", help="autocast, on CUDA only")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--malloc", choices=[*MALLOC], default="trimmed")
    parser.add_argument("--output", type=Path, help="JSON lines; read first, then appended to")
    parser.add_argument("--child", help="for this script's own use")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.child:
        options.family = options.family[0]
        print(json.dumps(measured(options.child, options)))
        return
    for family in options.family:
        measure_family(argparse.Namespace(**{**vars(options), "family": family}))


def measure_family(options: argparse.Namespace) -> None:
    """What is not known yet of one model, and how ours stands to what was published."""
    lines = known(options)
    wanted = EVERY if "all" in options.methods else options.methods
    for method in wanted:
        if method not in lines and possible(method, options.family):
            lines[method] = measured_apart(method, options)
            if options.output:
                with options.output.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(lines[method]) + "\n")
        if method in lines:
            print(json.dumps(lines[method]), flush=True)
    compare(lines)


def possible(method: str, family: str) -> bool:
    """SAMed's change is one of plain transformers alone."""
    return method != "lora-published" or family not in ("mobile_sam", "lite_medsam")


def setting(options: argparse.Namespace) -> dict[str, object]:
    """What has to be equal for two figures to be compared."""
    names = ("family", "device", "half", "steps", "malloc")
    return {name: getattr(options, name) for name in names}


def known(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Figures of an earlier run with the same setting, by method."""
    if options.output is None or not options.output.is_file():
        return {}
    lines = [json.loads(line) for line in options.output.read_text().splitlines()]
    wanted = setting(options)
    return {line["method"]: line for line in lines if line["setting"] == wanted}


def measured_apart(method: str, options: argparse.Namespace) -> dict[str, object]:
    """One method in a fresh process."""
    command = [sys.executable, __file__, "--child", method, "--malloc", options.malloc]
    for name in ("family", "device", "steps", "threads"):
        command += [f"--{name}", str(getattr(options, name))]
    command += ["--half"] * options.half
    environment = {**os.environ, **MALLOC[options.malloc]}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        "benchmark": "memory over the weights",
        "method": method,
        "value": round(found.pop("peak") / GIB, 3),
        "unit": "GiB",
        **found,
        "setting": setting(options),
        "threads": options.threads,
        "machine": machine(),
        "versions": versions(),
        "commit": commit(),
    }


def compare(lines: dict[str, dict[str, object]]) -> None:
    """Say how ours stands to what was published."""
    for reference, most in TARGETS:
        if "galore" in lines and reference in lines:
            ratio = float(lines["galore"]["value"]) / float(lines[reference]["value"])
            verdict = "reached" if ratio <= most else "missed"
            print(f"# galore / {reference}: {ratio:.3f}, aim {most} {verdict}", file=sys.stderr)
    for galore, lora in (("galore-published", "lora-published"), ("galore", "lora")):
        if galore in lines and lora in lines:
            ratio = float(lines[galore]["value"]) / float(lines[lora]["value"])
            told = f"{galore} takes {ratio:.0%} of what {lora} takes; MedSAGa says 34 % (66 % less)"
            print(f"# {told}", file=sys.stderr)


def measured(name: str, options: argparse.Namespace) -> dict[str, object]:
    """Run a method in this process."""
    torch.manual_seed(0)
    device = torch.device(options.device)
    model = build(options.family).to(device)
    side = model.input_size
    pixels = np.random.default_rng(1).integers(0, 256, (side, side), np.uint8)
    make = ours if name in OURS else published
    gc.collect()
    start = held(device)
    reset(device)
    step = make(name, model, pixels, options)
    seconds = []
    for _ in range(options.steps):
        begin = time.perf_counter()
        step()
        seconds.append(round(time.perf_counter() - begin, 2))
    most = peak(device) - start
    gc.collect()
    found: dict[str, object] = {"peak": most, "before": start, "side": side, "seconds": seconds}
    floor = round((held(device) - start) / GIB, 3)
    plan = {"planned": round((planned(name, options) - start) / GIB, 3)} if name in METHODS else {}
    return {**found, "weights": weight_bytes(options.family), "floor": floor, **plan}


def weight_bytes(family: str) -> int:
    """What the model itself takes."""
    cost = cost_of(family)
    return 4 * (cost.encoder_parameters + cost.decoder_parameters)


def planned(method: str, options: argparse.Namespace) -> int:
    """What the planner predicts for the process, or for the GPU, with one slice and no cache."""
    model = build(options.family, "meta")
    config = settled(replace(TeachingConfig(), method=method, batch=1, views=1, guesses=1), model)
    plan = plan_memory(cost_of(options.family), method, circumstances(config, 1, options.device))
    return plan.total - plan.cached


def held(device: torch.device) -> int:
    """Bytes in use now."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def reset(device: torch.device) -> None:
    """Forget the peak so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak(device: torch.device) -> int:
    """The most bytes in use since then."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError


def ours(
    name: str, model: SamModel, pixels: np.ndarray, options: argparse.Namespace
) -> Callable[[], None]:
    """One update as a lesson makes it: a click and a correction."""
    base = Predictor(model, options.device)
    if name == "ours-inference":
        predictor = Predictor(model, options.device)
        click = Prompts(((100.0, 100.0),), (True,))
        return lambda: predictor.predict(predictor.encode(pixels), click)
    config = settled(replace(TeachingConfig(), method=name, head_start=0.0), model)
    method: Method = make_method(config, base, ("block",), EmbeddingCache(None), 1)
    if not options.half and isinstance(method, EncoderMethod):
        method._half = False
        method.scaler.scale = 1.0
    side = len(pixels)
    mask = np.zeros(pixels.shape, bool)
    mask[side // 4 : side // 2, side // 4 : side // 2] = True
    sample = SampleMaker(model)(0, View(pixels, {"block": mask}, {}))
    method.prepare(sample)
    rounds = Rounds(method, ("block",))
    rng = np.random.default_rng(0)

    def step() -> None:
        rounds.step([sample], ["block"], rng, 2)
        method.update(1.0)

    return step


if __name__ == "__main__":
    main()
