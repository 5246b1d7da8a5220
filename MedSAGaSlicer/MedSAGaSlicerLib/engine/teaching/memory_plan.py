"""How much memory a lesson will need at most: from a model's sizes, without torch.

On the CPU it is the process's memory, on a graphics card what torch's allocator holds. Saved
numbers are counted (`model_costs`); what comes and goes during the backward pass was measured, see
`Testing/benchmark/bench_plan.py`, and is told apart in `_PASSING`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from MedSAGaSlicerLib.engine.teaching.config import DEEP, TeachingConfig
from MedSAGaSlicerLib.engine.teaching.model_costs import ModelCost, Unit

PROCESS_BYTES: Final = 330 << 20
"""Python with torch and this library, before any model."""
CARD_BYTES: Final = 600 << 20
"""What CUDA itself takes of a graphics card, which its allocator does not tell."""
_FLOAT: Final = 4
_HALF: Final = 2
_MOMENTS: Final = 2
# Gradients under way in a block, as parts of what it keeps.
_PASSING: Final = 0.35
_MIXED: Final = 0.65
_DECODING: Final = 1.3
# Bytes of an image that blocks may keep rather than compute again.
_LITTLE: Final = 64 << 20
_LOCATING: Final = 9
_LOCATOR_WIDTH: Final = 64
_CACHE_BYTES: Final = 1 << 30
# Weights, their mean, gradients, moments, and an update's activations.
_FINDER_BYTES: Final = 48 << 20


@dataclass(frozen=True)
class Circumstances:
    """What a lesson's needs depend on, besides the model and the method.

    Attributes:
        device: "cpu", "cuda" or another of torch's.
        slices: confirmed, those kept aside included.
        views: of each that are made beforehand.
        batch: objects per step.
        at_once: of them whose gradients are computed together.
        guesses: slices per step of the head start.
        rounds: prompts that follow each other at most.
        steps: of the lesson.
        head_steps: of its head start.
        still_steps: in which the encoder stays, those included.
        finder_updates: beside each step.
        rank: of low-rank changes or projections.
        depth: slices that an encoder with a branch over them looks at together.
    """

    device: str = "cpu"
    slices: int = 15
    views: int = 2
    batch: int = 1
    at_once: int = 1
    guesses: int = 1
    rounds: int = 6
    steps: int = 400
    head_steps: int = 100
    still_steps: int = 100
    finder_updates: int = 2
    rank: int = 4
    depth: int = 1

    @property
    def held_out(self) -> int:
        """How many of the slices are kept aside, see `guard`."""
        return max(2, round(self.slices / 5)) if self.slices >= 8 else 0

    def shown(self, method: str) -> int:
        """How many slices go through the encoder for one embedding."""
        return self.depth if method == DEEP else 1


def circumstances(config: TeachingConfig, slices: int, device: str) -> Circumstances:
    """Of a lesson with settled settings on so many confirmed slices."""
    return Circumstances(
        device=device,
        slices=slices,
        views=config.views,
        batch=config.batch,
        at_once=config.at_once,
        guesses=config.guesses,
        rounds=config.rounds,
        steps=config.steps,
        head_steps=config.head_steps,
        still_steps=config.still_steps,
        finder_updates=config.finder_updates,
        rank=config.rank,
        depth=config.depth,
    )


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes at the moment when most is needed, by what they are for.

    Attributes:
        process: the program itself; nothing on a graphics card.
        weights: of the model and of the copies that learn.
        gradients: of all that learns.
        moments: of the optimiser, and its projections.
        activations: numbers kept for the gradients, and what comes and goes.
        cached: embeddings in memory.
    """

    process: int
    weights: int
    gradients: int
    moments: int
    activations: int
    cached: int

    @property
    def total(self) -> int:
        """All of it."""
        parts = (self.process, self.weights, self.gradients, self.moments, self.activations)
        return sum(parts) + self.cached


