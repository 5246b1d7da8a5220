"""Teaching the last blocks of the encoder and the decoder; what comes before them is cached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import torch
from torch import Tensor, nn

from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.look import embedding_of
from MedSAGaSlicerLib.engine.teaching.encoder_method import EncoderMethod, deltas, with_deltas
from MedSAGaSlicerLib.engine.teaching.encoder_split import EncoderSplit
from MedSAGaSlicerLib.engine.teaching.shared_copy import shared_copy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.teaching.samples import Sample

_LARGEST: Final = float(np.finfo(np.float16).max)


class LateMethod(EncoderMethod):
    """A step runs the last blocks alone, on what the first of them is given.

    That is the same throughout a lesson, and in the next one. It is kept with the embeddings, in
    float16, under a key of its own: slice bytes, weights of the trunk, place of the cut and
    preprocessing. So a view is run through the trunk once, and a changed base finds nothing old.
    """

    name = "late"
    encoder_rate: ClassVar[float] = 0.2
    _split: EncoderSplit

    def facts(self) -> dict[str, Any]:
        """How many blocks learn."""
        return {"blocks": self._split.blocks}

    def prepare(self, sample: Sample) -> None:
        """Keep the trunk's output, and the base's embedding for the locators; each once."""
        key = slice_key(sample.pixels)
        found = self.cache.get(key, self._trunk_key)
        if found is not None:
            self._hold(key, found)
        else:
            tokens = self._keep_trunk(sample, key)
            if self.cache.get(key, self.base.encoder_key) is None:
                self._keep_embedding(sample, key, tokens)
        self._embed(sample)

    def features(self, samples: Sequence[Sample]) -> Tensor:
        """The embeddings as the last blocks make them now: (n, C, h, w) float32, with gradients."""
        arrays = np.stack([self._trunk_of(sample) for sample in samples])
        tokens = torch.from_numpy(arrays).to(self.base.device).float()
        with self.autocast():
            features = self._split.top(tokens)
        return features.float()

    def _encoder(self, encoder: nn.Module) -> nn.Module:
        changed = shared_copy(encoder)
        self._split = EncoderSplit(changed, self.config.last_blocks)
        # The base's: exact in float32, for what other methods may find in the cache.
        self._base_split = EncoderSplit(encoder, self._split.blocks)
        rules = self.base.encoder_key.partition("-")[2]
        self._trunk_key = f"trunk-{self._split.fingerprint()}-{rules}"
        self._held: dict[str, NDArray[np.float16]] = {}
        for name, parameter in changed.named_parameters():
            if self._encoder_learns(name):
                parameter.data = parameter.detach().clone()
        return changed

    def _encoder_learns(self, name: str) -> bool:
        return name.startswith(self._split.trained)

    def _encoder_tensors(self, share: float) -> dict[str, Tensor]:
        return deltas(self.model.image_encoder, self.base.model.image_encoder, share)

    @classmethod
    def _taught_encoder(cls, encoder: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
        return with_deltas(encoder, tensors)

    def _trunk_of(self, sample: Sample) -> NDArray[np.float16]:
        key = slice_key(sample.pixels)
        if key in self._held:
            return self._held[key]
        found = self.cache.get(key, self._trunk_key)
        if found is None:
            # Somebody deleted or damaged the file meanwhile.
            self._keep_trunk(sample, key)
            return self._trunk_of(sample)
        return np.asarray(found.features)

    def _keep_trunk(self, sample: Sample, key: str) -> Tensor:
        image, _ = self._rules.prepare(sample.pixels)
        with torch.no_grad():
            tokens = self._base_split.trunk(image[None].to(self.base.device))
        half = tokens[0].float().clamp(-_LARGEST, _LARGEST).half().cpu().contiguous().numpy()
        size = (sample.pixels.shape[0], sample.pixels.shape[1])
        kept = self.cache.keep(key, Embedding(half, size, self._trunk_key))
        self.cache.store(key, kept)
        self._hold(key, kept)
        return tokens

    def _hold(self, key: str, kept: Embedding) -> None:
        """Without a disk the cache may let go of it, and a step must not run the trunk again."""
        if self.cache.folder is None or self.cache.problem is not None:
            self._held[key] = np.asarray(kept.features)

    def _keep_embedding(self, sample: Sample, key: str, tokens: Tensor) -> None:
        with torch.no_grad():
            features = self._base_split.top(tokens)[0].float().cpu().contiguous().numpy()
        made = embedding_of(sample.pixels, features, self.base.encoder_key)
        self.cache.store(key, self.cache.keep(key, made))
