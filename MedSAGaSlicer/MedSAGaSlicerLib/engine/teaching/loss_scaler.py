"""Losses made larger, so that the small gradients of half precision do not vanish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

_FIRST: Final = 4096.0
_SMALLER: Final = 1 / 16
_LARGER: Final = 2.0
_GOOD_STEPS: Final = 100


class LossScaler:
    """The factor of the losses: 1 in full precision; in half precision as large as goes well.

    As torch's `GradScaler` (Micikevicius et al. 2018), but for lessons of some hundred steps, and
    for gradients that no optimiser holds. After few bad steps the factor is 1: gradients that are
    not finite then have another cause.

    Attributes:
        scale: the factor.
    """

    def __init__(self, *, needed: bool) -> None:
        """Start with a factor that usually goes well, or with 1 for good if it is not needed."""
        self._needed = needed
        self.scale = _FIRST if needed else 1.0
        self._good = 0

    def told(self, *, finite: bool) -> None:
        """Take note of whether the last step's gradients were finite."""
        if not self._needed:
            return
        self._good = self._good + 1 if finite else 0
        if not finite:
            self.scale = max(1.0, self.scale * _SMALLER)
        elif self._good == _GOOD_STEPS:
            self.scale, self._good = self.scale * _LARGER, 0

    def state(self) -> dict[str, Tensor]:
        """Tensors by name."""
        return {"scale": torch.tensor(self.scale), "good": torch.tensor(self._good)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go back to what `state` gave, in another lesson of the same or another precision."""
        if self._needed:
            scale = float(state["scale"])
            # On another device there was no need of it.
            self.scale = scale if scale > 1 else _FIRST
            self._good = int(state["good"])
