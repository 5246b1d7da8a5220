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


def rounds_of(rng: np.random.Generator, most: int) -> int:
    """How many rounds an object gets: often one, otherwise any number up to `most`."""
    if most == 1 or rng.random() < _ONE_ROUND:
        return 1
    return int(rng.integers(2, most + 1))
