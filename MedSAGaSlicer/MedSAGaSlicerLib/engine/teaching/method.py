"""What every way of teaching has in common: the loop in `loop` knows no more than this."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

import torch
from torch import Tensor, nn

from MedSAGaSlicerLib.engine.families import SamModel
from MedSAGaSlicerLib.engine.teaching.learned_prompt import LearnedPrompt

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
    from MedSAGaSlicerLib.engine.predictor import Predictor
    from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
    from MedSAGaSlicerLib.engine.teaching.samples import Sample

LEARNED: Final = "learned_prompt."
"""Before the names of an adapter's tensors that are no weights of the model."""
_LONGEST_GRADIENT: Final = 1.0
# What starts from nothing has further to go than what a base has learned.
_NEW_RATE: Final = 4.0
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
        if config.prompt_tokens:
            neutral = base.model.get_parameter("prompt_encoder.not_a_point_embed.weight")
            grid: tuple[int, int] = base.model.prompt_encoder.image_embedding_size  # type: ignore[assignment]
            self.learned = LearnedPrompt.fresh(
                segments,
                config.prompt_tokens,
                neutral,
                base.model.logits_size // grid[0],
                parts,
                config.seed,
            ).to(base.device)
        for name, parameter in self.model.named_parameters():
            if self._learns(name):
                parameter.requires_grad_(True)
        self.optimizer = self._optimizer()

    @staticmethod
    @abstractmethod
    def assemble(base: SamModel, tensors: Mapping[str, Tensor]) -> SamModel:
        """The taught model from its base and an adapter's tensors, sharing what is unchanged."""

    @abstractmethod
    def prepare(self, sample: Sample) -> None:
        """Do once for a sample what need not be done in each step, as embedding it."""

    @abstractmethod
    def features(self, samples: Sequence[Sample]) -> Tensor:
        """Embeddings (n, C, h, w) on the base's device, with gradients if the encoder learns."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """What the adapter keeps of the model: replacement tensors by the base's names, or own."""

    @staticmethod
    @abstractmethod
    def _copied(base: SamModel) -> SamModel:
        """A model with copies of the parts that learn."""

    @staticmethod
    @abstractmethod
    def _learns(name: str) -> bool:
        """Whether a parameter of the model, by the base's name, is trained."""

    def trained(self) -> dict[str, nn.Parameter]:
        """Everything that is trained, by name."""
        found = {n: p for n, p in self.model.named_parameters() if self._learns(n)}
        if self.learned is not None:
            found.update({LEARNED + n: p for n, p in self.learned.named_parameters()})
        return found

    def update(self, rate: float) -> bool:
        """One optimiser step from the gradients gathered, at `rate` times the peak rate.

        Returns:
            Whether it was made: gradients that are not finite are thrown away.
        """
        trained = self.trained()
        own = [tensor for name, tensor in trained.items() if not name.startswith(LEARNED)]
        new = [tensor for name, tensor in trained.items() if name.startswith(LEARNED)]
        # Apart: what begins from nothing has gradients that would drown the others.
        lengths = [nn.utils.clip_grad_norm_(part, _LONGEST_GRADIENT) for part in (own, new)]
        finite = all(math.isfinite(float(length)) for length in lengths)
        if finite:
            for group in self.optimizer.param_groups:
                group["lr"] = group["peak"] * rate
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return finite

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
        peak = self.config.learning_rate
        groups = []
        for name, parameter in self.trained().items():
            new = name.startswith(LEARNED)
            rate = peak * (_NEW_RATE if new else 1.0)
            decay = _NEW_DECAY if new else self.config.weight_decay
            groups.append(
                {
                    "params": [parameter],
                    "weight_decay": decay if parameter.ndim > 1 else 0.0,
                    "lr": rate,
                    "peak": rate,
                }
            )
        return torch.optim.AdamW(groups)


def with_copies(base: SamModel, parts: Sequence[str]) -> SamModel:
    """A model that has copies of the named parts and shares the others with its base."""
    chosen = {
        part: copy.deepcopy(module) if part in parts else module
        for part, module in base.named_children()
    }
    return SamModel(base.family, **chosen)
