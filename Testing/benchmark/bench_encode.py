"""ViT-B at 1024 pixels on the CPU: our encode and decode beside segment-anything's, same weights.

Each round runs the official path and ours in fresh processes, one after the other, so that the
peak of memory is each one's own. Random weights from one seed; segment-anything is the package from
the registry, whose modules run as published. For MobileSAM (`--family mobile_sam`) the reference is
its authors' encoder, from your clone of their repository (`--official PATH`).
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from clocks import seconds, wall
from official_models import with_published_encoder
from report import report
from torch.nn import functional

from MedSAGaSlicerLib.engine.families import SamModel, build
from MedSAGaSlicerLib.engine.predictor import Predictor
from MedSAGaSlicerLib.engine.prompts import Prompts

SIDE = 1024
DECODES = 12
POINT = (400.0, 500.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--encodes", type=int, default=2, help="per process; the first is not counted"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--family", default="sam_vit_b")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--official", type=Path, help="a clone of ChaoningZhang/MobileSAM")
    parser.add_argument("--child", choices=["official", "ours"])
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.family == "mobile_sam" and options.official is None:
        parser.error("mobile_sam is compared with its authors' clone: give --official PATH")
    if options.child:
        child(options)
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Alternate the two paths and print their figures and ratios."""
    found: dict[str, list[dict[str, float]]] = {"official": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for path, results in found.items():
                results.append(run(path, options, Path(folder) / path))
        outputs = {path: np.load(Path(folder) / f"{path}.npz") for path in found}
        errors = {
            part: float(
                np.abs(outputs["ours"][part] - outputs["official"][part]).max()
                / np.abs(outputs["official"][part]).max()
            )
            for part in ("embedding", "logits")
        }
    for what, unit in (("encode", "s"), ("decode", "s"), ("peak", "GiB over the weights")):
        values = {path: [result[what] for result in results] for path, results in found.items()}
        pairs = zip(values["official"], values["ours"], strict=True)
        report(
            f"{options.family} {what}",
            values["ours"],
            unit,
            official=sorted(values["official"]),
            official_over_ours=sorted(round(a / b, 3) for a, b in pairs),
            threads=options.threads,
            relative_error=errors["logits" if what == "decode" else "embedding"],
        )


def run(path: str, options: argparse.Namespace, output: Path) -> dict[str, float]:
    """One path in a process of its own."""
    command = [sys.executable, __file__, "--child", path, "--output", str(output)]
    command += ["--family", options.family, "--threads", str(options.threads)]
    command += ["--encodes", str(options.encodes), "--device", options.device]
    command += ["--official", str(options.official)] if options.official else []
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def child(options: argparse.Namespace) -> None:
    """Measure one path and print it; arrays go to the output file for comparison."""
    model, pixels = model_and_picture(options.family)
    if options.child == "official" and options.official:
        with_published_encoder(model, options.official)
    kind, clock = Official if options.child == "official" else Ours, wall(options.device)
    path = kind(model.to(options.device), options.device)
    before = held(options.device)
    encodes = [seconds(lambda: path.encode(pixels), clock) for _ in range(options.encodes)]
    peak = most(options.device) - before
    decodes = [seconds(path.decode, clock) for _ in range(DECODES)]
    np.savez(options.output, embedding=path.embedding(), logits=path.logits())
    figures = {"encode": min(encodes[1:]), "decode": float(np.median(decodes[2:])), "peak": peak}
    sys.stdout.write(json.dumps(figures))


def model_and_picture(family: str) -> tuple[SamModel, np.ndarray]:
    """Random weights and pixels, the same each time; positions count, as after training."""
    torch.manual_seed(0)
    model = build(family)
    for name, weights in model.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            torch.nn.init.normal_(weights, std=0.1)
    return model, np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def most(device: str) -> float:
    """The most memory there was so far in GiB, of the process or on the GPU."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def held(device: str) -> float:
    """Memory in GiB now, of the process or on the GPU."""
    if device != "cpu":
        return torch.cuda.memory_allocated() / 2**30
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**30


def click(device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The point and its label."""
    at, label = torch.tensor([[POINT]]), torch.tensor([[1]], dtype=torch.int)
    return at.to(device), label.to(device)


class Official:
    """The modules as segment-anything publishes them, called as its predictor does."""

    def __init__(self, model: SamModel, device: str) -> None:
        self.model = model
        self.device = device

    @torch.no_grad()
    def encode(self, pixels: np.ndarray) -> None:
        image = torch.from_numpy(pixels.transpose(2, 0, 1).copy()).to(self.device).float()[None]
        mean = torch.tensor([123.675, 116.28, 103.53], device=self.device)[:, None, None]
        deviation = torch.tensor([58.395, 57.12, 57.375], device=self.device)[:, None, None]
        self.features = self.model.image_encoder((image - mean) / deviation)

    @torch.no_grad()
    def decode(self) -> None:
        model = self.model
        points = click(self.device)
        sparse, dense = model.prompt_encoder(points=points, boxes=None, masks=None)
        self.low, _ = model.mask_decoder(
            image_embeddings=self.features,
            image_pe=model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        whole = functional.interpolate(self.low, (SIDE, SIDE), mode="bilinear", align_corners=False)
        whole = whole[..., :SIDE, :SIDE]
        whole = functional.interpolate(whole, (SIDE, SIDE), mode="bilinear", align_corners=False)
        self.masks = (whole > 0.0).cpu().numpy()

    def embedding(self) -> np.ndarray:
        return self.features[0].cpu().numpy()

    def logits(self) -> np.ndarray:
        return self.low[0].cpu().numpy()


class Ours:
    """The product's predictor."""

    def __init__(self, model: SamModel, device: str, predictor: Predictor | None = None) -> None:
        self.predictor = predictor or Predictor(model, device)
        self.device = device

    def encode(self, pixels: np.ndarray) -> None:
        self.encoded = self.predictor.encode(pixels)

    def decode(self) -> None:
        self.prediction = self.predictor.predict(self.encoded, Prompts((POINT,), (True,)))

    def embedding(self) -> np.ndarray:
        return self.encoded.features

    def logits(self) -> np.ndarray:
        # All three answers, as the official path has them.
        features = torch.from_numpy(self.encoded.features)[None].to(self.device)
        model = self.predictor.model
        points = click(self.device)
        with torch.inference_mode():
            sparse, dense = model.prompt_encoder(points=points, boxes=None, masks=None)
            low, _ = model.mask_decoder(
                image_embeddings=features,
                image_pe=model.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=True,
            )
        return low[0].cpu().numpy()


if __name__ == "__main__":
    main()
