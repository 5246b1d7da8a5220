"""How long a lesson will take: from a model's operations and a machine's speed, without torch.

How fast a machine is, `machine_speed` measures in a moment by one product of matrices; how much of
that encoders and decoders reach, was measured (`Testing/benchmark/bench_plan.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from MedSAGaSlicerLib.engine.teaching.memory_plan import (
    Circumstances,
    learning_units,
    recomputes,
)
from MedSAGaSlicerLib.engine.teaching.model_costs import ModelCost

_ENCODER_PART: Final = 0.62
_DECODER_PART: Final = 0.36
# What a pass of the decoder takes however small it is: some hundred small operations.
_DECODE_SECONDS: Final = 0.010
_BACKWARD: Final = 2.0
_BACKWARD_FROZEN: Final = 1.2
_UPDATE_SPEED: Final = 25.0
_PROMPT_SETS: Final = 11
"""Answers by which a slice kept aside is measured: clicks, boxes, and without prompts."""
_LOCATORS: Final = 3
_LOCATOR_WIDTH: Final = 64
_START_SECONDS: Final = 2.0
_FINDER_OPERATIONS: Final = 2.2e9
"""Of one update of the finder, forwards and backwards."""
_USUAL_OPERATIONS: Final = 1e11


@dataclass(frozen=True)
class Speed:
    """What a machine does in a second.

    Attributes:
        operations: floating-point, in products of large matrices.
        overhead: seconds of a hundred small operations that wait for each other, as parts of what
            they take on the CPU that the figures come from.
    """

    operations: float
    overhead: float = 1.0


@dataclass(frozen=True)
class TimePlan:
    """Seconds of a lesson.

    Attributes:
        preparing: encoding views before the first step.
        head: of a step of the head start.
        still: of one in which the decoder learns alone.
        step: of one that changes all that the method teaches.
        steps: all of them, the head start's and those in which the encoder stays too.
        measuring: before and after, on the slices kept aside.
    """

    preparing: float
    head: float
    still: float
    step: float
    steps: float
    measuring: float

    @property
    def total(self) -> float:
        """All of it."""
        return _START_SECONDS + self.preparing + self.steps + self.measuring


def plan_time(cost: ModelCost, method: str, given: Circumstances, speed: Speed) -> TimePlan:
    """How long a lesson by this method takes."""
    encode = cost.operations / (speed.operations * _ENCODER_PART)
    decode = _decode(cost, given, speed)
    taught = given.slices - given.held_out
    measured = given.held_out * _PROMPT_SETS * 2 * (_DECODE_SECONDS * speed.overhead + decode)
    # The base's embedding serves both times only if the encoder stays.
    encodes = given.held_out * (1 if method == "decoder" else 1 + given.shown(method))
    step = given.batch * _encoding(cost, method, given, speed) + _rounds(cost, method, given, speed)
    step += _update(cost, method, given, speed)
    still = _rounds(cost, "decoder", given, speed) + _update(cost, "decoder", given, speed)
    head = _locating(cost, given.guesses, speed)
    finding = given.finder_updates * _finding(speed)
    head, still, step = head + finding, still + finding, step + finding
    return TimePlan(
        preparing=taught * given.views * encode,
        head=head,
        still=still,
        step=step,
        steps=_passed((head, still, step), given, given.steps),
        measuring=measured + encodes * encode,
    )


class Pace:
    """How long the rest of a lesson takes, by what its steps have taken so far.

    Those of the beginning say little by themselves: later ones take many times as long.
    """

    def __init__(self, cost: ModelCost, method: str, given: Circumstances) -> None:
        """Of a lesson; only how its steps compare counts."""
        plan = plan_time(cost, method, given, Speed(_USUAL_OPERATIONS))
        self._steps = plan.head, plan.still, plan.step
        self._given = given

    def left(self, first: int, done: int, seconds: float) -> float:
        """Seconds, when the steps from `first` up to `done` have taken so many."""
        passed = self._passed(done) - self._passed(first)
        return seconds / passed * (self._passed(self._given.steps) - self._passed(done))

    def _passed(self, step: int) -> float:
        return _passed(self._steps, self._given, step)


def _passed(seconds: tuple[float, float, float], given: Circumstances, steps: int) -> float:
    """What so many steps take, from those of the head start, of a still encoder, and the others."""
    head, still = min(steps, given.head_steps), min(steps, given.still_steps)
    return head * seconds[0] + (still - head) * seconds[1] + (steps - still) * seconds[2]


def _decode(cost: ModelCost, given: Circumstances, speed: Speed) -> float:
    """One object's operations, without what a pass takes anyway."""
    return cost.decoder_operations / (speed.operations * _DECODER_PART)


def _encoding(cost: ModelCost, method: str, given: Circumstances, speed: Speed) -> float:
    """One view with gradients: blocks run, again where they are checkpointed, and backwards."""
    if method == "decoder":
        return 0.0
    units = learning_units(cost, method)
    longer = given.device != "cpu"
    once = sum(unit.operations + longer * unit.operations_longer for unit in units)
    frozen = method in ("lora", "adapter")
    passes = 2 if recomputes(cost, method) else 1
    operations = once * (passes + (_BACKWARD_FROZEN if frozen else _BACKWARD))
    if method != "late":
        operations += sum(unit.operations for unit in cost.units[: len(cost.units) - len(units)])
        operations += cost.ends_operations * (1 + (0.5 if frozen else _BACKWARD))
    return given.shown(method) * operations / (speed.operations * _ENCODER_PART)


def _rounds(cost: ModelCost, method: str, given: Circumstances, speed: Speed) -> float:
    """The prompts of a step, forwards and backwards, one pass for those computed together."""
    # Learned from are the first round and, in six of ten steps, a last one; on cached embeddings
    # in every second step. What is found unprompted is learned from in each.
    chain = 1 + 0.6 * min(1, given.rounds - 1) + 0.1 * max(0, given.rounds - 2)
    passes = chain * (0.5 if method == "decoder" else 1.0) + 0.6
    one = given.batch * _decode(cost, given, speed) * (1 + _BACKWARD)
    parts = -(-given.batch // given.at_once)
    overhead = parts * 2.5 * _DECODE_SECONDS * speed.overhead
    return passes * (one + overhead)


def _locating(cost: ModelCost, count: int, speed: Speed) -> float:
    """The locators on so many embeddings, forwards and backwards."""
    weights = 2 * cost.channels * _LOCATOR_WIDTH + 20 * _LOCATOR_WIDTH**2
    operations = 2.0 * cost.grid**2 * weights * (1 + _BACKWARD) * _LOCATORS * count
    overhead = _LOCATORS * 2 * _DECODE_SECONDS * speed.overhead
    return operations / (speed.operations * _ENCODER_PART) + overhead


def _finding(speed: Speed) -> float:
    """One update of the finder."""
    operations = _FINDER_OPERATIONS / (speed.operations * _ENCODER_PART)
    return operations + _DECODE_SECONDS * speed.overhead


def _update(cost: ModelCost, method: str, given: Circumstances, speed: Speed) -> float:
    """The optimiser's share, which passes over all that learns some times."""
    trained = cost.decoder_parameters
    if method in ("full", "galore"):
        trained += cost.encoder_parameters
    elif method == "late":
        trained += sum(unit.parameters for unit in cost.top)
    return _UPDATE_SPEED * 4 * trained / speed.operations
