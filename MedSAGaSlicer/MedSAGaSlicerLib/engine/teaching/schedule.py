"""How the learning rate goes over a lesson."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig


def learning_rate(step: int, config: TeachingConfig) -> float:
    """Part of the peak rate: in the head start constant, then a cosine down to a hundredth.

    Both begin with a linear rise over the warm-up.
    """
    warm = max(1, round(config.warm_up * config.steps))
    if step < config.head_steps:
        return min(1.0, (step + 1) / warm)
    step, steps = step - config.head_steps, config.steps - config.head_steps
    if step < warm:
        return (step + 1) / warm
    passed = (step - warm) / max(1, steps - warm)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, passed))) / 2