def plan_memory(cost: ModelCost, method: str, given: Circumstances) -> MemoryPlan:
    """The most bytes that a lesson by this method holds at once."""
    card = given.device != "cpu"
    encoder, held_once = trained_parameters(cost, method, given.rank, given.depth)
    decoder = 0 if method == "adapter" else cost.decoder_parameters
    copied = decoder + encoder
    gradients = decoder + (held_once if method == "galore" else encoder)
    moments = _MOMENTS * (decoder + (0 if method == "galore" else encoder))
    if method == "galore":
        moments += projected_state(cost, given.rank)
    passing = cost.passing * _FLOAT * given.shown(method)
    phases = (_decoding(cost, given), _encoding(cost, method, given), passing)
    finder = _FINDER_BYTES if given.finder_updates else 0
    embeddings = given.slices * given.views * cost.embedding * _HALF
    if method == "late":
        embeddings += given.slices * given.views * cost.top[0].enters * _HALF
    return MemoryPlan(
        process=0 if card else PROCESS_BYTES,
        weights=_FLOAT * (cost.encoder_parameters + cost.decoder_parameters + copied),
        gradients=_FLOAT * gradients,
        moments=_FLOAT * moments,
        activations=round(max(phases) * (1.0 if card else cost.held)) + finder,
        cached=0 if card else min(embeddings, _CACHE_BYTES),
    )


def trained_parameters(cost: ModelCost, method: str, rank: int, depth: int = 1) -> tuple[int, int]:
    """How many parameters of the encoder a method trains, and of the largest unit of them."""
    if method == "decoder":
        return 0, 0
    if method == "lora":
        each = [4 * unit.width * rank for unit in cost.units]
    elif method == "adapter":
        each = [2 * (unit.width * (unit.width // 2) + 2 * unit.width) for unit in cost.units]
        if depth > 1:
            # Queries, keys and values of a quarter of the channels, and back.
            each = [n + unit.width**2 for n, unit in zip(each, cost.units, strict=True)]
    elif method == "late":
        each = [unit.parameters for unit in cost.top]
    else:
        each = [unit.parameters for unit in cost.units]
    ends = {"late": cost.neck_parameters, "galore": cost.ends_parameters}
    ends["full"] = cost.ends_parameters
    return sum(each) + ends.get(method, 0), max(each)


def learning_units(cost: ModelCost, method: str) -> tuple[Unit, ...]:
    """Those through which gradients go."""
    if method == "late":
        return cost.top
    return cost.attending if method in ("lora", "adapter") else cost.units


def recomputes(cost: ModelCost, method: str) -> bool:
    """Whether blocks forget what is inside them until the gradients come: not if it is little."""
    return _FLOAT * sum(unit.kept for unit in learning_units(cost, method)) > _LITTLE


def projected_state(cost: ModelCost, rank: int) -> int:
    """Numbers that GaLore keeps of the encoder: two moments and a basis of each matrix.

    Of an m x n matrix, m <= n, that is 2 r n + r m (Zhao et al. 2024), and r n for what is
    gathered; what is no matrix has its two moments in full.
    """
    total = 2 * cost.ends_parameters
    for unit in cost.units:
        width = unit.width
        if not width:
            total += 2 * unit.parameters
            continue
        # Queries, keys and values; the projection; the perceptron's two; convolutions.
        longer = (3, 1, 4, 4, *unit.taps)
        total += sum(min(rank, width) * (3 * times * width + width) for times in longer)
        total += 2 * (unit.parameters - sum(longer) * width**2)
    return total


def _decoding(cost: ModelCost, given: Circumstances) -> int:
    """One round of prompts with gradients, or the head start's guesses, whichever is more."""
    prompts = round(given.at_once * cost.decoder_kept * _DECODING)
    area = cost.grid**2 * max(given.guesses, given.at_once)
    located = area * (3 * cost.channels + _LOCATING * _LOCATOR_WIDTH)
    return _FLOAT * max(prompts, located)


def _encoding(cost: ModelCost, method: str, given: Circumstances) -> int:
    """A pass with gradients: the blocks' inputs and the largest block, or what they all keep."""
    if method == "decoder":
        return 0
    units = learning_units(cost, method)
    ends = cost.embedding * 5 if method in ("late", "lora", "adapter") else cost.ends_kept
    entering = sum(unit.enters for unit in units)
    inside = [_kept(unit, method, given.device) for unit in units]
    held = max(inside) if recomputes(cost, method) else sum(inside)
    # The embedding and its gradient wait meanwhile.
    kept = entering + held + max(inside) * _PASSING + ends + 2 * cost.embedding
    size = _FLOAT * (_MIXED if given.device != "cpu" else 1.0)
    return round(given.at_once * given.shown(method) * kept * size)


def _kept(unit: Unit, method: str, device: str) -> float:
    longer = unit.longer if device != "cpu" else 0
    if method in ("lora", "adapter"):
        # The changes' own inputs besides.
        return unit.kept_frozen + longer + unit.enters * (1.2 if method == "lora" else 2.5)
    return unit.kept + longer
