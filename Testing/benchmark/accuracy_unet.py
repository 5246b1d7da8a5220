"""A small U-Net from scratch on the slices that Teach is given, beside Teach: both prompt-free.

`--data` holds 2d/<set> and 3d/<set>, each with images/ and labels/. Structures, seeds, slices and
the files measured on are those of accuracy_teach.py, whose lines stand beside. The network is
MONAI's residual U-Net (1.6 million weights) on slices of 128 pixels; it learns from rotated,
scaled, shifted, bent, mirrored slices with other grey values, by Dice and cross-entropy, with a
moving mean of its weights. 400 steps take a little more than half of the processor time of a
lesson, 1000 one and a half times as much: it is measured with both. Finishing is the product's for
both: smoothing across slices and cleaning up.

Each lesson is a line of `--results`, written as soon as it is measured; what is there is not
measured again (`--minutes` ends the run before a lesson that would begin later).
"""

import argparse
import copy
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from accuracy_teach import LABEL, STRUCTURES, Structure, finished_dice, split
from lines import RESULTS, append, keyed
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from numpy.typing import NDArray
from report import line_of
from torch import Tensor
from torch.nn import functional

from MedSAGaSlicerLib.engine.cases import find_cases
from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.evaluation import evaluate
from MedSAGaSlicerLib.engine.examples import ExampleSet
from MedSAGaSlicerLib.engine.finishing.evidence import Finding, weigh
from MedSAGaSlicerLib.engine.predictor import Prediction
from MedSAGaSlicerLib.engine.teaching.shots import draw_examples

LESSON: Final = "U-Net, a lesson"
KEY: Final = ("structure", "seed", "shots", "steps")
SIDE: Final = 128
BATCH: Final = 8
RATE: Final = 2e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--results", type=Path, default=RESULTS / "unet.jsonl")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--shots", type=int, default=15)
    parser.add_argument("--empty", type=int, default=3)
    parser.add_argument("--steps", type=int, nargs="+", default=[400, 1000])
    parser.add_argument("--cases", type=int, default=12, help="measure on so many files at most")
    parser.add_argument("--only", help="a structure's name")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no lesson after these")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    known, until = keyed(options.results, LESSON, KEY), time.monotonic() + 60 * options.minutes
    chosen = [one for one in STRUCTURES if options.only in (None, one.name)]
    for seed, structure, steps in itertools.product(options.seeds, chosen, options.steps):
        name = (structure.name, seed, options.shots, steps)
        if name not in known and time.monotonic() < until:
            append(options.results, lesson(structure, seed, steps, options))


