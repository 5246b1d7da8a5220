"""What a lesson's settings leave open, settled for a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from MedSAGaSlicerLib.engine.teaching.adapters import METHOD_CLASSES
from MedSAGaSlicerLib.engine.teaching.config import AUTO, TeachingConfig
from MedSAGaSlicerLib.engine.teaching.decoder_method import DecoderMethod
from MedSAGaSlicerLib.engine.teaching.memory_plan import circumstances
from MedSAGaSlicerLib.engine.teaching.model_costs import cost_of
from MedSAGaSlicerLib.engine.teaching.time_plan import Pace

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
    from MedSAGaSlicerLib.engine.families import SamModel
    from MedSAGaSlicerLib.engine.predictor import Predictor
    from MedSAGaSlicerLib.engine.teaching.method import Method

_SMALL_LOGITS: Final = 128


def settled(config: TeachingConfig, model: SamModel) -> TeachingConfig:
    """The same settings with nothing left open.

    A decoder with small logits takes several objects at once, and its encoder is quick enough for
    several views; SAM's takes one, since a step of it costs as much as eight of those.
    """
    small = model.logits_size <= _SMALL_LOGITS
    method = DecoderMethod.name if config.method == AUTO else config.method
    batch = config.batch or (4 if small else 1)
    return replace(
        config,
        method=method,
        batch=batch,
        at_once=config.at_once or (batch if small else 1),
        encoder_rate=config.encoder_rate or METHOD_CLASSES[method].encoder_rate,
        encoder_start=config.encoder_start or METHOD_CLASSES[method].encoder_start,
        rank=config.rank or METHOD_CLASSES[method].rank,
        share=config.share or METHOD_CLASSES[method].share,
        views=config.views or (8 if small else 2),
        guesses=config.guesses or (8 if small else 1),
    )


def undecided(known: TeachingConfig, given: TeachingConfig) -> TeachingConfig:
    """Settled settings with the method open, and what depends on it as it was given."""
    return replace(
        known,
        method=AUTO,
        share=given.share,
        encoder_rate=given.encoder_rate,
        encoder_start=given.encoder_start,
        rank=given.rank,
    )


def lesson_pace(base: Predictor, config: TeachingConfig, slices: int) -> Pace:
    """How the steps of a lesson with settled settings on so many confirmed slices compare."""
    given = circumstances(config, slices, base.device.type)
    return Pace(cost_of(base.model.family), config.method, given)


def make_method(
    config: TeachingConfig,
    base: Predictor,
    segments: Sequence[str],
    cache: EmbeddingCache,
    parts: int,
) -> Method:
    """The method that settled settings name, ready to learn; arguments as `Method`'s."""
    return METHOD_CLASSES[config.method](base, segments, config, cache, parts)
