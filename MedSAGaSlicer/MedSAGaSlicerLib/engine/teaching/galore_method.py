"""Teaching the whole encoder with moments in subspaces: GaLore, as MedSAGa means it.

After MedSAGa (Mahla et al. 2024, arXiv 2407.15042): GaLore on the image encoder, prompt encoder and
mask decoder in full by a standard optimiser.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn

from MedSAGaSlicerLib.engine.teaching.encoder_method import ENCODER, within
from MedSAGaSlicerLib.engine.teaching.full_method import FullMethod
from MedSAGaSlicerLib.engine.teaching.galore import GaloreOptimizer, GaloreSettings

_STATE: Final = "galore."
_EVERY: Final = 50


class GaloreMethod(FullMethod):
    """As `full`, with little more memory than answering prompts takes."""

    name = "galore"
    rank: ClassVar[int] = 16

    def discard(self) -> None:
        """As `Method.discard`, and what was projected."""
        super().discard()
        self._galore.discard()

    def state(self) -> dict[str, Tensor]:
        """As `Method.state`, the moments of the encoder and their bases."""
        return {**super().state(), **{_STATE + n: t for n, t in self._galore.state().items()}}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """As `Method.load_state`."""
        super().load_state(state)
        self._galore.load_state(within(_STATE, state))

    def facts(self) -> dict[str, Any]:
        """How much smaller the optimiser's state is than AdamW's."""
        return {"galore": self._galore.facts()}

    def _optimizer(self) -> torch.optim.Optimizer:
        encoder = {n: p for n, p in self.trained().items() if n.startswith(ENCODER)}
        rate = self.config.learning_rate * self.config.encoder_rate
        settings = GaloreSettings(
            self.config.rank, _EVERY, rate, self.config.weight_decay, self.config.seed
        )
        self._galore = GaloreOptimizer(encoder, settings)
        return super()._optimizer()

    def _standard(self) -> dict[str, nn.Parameter]:
        return {n: p for n, p in super()._standard().items() if not n.startswith(ENCODER)}

    def _step(self, rate: float) -> None:
        super()._step(rate)
        self._galore.step(rate)

    def _gradients(self) -> dict[str, list[Tensor]]:
        return {**super()._gradients(), ENCODER.rstrip("."): self._galore.gradients()}
