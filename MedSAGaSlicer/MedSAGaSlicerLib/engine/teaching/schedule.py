"""How the learning rate goes over a lesson."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np

    from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig

_ONE_ROUND: Final = 0.4


def learning_rate(step: int, config: TeachingConfig) -> float:
    """Part of the peak rate, in the head start and after it alike.

    A linear rise over the warm-up, then a cosine down to a hundredth.
    """
    warm = max(1, round(config.warm_up * config.steps))
    if step < config.head_steps:
        steps = config.head_steps
    else:
        step, steps = step - config.head_steps, config.steps - config.head_steps
    if step < warm:
        return (step + 1) / warm
    passed = (step - warm) / max(1, steps - warm)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, passed))) / 2


def rounds_of(rng: np.random.Generator, step: int, config: TeachingConfig, cached: bool) -> int:
    """How many rounds of prompts the objects of a step get: often one, or any number up to most.

    Of `cached` embeddings, every second step has none if the model learns to do without prompts:
    with one it soon answers as well as it can, without it takes longer.
    """
    if cached and config.prompt_tokens and step % 2:
        return 0
    if config.rounds == 1 or rng.random() < _ONE_ROUND:
        return 1
    return int(rng.integers(2, config.rounds + 1))
