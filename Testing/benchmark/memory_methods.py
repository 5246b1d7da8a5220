"""Memory that teaching ViT-B takes at 1024 pixels, batch 1: methods as published, and ours.

Every method runs in a process of its own, two updates long, since the moments of the first lie
beside the activations of the second. What counts is the peak above the weights: of the process on
the CPU, of torch's allocator on CUDA. As published means segment-anything's modules as they are:

    inference          one picture encoded and one click decoded, no gradients
    full-published     every weight learns, torch's AdamW
    lora-published     SAMed: rank 4 on queries and values of all blocks, decoder in full
    galore-published   every weight learns, galore-torch's AdamW and projector, rank 4 on the
                       encoder's linear layers (its only release cannot project convolutions)

`galore`, `lora`, `full`, `late` and `decoder` are the product's methods, learned prompts included.
The same precision, prompt and loss for all; memory is given back to the system by all alike
(`--malloc`). Results are appended to a file, and what it has already is not measured again.
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
from report import commit, machine, versions
from torch import Tensor, nn

from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.families import SamModel, build
from MedSAGaSlicerLib.engine.predictor import Predictor
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.galore_package import galore_adamw
from MedSAGaSlicerLib.engine.teaching.losses import mask_loss
from MedSAGaSlicerLib.engine.teaching.method import Method
from MedSAGaSlicerLib.engine.teaching.planning import make_method, settled
from MedSAGaSlicerLib.engine.teaching.rounds import Rounds
from MedSAGaSlicerLib.engine.teaching.samples import SampleMaker
from MedSAGaSlicerLib.engine.teaching.views import View

PUBLISHED = ("inference", "full-published", "lora-published", "galore-published")
OURS = ("galore", "lora", "full", "late", "decoder")
MALLOC = {
    "system": {},
    "trimmed": {
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": "131072",
        "MALLOC_TRIM_THRESHOLD_": "131072",
    },
}
RANK = 4
GIB = 2**30
TARGETS = (("lora-published", 0.34), ("inference", 1.15))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", default=[*PUBLISHED, *OURS[:2]])
    parser.add_argument("--family", default="sam_vit_b")
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
        print(json.dumps(measured(options.child, options)))
        return
    lines = known(options)
    for method in options.methods:
        if method not in lines:
            lines[method] = measured_apart(method, options)
            if options.output:
                with options.output.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(lines[method]) + "\n")
        print(json.dumps(lines[method]), flush=True)
    compare(lines)


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
    return {"peak": peak(device) - start, "weights": start, "seconds": seconds}


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


class LowRank(nn.Module):
    """A projection to q, k, v with low-rank changes of q and v beside it, as SAMed computes it."""

    def __init__(self, whole: nn.Linear) -> None:
        super().__init__()
        self.whole, size = whole, whole.in_features
        self.down = nn.ModuleList(nn.Linear(size, RANK, bias=False) for _ in range(2))
        self.up = nn.ModuleList(nn.Linear(RANK, size, bias=False) for _ in range(2))
        for up in self.up:
            nn.init.zeros_(up.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        qkv = self.whole(tokens)
        size = tokens.shape[-1]
        qkv[..., :size] += self.up[0](self.down[0](tokens))
        qkv[..., -size:] += self.up[1](self.down[1](tokens))
        return qkv


def published(
    name: str, model: SamModel, pixels: np.ndarray, options: argparse.Namespace
) -> Callable[[], None]:
    """One update with segment-anything's modules."""
    device = torch.device(options.device)
    model.requires_grad_(name in ("full-published", "galore-published"))
    if name == "lora-published":
        for block in model.image_encoder.blocks:
            block.attn.qkv = LowRank(block.attn.qkv).to(device)
        model.prompt_encoder.requires_grad_(True)
        model.mask_decoder.requires_grad_(True)
    optimizer = None if name == "inference" else optimizer_of(name, model)
    image = torch.from_numpy(np.stack([pixels] * 3)).float()[None].to(device) / 64 - 2
    side = model.logits_size
    target = torch.zeros(1, 1, side, side, device=device)
    target[..., side // 4 : side // 2, side // 4 : side // 2] = 1

    def step() -> None:
        with (
            torch.set_grad_enabled(optimizer is not None),
            torch.autocast(device.type, torch.float16, enabled=options.half),
        ):
            points = torch.tensor([[[300.0, 300.0]]]), torch.tensor([[1]])
            sparse, dense = model.prompt_encoder(
                points=tuple(part.to(device) for part in points), boxes=None, masks=None
            )
            logits, _ = model.mask_decoder(
                image_embeddings=model.image_encoder(image),
                image_pe=model.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=True,
            )
        if optimizer is not None:
            mask_loss(logits.float(), target, torch.ones_like(target)).mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return step


def optimizer_of(name: str, model: SamModel) -> torch.optim.Optimizer:
    """AdamW, or galore-torch's with the encoder's linear layers in its projected group."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if name != "galore-published":
        return torch.optim.AdamW(trained, lr=1e-5)
    layers = [m for m in model.image_encoder.modules() if isinstance(m, nn.Linear)]
    matrices = [layer.weight for layer in layers]
    chosen = {id(matrix) for matrix in matrices}
    others = [parameter for parameter in trained if id(parameter) not in chosen]
    projected = {"rank": RANK, "update_proj_gap": 200, "scale": 0.25, "proj_type": "std"}
    groups = [{"params": others}, {"params": matrices, **projected}]
    optimizer: torch.optim.Optimizer = galore_adamw()(groups, lr=1e-5, no_deprecation_warning=True)
    return optimizer


def ours(
    name: str, model: SamModel, pixels: np.ndarray, options: argparse.Namespace
) -> Callable[[], None]:
    """One update as a lesson makes it: a click and a correction."""
    base = Predictor(model, options.device)
    config = settled(replace(TeachingConfig(), method=name, head_start=0.0), model)
    method: Method = make_method(config, base, ("block",), EmbeddingCache(None), 1)
    if not options.half:
        method._half = False
        method.scaler.scale = 1.0
    side = len(pixels)
    mask = np.zeros(pixels.shape, bool)
    mask[side // 4 : side // 2, side // 4 : side // 2] = True
    sample = SampleMaker(model)(0, View(pixels, {"block": mask}, {}))
    if not method.fresh_views:
        method.prepare(sample)
    rounds = Rounds(method, ("block",))
    rng = np.random.default_rng(0)

    def step() -> None:
        rounds.step([sample], ["block"], rng, 2)
        method.update(1.0)

    return step


if __name__ == "__main__":
    main()
