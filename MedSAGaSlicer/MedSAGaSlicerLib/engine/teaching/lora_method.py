"""Teaching the encoder's attention by low-rank changes, as SAMed does; the decoder in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from MedSAGaSlicerLib.engine.teaching.encoder_method import EncoderMethod
from MedSAGaSlicerLib.engine.teaching.lora import DOWN, UP, merged, with_low_rank


class LoraMethod(EncoderMethod):
    """Two small factors beside each block's queries and values; an adapter keeps those alone.

    For answering they are added to the weights, so a taught model is as quick as its base.
    """

    name = "lora"
    encoder_rate: ClassVar[float] = 0.2
    rank: ClassVar[int] = 4

    def facts(self) -> dict[str, Any]:
        """The rank, and how many numbers of the encoder are trained."""
        factors = self._encoder_tensors(1.0).values()
        return {"rank": self.config.rank, "encoder_trained": sum(f.numel() for f in factors)}

    def _encoder(self, encoder: nn.Module) -> nn.Module:
        return with_low_rank(encoder, self.config.rank, self.config.seed)

    def _encoder_learns(self, name: str) -> bool:
        return name.endswith((DOWN, UP))

    def _encoder_tensors(self, share: float) -> dict[str, Tensor]:
        # The change is the product of both: one of them takes the share.
        return {
            name: parameter.detach() * (share if name.endswith(UP) else 1.0)
            for name, parameter in self.model.image_encoder.named_parameters()
            if self._encoder_learns(name)
        }

    @classmethod
    def _taught_encoder(cls, encoder: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
        return merged(encoder, tensors)
