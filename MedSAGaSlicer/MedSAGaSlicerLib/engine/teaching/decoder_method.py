"""Teaching the mask decoder and the prompt encoder on embeddings that are cached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.teaching.method import Method, with_copies

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.families import SamModel
    from MedSAGaSlicerLib.engine.teaching.samples import Sample

_PARTS: Final = ("prompt_encoder", "mask_decoder")


class DecoderMethod(Method):
    """Every slice is encoded once, or never if it was annotated before; steps cost no encoder."""

    name = "decoder"
    lasting_features = True

    @staticmethod
    def assemble(base: SamModel, tensors: Mapping[str, Tensor]) -> SamModel:
        """Put the tensors into copies of decoder and prompt encoder; the encoder is the base's."""
        model = with_copies(base, _PARTS)
        model.load_state_dict({**base.state_dict(), **tensors}, strict=True)
        for part in _PARTS:
            model.get_submodule(part).requires_grad_(False)
        return model

    def prepare(self, sample: Sample) -> None:
        """Look the embedding up, or compute it and keep it."""
        key, encoder = slice_key(sample.pixels), self.base.encoder_key
        embedding = self.cache.get(key, encoder)
        if embedding is None:
            embedding = self.cache.keep(key, self.base.encode(sample.pixels))
            self.cache.store(key, embedding)
        sample.features = embedding.features

    def features(self, samples: Sequence[Sample]) -> Tensor:
        """The cached embeddings as they are: (n, C, h, w) float32, without gradients."""
        arrays = [np.asarray(sample.features, np.float32) for sample in samples]
        return torch.from_numpy(np.stack(arrays)).to(self.base.device)

    def tensors(self) -> dict[str, Tensor]:
        """Decoder and prompt encoder, whole."""
        return {
            name: tensor.detach().cpu()
            for name, tensor in self.model.state_dict().items()
            if name.partition(".")[0] in _PARTS
        }

    @staticmethod
    def _copied(base: SamModel) -> SamModel:
        return with_copies(base, _PARTS)

    @staticmethod
    def _learns(name: str) -> bool:
        return name.partition(".")[0] in _PARTS
