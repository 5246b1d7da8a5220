"""How the finder learns, some updates beside each step of a lesson."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from MedSAGaSlicerLib.engine.look import LOOK_SIDE, look_of
from MedSAGaSlicerLib.engine.teaching.finder import Finder, square
from MedSAGaSlicerLib.engine.teaching.method import FINDER

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.examples import Example
    from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig

BATCH: Final = 4
_STREAM: Final = 21
_RATE: Final = 4e-3
_DECAY: Final = 1e-2
_WARM_UP: Final = 0.15
_KEPT: Final = 0.98
_LONGEST_GRADIENT: Final = 1.0
_APART: Final = 0.75
"""Part of the updates after which it learns from the slices kept aside as well."""

_TURN: Final = 0.35
_ZOOM: Final = 0.3
_SHIFT: Final = 0.15
_BEND: Final = 0.06
_KNOTS: Final = 6
_CONTRAST: Final = 0.3
_BRIGHTNESS: Final = 0.15
_GAMMA: Final = 0.4
_NOISE: Final = 0.08


class FinderLesson:
    """A finder under way; what it knows in the end is a moving mean of its weights.

    With few slices each of them counts, so in the end it learns from those kept aside too; a copy
    from before says how well it finds.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        aside: Sequence[Example],
        segments: Sequence[str],
        config: TeachingConfig,
        device: torch.device,
    ) -> None:
        """Take the looks of the examples and their masks, as far as they were confirmed.

        Args:
            examples: to learn from.
            aside: to be learned from last.
            segments: all that there are in the lesson.
            config: of the lesson.
            device: where to learn.
        """
        self._seed = config.seed
        self._each = config.finder_updates
        self._total = config.steps * config.finder_updates
        self._device = device
        self._first = len(examples)
        both = [*examples, *aside]
        self._apart = int(_APART * self._total) if aside else self._total
        self._pictures = torch.stack([_picture(example, segments) for example in both])
        known = [[float(name in example.masks) for name in segments] for example in both]
        self._known = torch.tensor(known)
        self._learning = Finder.fresh(len(segments), config.seed).to(device)
        self._mean = copy.deepcopy(self._learning).requires_grad_(False)
        self._before: Finder | None = None
        self._optimizer = torch.optim.AdamW(
            self._learning.parameters(), _RATE, weight_decay=_DECAY, fused=device.type == "cpu"
        )

    def step(self, step: int) -> None:
        """The updates beside a step of the lesson; they depend on nothing but their numbers."""
        for number in range(step * self._each, (step + 1) * self._each):
            self._update(number)

    def finder(self) -> Finder | None:
        """A copy of what it has learned so far; None if no updates are wanted."""
        return copy.deepcopy(self._mean).eval() if self._each else None

    def finder_before(self) -> Finder | None:
        """As `finder`, but a copy that has not learned from the slices kept aside."""
        return self.finder() if self._before is None else copy.deepcopy(self._before).eval()

    def state(self) -> dict[str, Tensor]:
        """All that is needed to go on later: tensors by names that begin with `FINDER`."""
        if not self._each:
            return {}
        found = {f"learning.{name}": tensor for name, tensor in self._learning.state_dict().items()}
        found |= {f"mean.{name}": tensor for name, tensor in self._mean.state_dict().items()}
        if self._before is not None:
            found |= {f"before.{name}": kept for name, kept in self._before.state_dict().items()}
        for name, parameter in self._learning.named_parameters():
            for key, value in self._optimizer.state.get(parameter, {}).items():
                found[f"{key}.{name}"] = torch.as_tensor(value)
        return {FINDER + name: tensor for name, tensor in found.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go back to what `state` gave; what else is among the tensors is left alone."""
        if not self._each:
            return
        parts: dict[str, dict[str, Tensor]] = {}
        for entry, tensor in state.items():
            if entry.startswith(FINDER):
                kind, _, name = entry.removeprefix(FINDER).partition(".")
                parts.setdefault(kind, {})[name] = tensor
        self._learning.load_state_dict(parts.pop("learning"))
        self._mean.load_state_dict(parts.pop("mean"))
        self._before = copy.deepcopy(self._mean) if "before" in parts else None
        if self._before is not None:
            self._before.load_state_dict(parts.pop("before"))
        for name, parameter in self._learning.named_parameters():
            for key, tensors in parts.items():
                # Counters stay on the CPU, where AdamW keeps them.
                value = tensors[name].clone()
                kept = value if value.ndim == 0 else value.to(self._device)
                self._optimizer.state[parameter][key] = kept

    def _update(self, number: int) -> None:
        if number == self._apart:
            self._before = copy.deepcopy(self._mean)
        seed = np.random.SeedSequence([self._seed, _STREAM, number]).generate_state(1)[0]
        source = torch.Generator().manual_seed(int(seed))
        chosen = self._drawn(number)
        images, masks = varied(self._pictures[chosen], source)
        known = self._known[chosen][:, :, None, None].to(self._device)
        logits = self._learning(images.to(self._device))
        _loss(logits, masks.to(self._device), known).backward()  # type: ignore[no-untyped-call]
        length = nn.utils.clip_grad_norm_(self._learning.parameters(), _LONGEST_GRADIENT)
        for group in self._optimizer.param_groups:
            group["lr"] = _RATE * _part_of_rate(number / self._total)
        if math.isfinite(float(length)):
            self._optimizer.step()
            self._follow(min(_KEPT, number / (number + 10)))
        self._optimizer.zero_grad(set_to_none=True)

    def _follow(self, kept: float) -> None:
        pairs = zip(self._mean.parameters(), self._learning.parameters(), strict=True)
        with torch.no_grad():
            for mean, newest in pairs:
                mean.lerp_(newest, 1 - kept)

    def _drawn(self, number: int) -> list[int]:
        """Every example comes equally often, in a new order each time."""
        with_aside = number >= self._apart
        count = len(self._pictures) if with_aside else self._first
        start = (number - self._apart if with_aside else number) * BATCH
        chosen = []
        for place in range(start, start + BATCH):
            epoch, at = divmod(place, count)
            order = np.random.default_rng([self._seed, _STREAM, int(with_aside), epoch])
            chosen.append(int(order.permutation(count)[at]))
        return chosen


def varied(pictures: Tensor, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Other views of slices with their masks: turned, moved, bent, mirrored, in other greys.

    Args:
        pictures: (n, 1 + segments, S, S); the slices, 0 to 1, are first.
        source: of all that is drawn.

    Returns:
        Slices (n, 1, S, S) and masks (n, segments, S, S), 0 to 1.
    """
    count = len(pictures)

    def drawn(low: float, high: float) -> Tensor:
        return torch.empty(count).uniform_(low, high, generator=source)

    angle, zoom = drawn(-_TURN, _TURN), drawn(-_ZOOM, _ZOOM).exp()
    mirror = (drawn(0, 1) < 0.5).float() * 2 - 1
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    rows = [torch.stack([cos * mirror, -sin, drawn(-_SHIFT, _SHIFT)], 1)]
    rows += [torch.stack([sin * mirror, cos, drawn(-_SHIFT, _SHIFT)], 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), list(pictures.shape), align_corners=False)
    knots = torch.randn(count, 2, _KNOTS, _KNOTS, generator=source)
    knots = knots * drawn(0, _BEND)[:, None, None, None]
    bend = functional.interpolate(knots, pictures.shape[2:], mode="bicubic", align_corners=False)
    places = grid + bend.permute(0, 2, 3, 1)
    moved = functional.grid_sample(pictures, places, align_corners=False)
    gain, shift, bow = (
        one[:, None, None, None]
        for one in (
            drawn(1 - _CONTRAST, 1 + _CONTRAST),
            drawn(-_BRIGHTNESS, _BRIGHTNESS),
            drawn(-_GAMMA, _GAMMA).exp(),
        )
    )
    images = moved[:, :1].clamp(min=0) ** bow * gain + shift
    noise = torch.randn(images.shape, generator=source)
    return images + noise * drawn(0, _NOISE)[:, None, None, None], moved[:, 1:]


def _loss(logits: Tensor, masks: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy and Dice over a batch; where a segment was not confirmed nothing counts."""
    entropy = functional.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    pixels = known.sum() * logits.shape[-1] * logits.shape[-2]
    chances = logits.sigmoid() * known
    both = (chances * masks).sum((0, 2, 3))
    sums = chances.sum((0, 2, 3)) + (masks * known).sum((0, 2, 3))
    dice = 1 - (2 * both + 1) / (sums + 1)
    return (entropy * known).sum() / pixels + dice.mean()


def _part_of_rate(passed: float) -> float:
    if passed < _WARM_UP:
        return passed / _WARM_UP + 1e-3
    fallen = (passed - _WARM_UP) / (1 - _WARM_UP)
    return 0.5 * (1 + math.cos(math.pi * fallen)) + 1e-3


def _picture(example: Example, segments: Sequence[str]) -> Tensor:
    """An example's look and its masks (1 + segments, S, S); unknown masks are empty."""
    layers = [square(look_of(example.pixels))]
    for name in segments:
        mask = example.masks.get(name)
        if mask is None:
            layers.append(torch.zeros(1, LOOK_SIDE, LOOK_SIDE))
        else:
            layers.append(square(look_of(mask * np.uint8(255))))
    return torch.cat(layers)
