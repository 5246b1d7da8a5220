"""Trains the starter model: python Testing/starter/train_starter.py --data DIR --output FOLDER.

Seeded and resumable: the state is written every few minutes, and the same command goes on from it.
Early steps run on small pictures, the last ones at full size: --stages SIZE:STEPS[:CLICKED] ….
CLICKED of a picture's four objects are clicked on (two unless given) and the others boxed.
"""

import argparse
import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from promptable import Promptable, step_loss
from safetensors.torch import load_file, save_file
from samples import OBJECTS, Samples
from torch import Tensor, nn
from torch.nn import functional

from MedSAGaSlicerLib.engine.starter import PATCH_SIZE


def resized_state(state: dict[str, Tensor], size: int) -> dict[str, Tensor]:
    """The weights with the position code fitted to another picture size."""
    grid = size // PATCH_SIZE
    code = state["image_encoder.pos_embed"]
    if code.shape[1] != grid:
        code = functional.interpolate(
            code.permute(0, 3, 1, 2), (grid, grid), mode="bicubic", align_corners=False
        )
        state = {**state, "image_encoder.pos_embed": code.permute(0, 2, 3, 1).contiguous()}
    return state


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over 3 %, then a cosine down to 1 %."""
    warm = max(1, round(0.03 * steps))
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (
        0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
    )


@dataclass(frozen=True)
class Stage:
    """Steps on pictures of one size; `clicked` of the four objects of each get clicks."""

    size: int
    steps: int
    clicked: int = OBJECTS // 2

    @classmethod
    def parse(cls, text: str) -> "Stage":
        """Reads SIZE:STEPS or SIZE:STEPS:CLICKED."""
        return cls(*(int(value) for value in text.split(":")))


class Training:
    """Model, optimiser and average weights, with their state on disk."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.stages = [Stage.parse(text) for text in options.stages]
        self.total = sum(stage.steps for stage in self.stages)
        self.step, self.seconds = 0, 0.0
        self.folder: Path = options.output
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(options.seed)
        self._enter(self.stages[0].size, None)
        if (self.folder / "state.pt").is_file():
            self._resume()
        elif options.start:
            self._start(options.start)

    def _start(self, weights: Path) -> None:
        """Begins from the weights of another run; parts that it lacks stay as built."""
        state = {name: tensor.float() for name, tensor in load_file(weights).items()}
        state = {**self.model.state_dict(), **resized_state(state, self.model.size)}
        self.model.load_state_dict(state)
        self.average.load_state_dict(state)

    def _enter(self, size: int, state: dict[str, dict[str, Tensor]] | None) -> None:
        self.model, self.average = Promptable(size), Promptable(size)
        if state:
            self.model.load_state_dict(resized_state(state["model"], size))
            self.average.load_state_dict(resized_state(state["average"], size))
        else:
            self.average.load_state_dict(self.model.state_dict())
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        plain = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
        if self.options.compile:
            self.model.image_encoder.compile(dynamic=False)
        self.optimizer = torch.optim.AdamW(groups, lr=self.options.rate, betas=(0.9, 0.98))

    def _resume(self) -> None:
        state = torch.load(self.folder / "state.pt", weights_only=True)
        self.step, self.seconds = state["step"], state["seconds"]
        self._enter(state["size"], state)
        self.optimizer.load_state_dict(state["optimizer"])

    def save(self) -> None:
        """Writes the state and the average weights as fp16; a killed run loses minutes only."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "size": self.model.size,
        }
        temporary = self.folder / "state.pt.part"
        torch.save(state, temporary)
        temporary.replace(self.folder / "state.pt")
        half = {k: v.half().contiguous() for k, v in self.average.state_dict().items()}
        about = {
            "steps": str(self.step),
            "image_size": str(self.model.size),
            "seed": str(self.options.seed),
        }
        save_file(half, self.folder / "starter.safetensors.part", metadata=about)
        (self.folder / "starter.safetensors.part").replace(self.folder / "starter.safetensors")

    def run(self) -> None:
        """Runs the remaining steps."""
        done = 0
        for stage in self.stages:
            end = done + stage.steps
            if self.step < end:
                if self.model.size != stage.size:
                    weights = {
                        "model": self.model.state_dict(),
                        "average": self.average.state_dict(),
                    }
                    self._enter(stage.size, weights)
                self._stage(stage, end)
            done = end
        self.save()

    def _stage(self, stage: Stage, end: int) -> None:
        options, size = self.options, stage.size
        count = options.batch if size <= 128 else max(4, options.batch // 2)
        samples = Samples(size, options.seed, options.data, options.real_share, end * count)
        remaining = torch.utils.data.Subset(samples, range(self.step * count, end * count))
        loader = torch.utils.data.DataLoader(
            remaining, count, num_workers=options.workers, prefetch_factor=4
        )
        window: list[tuple[float, float]] = []
        since = time.perf_counter()
        for batch in loader:
            start = time.perf_counter()
            rng = np.random.default_rng([options.seed, 1, self.step])
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(self.step, self.total, options.rate)
            loss, box_loss = step_loss(self.model, batch, rng, stage.clicked)
            self.optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            if torch.isfinite(norm):
                self.optimizer.step()
            self._follow()
            self.step += 1
            self.seconds += time.perf_counter() - start
            window.append((float(loss.detach()), box_loss))
            if self.step % options.report == 0:
                mean = np.mean(window, 0)
                line = {
                    "step": self.step,
                    "of": self.total,
                    "size": size,
                    "loss": round(mean[0], 4),
                    "box": round(mean[1], 4),
                    "images_per_second": round(
                        options.report * count / (time.perf_counter() - since), 2
                    ),
                    "seconds": round(self.seconds),
                }
                sys.stdout.write(json.dumps(line) + "\n")
                sys.stdout.flush()
                window, since = [], time.perf_counter()
            if self.step % options.save == 0:
                self.save()

    def _follow(self) -> None:
        """Moves the average weights towards the current ones."""
        keep = min(0.998, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mine, theirs in zip(
                self.average.parameters(), self.model.parameters(), strict=True
            ):
                mine.lerp_(theirs, 1 - keep)


def main() -> None:
    """Reads the options and trains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        help="folder with 2d/ and 3d/ sets; without it only made-up images are used",
    )
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="weights of another run to begin from")
    parser.add_argument(
        "--stages", nargs="+", default=["128:2400", "192:2200:1"], metavar="SIZE:STEPS[:CLICKED]"
    )
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--real-share", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile the encoder: a fifth faster, needs a C++ compiler",
    )
    parser.add_argument("--report", type=int, default=25)
    parser.add_argument("--save", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    Training(options).run()


if __name__ == "__main__":
    main()
