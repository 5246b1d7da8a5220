"""What `auto` chooses, and what comes next when memory runs out; without torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from MedSAGaSlicerLib.engine.teaching.config import AUTO, METHODS, TeachingConfig
from MedSAGaSlicerLib.engine.teaching.memory_plan import (
    CARD_BYTES,
    circumstances,
    plan_memory,
)
from MedSAGaSlicerLib.engine.teaching.model_costs import ModelCost
from MedSAGaSlicerLib.engine.teaching.time_plan import Speed, plan_time

DEFAULT: Final = "decoder"
_SPARE: Final = 0.9
_LEANER: Final = 0.9
_GIB: Final = 1 << 30


@dataclass(frozen=True)
class Outlook:
    """What a lesson by one method would need.

    Attributes:
        method: its name.
        peak: bytes.
        seconds: None where the machine's speed is not known.
        fits: into the memory there is; None if that is not known.
    """

    method: str
    peak: int
    seconds: float | None
    fits: bool | None


@dataclass(frozen=True)
class Machine:
    """Where a lesson would take place.

    Attributes:
        device: "cpu", "cuda" or another of torch's.
        free: bytes it has for the lesson, None if not known.
        speed: None if not known.
    """

    device: str
    free: int | None = None
    speed: Speed | None = None


def outlook(
    cost: ModelCost, config: TeachingConfig, slices: int, machine: Machine, method: str
) -> Outlook:
    """What a lesson with settled settings would need, were it by this method."""
    given = circumstances(config, slices, machine.device)
    peak = plan_memory(cost, method, given).total
    seconds = None
    if machine.speed is not None:
        seconds = plan_time(cost, method, given, machine.speed).total
    return Outlook(method, peak, seconds, _fits(peak, machine))


def outlooks(
    cost: ModelCost, config: TeachingConfig, slices: int, machine: Machine
) -> tuple[Outlook, ...]:
    """Of all methods."""
    return tuple(outlook(cost, config, slices, machine, method) for method in METHODS)


def choose(
    cost: ModelCost, config: TeachingConfig, slices: int, machine: Machine
) -> tuple[TeachingConfig, str]:
    """What `auto` stands for, and why.

    It is the decoder on cached embeddings, whatever the device, the number of masks and the kind
    of prompts, with as many objects at once as there is memory for: its lessons take least memory
    and time, and it answers from the embeddings that there are, where each taught encoder has to
    encode every slice for itself before it answers.

    The evidence is in `Testing/benchmark/results/methods.jsonl` (`accuracy_methods.py`, lessons on
    the starter). From 15 masks one click is by 0.015 of Dice better with `late`, `lora` and
    `galore`, a box by 0.008 (means of six lessons, no click worse by more than 0.001), in lessons
    of 1.6 to 3 times the processor's time. Most of the click's gain, and none of the box's, comes
    with their share of what was taught alone (`methods_share.jsonl`), which is why `late` was worse
    by 0.04 on a spinal cord in a contrast that was not taught. From five masks all three were
    worse on breast lesions, by 0.01 to 0.02, and better on the hippocampus by 0.02; from one mask
    worse by 0.03 on both. Who wants them asks for them. What is chosen here must not come out below
    the decoder there, which a test looks after.

    Returns:
        Settings with a method, and a sentence.
    """
    if config.method != AUTO:
        return config, "It was asked for."
    chosen = replace(config, method=DEFAULT)
    while chosen.at_once > 1 and outlook(cost, chosen, slices, machine, DEFAULT).fits is False:
        chosen = replace(chosen, at_once=chosen.at_once // 2)
    if outlook(cost, chosen, slices, machine, DEFAULT).fits is False:
        return chosen, "Nothing else needs less memory, and there is little."
    return chosen, "It needs least, and answers from the embeddings that there are."


def leaner(
    cost: ModelCost, config: TeachingConfig, slices: int, device: str, *, may_change_method: bool
) -> TeachingConfig | None:
    """The next settings that need clearly less memory; None if there are none.

    Fewer objects at once first, which changes nothing but the time; then, if that is allowed, the
    method that needs most of those that need less.
    """
    if config.at_once > 1:
        return replace(config, at_once=config.at_once // 2)
    if not may_change_method:
        return None
    machine = Machine(device)
    now = outlook(cost, config, slices, machine, config.method).peak
    less = [
        entry for entry in outlooks(cost, config, slices, machine) if entry.peak < _LEANER * now
    ]
    if not less:
        return None
    return replace(config, method=max(less, key=lambda entry: entry.peak).method)


def free_on_card(gib: float) -> int:
    """What torch can have of a graphics card of so many GiB with nothing else on it."""
    return max(0, round(gib * _GIB) - CARD_BYTES)


def _fits(peak: int, machine: Machine) -> bool | None:
    return None if machine.free is None else peak <= _SPARE * machine.free
