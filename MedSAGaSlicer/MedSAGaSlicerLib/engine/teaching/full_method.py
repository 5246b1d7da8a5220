"""Teaching every weight of the model by AdamW: the yardstick for what needs less memory."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from MedSAGaSlicerLib.engine.teaching.encoder_method import EncoderMethod, deltas, with_deltas


class FullMethod(EncoderMethod):
    """The whole encoder learns; its gradients and two moments are as large as its weights each."""

    name = "full"
    encoder_rate: ClassVar[float] = 0.05

    def _encoder(self, encoder: nn.Module) -> nn.Module:
        return copy.deepcopy(encoder)

    def _encoder_learns(self, name: str) -> bool:
        # MobileSAM's unused ImageNet head: no gradient ever reaches it.
        return not name.startswith(("head.", "norm_head."))

    def _encoder_tensors(self, share: float) -> dict[str, Tensor]:
        return deltas(self.model.image_encoder, self.base.model.image_encoder, share)

    @classmethod
    def _taught_encoder(cls, encoder: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
        return with_deltas(encoder, tensors)
