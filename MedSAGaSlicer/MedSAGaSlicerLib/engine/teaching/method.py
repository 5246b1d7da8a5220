"""What every way of teaching has in common: the loop in `loop` knows no more than this."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import torch
from torch import Tensor, nn

from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.families import SamModel
from MedSAGaSlicerLib.engine.teaching.learned_prompt import LearnedPrompt, finer_of

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
    from MedSAGaSlicerLib.engine.predictor import Predictor
    from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
    from MedSAGaSlicerLib.engine.teaching.samples import Sample

LEARNED: Final = "learned_prompt."
"""Before the names of an adapter's tensors that are no weights of the model."""
UNPROMPTED: Final = "unprompted."
"""Before the names of those that find without prompts, where they are others."""
FINDER: Final = "finder."
"""Before the names of the finder's."""
PROMPTED_PARTS: Final = ("prompt_encoder", "mask_decoder")
"""What works on an embedding; every method teaches them."""
_LONGEST_GRADIENT: Final = 1.0
# What starts from nothing has further to go than what a base has learned.
_NEW_RATE: Final = 4.0
# Of the locators, which no base has taught anything, whatever the rate for the rest.
_LOCATOR_PEAK: Final = 6e-3
_NEW_DECAY: Final = 0.05


class Method(ABC):
    """One way of changing a model by examples; one object per lesson.

    The base is never changed: what learns is a copy, the rest is shared with it.

    Attributes:
        name: as in `TeachingConfig.method` and in adapter folders.
        model: the model being taught.
        learned: the tokens of the segments, None if the settings want none.
    """

    name: ClassVar[str]
    lasting_features: ClassVar[bool] = False
    """Whether `features` of a sample stay the same throughout a lesson."""
    encoder_rate: ClassVar[float] = 0.0
    """The encoder's peak rate relative to the decoder's, unless the settings say another."""
    encoder_start: ClassVar[float] = 0.0
    """Part of the steps in which the encoder stays, unless the settings say another."""
    share: ClassVar[float] = 0.85
    """Of the taught weights in what answers prompts, unless the settings say another."""
    rank: ClassVar[int] = 0
    """Of what has one, unless the settings say another."""

    def __init__(
        self,
        base: Predictor,
        segments: Sequence[str],
        config: TeachingConfig,
        cache: EmbeddingCache,
        parts: int = 1,
    ) -> None:
        """Copy what learns.

        Args:
            base: what is taught.
            segments: their names.
            config: settled settings.
            cache: where embeddings are looked up and kept.
            parts: of the examples, each kept from one of the learned prompt's locators.
        """
        self.base = base
        self.cache = cache
        self.config = config
        self.model = self._copied(base.model)
        self.learned: LearnedPrompt | None = None
        self._trained: dict[str, nn.Parameter] = {}
        if config.prompt_tokens:
            neutral = base.model.get_parameter("prompt_encoder.not_a_point_embed.weight")
            self.learned = LearnedPrompt.fresh(
                segments,
                config.prompt_tokens,
                neutral,
                finer_of(base.model),
                parts,
                config.seed,
            ).to(base.device)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(self._learns(name))
        self.optimizer = self._optimizer()

    @classmethod
    @abstractmethod
    def assemble(cls, base: SamModel, tensors: Mapping[str, Tensor]) -> SamModel:
        """The taught model from its base and an adapter's tensors, sharing what is unchanged."""

    @abstractmethod
    def prepare(self, sample: Sample) -> None:
        """Do once for a sample what need not be done in each step, as embedding it."""

    @abstractmethod
    def features(self, samples: Sequence[Sample]) -> Tensor:
        """Embeddings (n, C, h, w) on the base's device, with gradients if the encoder learns."""

    @abstractmethod
    def tensors(self, share: float = 1.0) -> dict[str, Tensor]:
        """What the adapter keeps of the model, on the CPU.

        Replacement tensors by the base's names, or the method's own. `share` of the change is in
        them, the rest is as in the base.
        """

    def unprompted_tensors(self) -> dict[str, Tensor]:
        """As `tensors`, what finds without prompts, if that is not the same."""
        return {}

    @abstractmethod
    def _copied(self, base: SamModel) -> SamModel:
        """A model with copies of the parts that learn; modules may be put into them."""

    @abstractmethod
    def _learns(self, name: str) -> bool:
        """Whether a parameter of the model, by its name there, is trained."""

    def still_features(self, samples: Sequence[Sample]) -> Tensor:
        """Embeddings (n, C, h, w) without gradients, before the model itself has learned."""
        with torch.no_grad():
            return self.features(samples)

    def facts(self) -> dict[str, Any]:
        """What the lesson's report says of the method besides its name, as plain values."""
        return {}

    def autocast(self) -> AbstractContextManager[object]:
        """The precision in which the model is run."""
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Add a loss's gradients to those gathered."""
        loss.backward()  # type: ignore[no-untyped-call]

    def discard(self) -> None:
        """Throw the gathered gradients away."""
        for parameter in self.trained().values():
            parameter.grad = None

    def trained(self) -> dict[str, nn.Parameter]:
        """Everything that is trained, by name; it stays the same throughout a lesson."""
        if not self._trained:
            found = {n: p for n, p in self.model.named_parameters() if self._learns(n)}
            if self.learned is not None:
                found.update({LEARNED + n: p for n, p in self.learned.named_parameters()})
            self._trained = found
        return self._trained

    def update(self, rate: float) -> bool:
        """One optimiser step from the gradients gathered, at `rate` times the peak rate.

        Returns:
            Whether it was made: gradients that are not finite are thrown away.
        """
        # Apart: one part's large gradients must not drown the others.
        finite = all(_shortened(part) for part in self._gradients().values())
        if finite:
            self._step(rate)
        self.discard()
        return finite

    def _step(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        self.optimizer.step()

    def _gradients(self) -> dict[str, list[Tensor]]:
        """What was gathered, by part of the model; may be changed in place."""
        parts: dict[str, list[Tensor]] = {}
        for name, parameter in self.trained().items():
            if parameter.grad is not None:
                part = name.partition(".")[0]
                decodes = part in PROMPTED_PARTS
                parts.setdefault(PROMPTED_PARTS[0] if decodes else part, []).append(parameter.grad)
        return parts

    def _standard(self) -> dict[str, nn.Parameter]:
        """What `optimizer` takes care of, by name."""
        return self.trained()

    def state(self) -> dict[str, Tensor]:
        """All that is needed to go on later: tensors by name."""
        found = {f"weights.{name}": tensor.detach() for name, tensor in self.trained().items()}
        names = {id(tensor): name for name, tensor in self.trained().items()}
        for parameter, values in self.optimizer.state.items():
            for key, value in values.items():
                found[f"optimizer.{key}.{names[id(parameter)]}"] = torch.as_tensor(value)
        return found

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go back to what `state` gave."""
        trained = self.trained()
        with torch.no_grad():
            for name, parameter in trained.items():
                parameter.copy_(state[f"weights.{name}"])
        for entry, value in state.items():
            kind, _, rest = entry.partition(".")
            if kind == "optimizer":
                key, _, name = rest.partition(".")
                # Counters stay on the CPU, where AdamW keeps them.
                kept = value.clone() if value.ndim == 0 else value.to(trained[name].device)
                self.optimizer.state[trained[name]][key] = kept

    def _optimizer(self) -> torch.optim.Optimizer:
        """For what is to be trained by AdamW; each group has its "peak" rate."""
        alike: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in self._standard().items():
            rate = self.config.learning_rate * self._rate(name)
            decay = _NEW_DECAY if name.startswith(LEARNED) else self.config.weight_decay
            kind = rate, decay if parameter.ndim > 1 else 0.0
            alike.setdefault(kind, []).append(parameter)
        groups = [
            {"params": parameters, "weight_decay": decay, "lr": rate, "peak": rate}
            for (rate, decay), parameters in alike.items()
        ]
        # On the CPU one pass over each group; elsewhere torch's own choice.
        return torch.optim.AdamW(groups, fused=self.base.device.type == "cpu" or None)

    def _rate(self, name: str) -> float:
        """A parameter's peak rate relative to the config's."""
        if name.startswith(LEARNED + "locators"):
            return _LOCATOR_PEAK / self.config.learning_rate
        return _NEW_RATE if name.startswith(LEARNED) else 1.0

    def _embed(self, sample: Sample) -> None:
        """Look the base's embedding up, or compute it and keep it; the sample gets it."""
        key, encoder = slice_key(sample.pixels), self.base.encoder_key
        embedding = self.cache.get(key, encoder)
        if embedding is None:
            embedding = self.cache.keep(key, self.base.encode(sample.pixels))
            self.cache.store(key, embedding)
        sample.features = embedding.features

    def _embedded(self, samples: Sequence[Sample]) -> Tensor:
        """What `_embed` gave them: (n, C, h, w) float32, without gradients."""
        arrays = [np.asarray(sample.features, np.float32) for sample in samples]
        return torch.from_numpy(np.stack(arrays)).to(self.base.device)

    def _replacements(self, parts: Sequence[str], share: float) -> dict[str, Tensor]:
        """All tensors of some parts of the model, drawn towards the base."""
        before = self.base.model.state_dict()
        found = {}
        for name, tensor in self.model.state_dict().items():
            if name.partition(".")[0] in parts:
                kept = tensor.detach().cpu()
                drawn = share < 1 and tensor.is_floating_point()
                found[name] = before[name].cpu().lerp(kept, share) if drawn else kept
        return found


def _shortened(gradients: Sequence[Tensor]) -> bool:
    """Cut gradients, taken together, to the greatest length; whether all are finite."""
    lengths = [torch.linalg.vector_norm(gradient) for gradient in gradients]
    if not lengths:
        return True
    length = torch.linalg.vector_norm(torch.stack(lengths))
    factor = (_LONGEST_GRADIENT / (length + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)
    return math.isfinite(float(length))


def with_copies(base: SamModel, parts: Sequence[str]) -> SamModel:
    """A model that has copies of the named parts and shares the others with its base."""
    chosen = {
        part: copy.deepcopy(module) if part in parts else module
        for part, module in base.named_children()
    }
    return SamModel(base.family, **chosen)
