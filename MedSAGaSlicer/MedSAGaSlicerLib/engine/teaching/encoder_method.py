"""What the ways of teaching have in common in which the image encoder learns too."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import TYPE_CHECKING, ClassVar, Final

import torch
from torch import Tensor, nn

from MedSAGaSlicerLib.engine.attention import fuse_attention
from MedSAGaSlicerLib.engine.families import SamModel
from MedSAGaSlicerLib.engine.preprocessing import preprocessing_of
from MedSAGaSlicerLib.engine.teaching.checkpointing import checkpoint_blocks
from MedSAGaSlicerLib.engine.teaching.loss_scaler import LossScaler
from MedSAGaSlicerLib.engine.teaching.memory_plan import recomputes
from MedSAGaSlicerLib.engine.teaching.method import PROMPTED_PARTS, Method, with_copies
from MedSAGaSlicerLib.engine.teaching.model_costs import cost_of
from MedSAGaSlicerLib.engine.teaching.shared_copy import shared_copy

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
    from MedSAGaSlicerLib.engine.predictor import Predictor
    from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
    from MedSAGaSlicerLib.engine.teaching.samples import Sample

ENCODER: Final = "image_encoder."
_SCALER: Final = "scaler."


class EncoderMethod(Method):
    """First the decoder learns alone, on the base's embeddings, then the encoder along with it.

    A decoder that knows nothing yet of the structure would pull the encoder away from what it sees
    well (Kumar et al. 2022, "Fine-tuning can distort pretrained features"), and steps on embeddings
    that are cached cost a tenth. Then every step runs the encoder with gradients, on the views of
    which the embeddings were made: new ones in each step taught less in as many steps.

    Blocks are checkpointed unless they keep next to nothing; prompt encoder and decoder learn in
    full by AdamW. On CUDA the model is run in half precision with scaled losses, its weights stay
    float32.

    A subclass says what of the encoder learns and what an adapter keeps of it:

    - `_encoder(encoder)`: the encoder that learns, with modules of its own; the base's is never
      touched. It may share the base's weights where they stay (`shared_copy`) and get others.
    - `_encoder_learns(name)`: whether a parameter of it, by its name within the encoder, is
      trained. Everything else is frozen.
    - `_encoder_tensors(share)`: what an adapter keeps of it, by names of the method's own within
      the encoder; `share` of the change, which the guard measures and the adapter has.
    - `_taught_encoder(encoder, tensors)`: from the base's encoder and those tensors, the taught
      one, for answering prompts. It gets embedding keys of its own from its weights.

    The rest can be kept: `encoder_rate`, `_optimizer`, `state` and `load_state` for another
    optimiser; `prepare` and `features` for another way through the encoder.
    """

    encoder_start: ClassVar[float] = 0.5

    def __init__(
        self,
        base: Predictor,
        segments: Sequence[str],
        config: TeachingConfig,
        cache: EmbeddingCache,
        parts: int = 1,
    ) -> None:
        """As `Method`; the base's weights are needed until the end."""
        super().__init__(base, segments, config, cache, parts)
        self._rules = preprocessing_of(base.model.family, base.model.input_size)
        self._half = base.device.type == "cuda"
        self.scaler = LossScaler(needed=self._half)
        fuse_attention(self.model.image_encoder)
        if recomputes(cost_of(base.model.family), self.name):
            checkpoint_blocks(self.model.image_encoder)

    @classmethod
    def assemble(cls, base: SamModel, tensors: Mapping[str, Tensor]) -> SamModel:
        """Decoder and prompt encoder of the adapter's; the encoder as `_taught_encoder` makes it.

        Raises:
            RuntimeError, KeyError, ValueError: the tensors do not fit the base.
        """
        model = with_copies(base, PROMPTED_PARTS)
        for part in PROMPTED_PARTS:
            module = model.get_submodule(part)
            module.load_state_dict(within(part + ".", tensors), strict=True)
            module.requires_grad_(False)
        own = within(ENCODER, tensors)
        model.image_encoder = cls._taught_encoder(base.image_encoder, own)
        model.image_encoder.requires_grad_(False)
        return model

    @abstractmethod
    def _encoder(self, encoder: nn.Module) -> nn.Module:
        """The encoder that learns, made from the base's."""

    @abstractmethod
    def _encoder_learns(self, name: str) -> bool:
        """Whether a parameter, by its name within the encoder that learns, is trained."""

    @abstractmethod
    def _encoder_tensors(self, share: float) -> dict[str, Tensor]:
        """What an adapter keeps of the encoder, with `share` of its change."""

    @classmethod
    @abstractmethod
    def _taught_encoder(cls, encoder: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
        """The encoder for answering prompts, from the base's and what an adapter keeps.

        Raises:
            RuntimeError, KeyError, ValueError: the tensors do not fit the base.
        """

    def prepare(self, sample: Sample) -> None:
        """The base's embedding, from which the decoder learns before the encoder does."""
        self._embed(sample)

    def still_features(self, samples: Sequence[Sample]) -> Tensor:
        """The base's embeddings."""
        return self._embedded(samples)

    def features(self, samples: Sequence[Sample]) -> Tensor:
        """The embeddings as the encoder makes them now: (n, C, h, w) float32, with gradients."""
        images = torch.stack([self._rules.prepare(sample.shown)[0] for sample in samples])
        with self.autocast():
            features: Tensor = self.model.image_encoder(images.to(self.base.device))
        return features.float()

    def tensors(self, share: float = 1.0) -> dict[str, Tensor]:
        """Decoder and prompt encoder whole, float32, and what the method keeps of the encoder."""
        own = {ENCODER + n: tensor.cpu() for n, tensor in self._encoder_tensors(share).items()}
        return {**self._replacements(PROMPTED_PARTS, share), **own}

    def autocast(self) -> AbstractContextManager[object]:
        """Half precision where torch finds it good enough, on CUDA."""
        if not self._half:
            return nullcontext()
        # Weights change from step to step: copies of them in half precision are not worth keeping.
        return torch.autocast("cuda", torch.float16, cache_enabled=False)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients, larger by the scaler's factor until the update."""
        super().backward(loss * self.scaler.scale)

    def update(self, rate: float) -> bool:
        """As `Method.update`; a step that half precision spoiled is left out."""
        if self.scaler.scale != 1:
            for gradient in chain.from_iterable(self._gradients().values()):
                gradient.div_(self.scaler.scale)
        finite = super().update(rate)
        self.scaler.told(finite=finite)
        return finite

    def state(self) -> dict[str, Tensor]:
        """As `Method.state`."""
        return {**super().state(), **{_SCALER + n: v for n, v in self.scaler.state().items()}}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """As `Method.load_state`; it may come from another device."""
        super().load_state(state)
        self.scaler.load_state(within(_SCALER, state))

    def _copied(self, base: SamModel) -> SamModel:
        model = with_copies(base, PROMPTED_PARTS)
        model.image_encoder = self._encoder(base.image_encoder)
        return model

    def _learns(self, name: str) -> bool:
        if name.startswith(ENCODER):
            return self._encoder_learns(name.removeprefix(ENCODER))
        return name.partition(".")[0] in PROMPTED_PARTS

    def _rate(self, name: str) -> float:
        return self.config.encoder_rate if name.startswith(ENCODER) else super()._rate(name)


def deltas(encoder: nn.Module, base: nn.Module, share: float) -> dict[str, Tensor]:
    """How an encoder's trained parameters differ from the base's of the same names, float16.

    Differences need no more: rounding them changes a weight by a thousandth of its change, where
    rounding the weight itself would change all that was never taught as well.
    """
    before = dict(base.named_parameters())
    return {
        name: ((parameter.detach() - before[name].detach()) * share).half()
        for name, parameter in encoder.named_parameters()
        if parameter.requires_grad
    }


def with_deltas(base: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """A copy of an encoder with `deltas` added; what has none is shared.

    Raises:
        KeyError, ValueError: it has no parameter of that name, or one of another shape.
    """
    changed = shared_copy(base)
    parameters = dict(changed.named_parameters())
    for name, delta in tensors.items():
        parameter = parameters[name]
        if parameter.shape != delta.shape:
            msg = f"{name} has the shape {tuple(parameter.shape)}, its change {tuple(delta.shape)}"
            raise ValueError(msg)
        parameter.data = parameter.detach() + delta.to(parameter)
    return changed


def within(start: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, by the rest of their names."""
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