def lesson(
    structure: Structure, seed: int, steps: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Learn from a structure's slices and measure on files that were not among them."""
    folder = options.data / structure.folder
    taught_on, tested_on = split(find_cases(folder / "images", folder / "labels"), structure, seed)
    tested_on = tested_on[: options.cases]
    examples = draw_examples(taught_on, LABEL, options.shots, options.empty, seed)
    began, clock = time.process_time(), time.perf_counter()
    model = Segmenter(learn(examples, seed, steps, options.device), options.device)
    seconds, wall = time.process_time() - began, time.perf_counter() - clock
    free = evaluate(tested_on, LABEL, model, "none")
    finished = finished_dice(tested_on, model)
    return line_of(
        LESSON,
        [finished],
        "Dice of finishing, all slices",
        structure=structure.name,
        seed=seed,
        shots=options.shots,
        steps=steps,
        side=SIDE,
        unprompted=round(free["mean_dice"], 4),
        **{"unprompted 3d": round(free["dice_3d"], 4)},
        files=len(free["cases"]),
        slices=sum(case["slices"] for case in free["cases"]),
        device=options.device,
        **{"cpu seconds": round(seconds, 1), "seconds": round(wall, 1)},
    )


def learn(examples: ExampleSet, seed: int, steps: int, device: str) -> torch.nn.Module:
    """Train from nothing; the moving mean of the weights."""
    torch.manual_seed(seed)
    (segment,) = examples.segments
    slices = [square(example.pixels) for example in examples.examples]
    masks = [square(example.masks[segment] * np.uint8(255)) for example in examples.examples]
    both = torch.stack([torch.cat(pair) for pair in zip(slices, masks, strict=True)]).to(device)
    model = UNet(2, 1, 1, (16, 32, 64, 128, 256), (2,) * 4, num_res_units=2, norm="INSTANCE")
    model.to(device)
    mean, loss = copy.deepcopy(model), DiceCELoss(sigmoid=True, batch=True)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    order = torch.cat([torch.randperm(len(both)) for _ in range(1 + steps * BATCH // len(both))])
    for step in range(steps):
        image, mask = varied(both[order[step * BATCH : (step + 1) * BATCH]])
        loss(model(image), mask).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        kept = min(0.98, step / (step + 10))
        for slow, fast in zip(mean.parameters(), model.parameters(), strict=True):
            slow.data.lerp_(fast.data, 1 - kept)
    return mean.eval()


def square(pixels: NDArray[np.uint8]) -> Tensor:
    """A slice as float (1, SIDE, SIDE), 0 to 1: its longer side fitted, the rest black."""
    grey = np.asarray(pixels, np.float32)
    grey = grey.mean(axis=2) if grey.ndim == 3 else grey
    rows, columns = fitted(grey.shape[:2])
    image = torch.from_numpy(grey)[None, None] / 255
    shrunk = functional.interpolate(image, (rows, columns), mode="bilinear", antialias=True)
    return functional.pad(shrunk, (0, SIDE - columns, 0, SIDE - rows))[0]


def fitted(size: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of a slice whose longer side is SIDE."""
    rows, columns = (max(1, round(side * SIDE / max(size))) for side in size)
    return rows, columns


def varied(both: Tensor) -> tuple[Tensor, Tensor]:
    """Other views of slices and masks (n, 2, SIDE, SIDE): moved, bent, and with other greys."""
    count, device = len(both), both.device

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(count, device=device).uniform_(low, high)

    angle, scale = uniform(-0.35, 0.35), uniform(-0.3, 0.3).exp()
    flip = (uniform(0, 1) < 0.5).float() * 2 - 1
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [torch.stack([cos * flip, -sin, uniform(-0.15, 0.15)], 1)]
    rows += [torch.stack([sin * flip, cos, uniform(-0.15, 0.15)], 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), list(both.shape), align_corners=False)
    bend = torch.randn(count, 2, 6, 6, device=device) * uniform(0, 0.06)[:, None, None, None]
    bend = functional.interpolate(bend, both.shape[2:], mode="bicubic", align_corners=False)
    moved = functional.grid_sample(both, grid + bend.permute(0, 2, 3, 1), align_corners=False)
    image, mask = moved[:, :1], (moved[:, 1:] > 0.5).float()
    gain, shift, bow = (
        one[:, None, None, None]
        for one in (uniform(0.7, 1.3), uniform(-0.15, 0.15), uniform(-0.4, 0.4).exp())
    )
    image = image.clamp(min=0) ** bow * gain + shift
    noise = torch.randn_like(image) * uniform(0, 0.08)[:, None, None, None]
    return image + noise, mask


class Segmenter:
    """The network as `evaluate` and Finish ask a model; what it "embeds" are its logits."""

    encoder_key: Final = "U-Net"

    def __init__(self, model: torch.nn.Module, device: str) -> None:
        self.model = model
        self.device = device

    @torch.inference_mode()
    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Logits (1, rows, columns) in the slice's grid."""
        size = pixels.shape[:2]
        rows, columns = fitted(size)
        logits = self.model(square(pixels)[None].to(self.device))[..., :rows, :columns]
        whole = functional.interpolate(logits, size, mode="bilinear", align_corners=False)
        return Embedding(whole[0].cpu().numpy(), (size[0], size[1]), self.encoder_key)

    def predict(self, embedding: Embedding, *_: object) -> Prediction:
        """Without prompts, whatever was given."""
        return self.predict_unprompted(embedding)

    def predict_unprompted(self, embedding: Embedding) -> Prediction:
        """The mask of the one segment."""
        logits = np.asarray(embedding.features[0], np.float32)
        return Prediction(logits > 0, logits, 1.0)

    def find(self, embedding: Embedding, _segments: Sequence[str]) -> Finding:
        """The same, as evidence."""
        return Finding(weigh(embedding.features), (1.0,), np.zeros(1, np.float32))


if __name__ == "__main__":
    main()
