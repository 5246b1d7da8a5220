"""What a worker tells of itself: counts at once, and what its device can do after a short trial."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
    from MedSAGaSlicerLib.worker.loaded_model import LoadedModel
    from MedSAGaSlicerLib.worker.scheduler import Lane

_TRIAL_SIDE: Final = 256


def figures(
    cache: EmbeddingCache, lanes: tuple[Lane, Lane], model: LoadedModel | None
) -> dict[str, float | int | str | None]:
    """Sizes of the cache, what waits for the encoder and the decoder, and the process's number."""
    return {
        **cache.usage(),
        "cache_folder": None if cache.folder is None else str(cache.folder),
        "waiting_encodes": len(lanes[0]),
        "waiting_decodes": len(lanes[1]),
        "logits": 0 if model is None else len(model),
        "process": os.getpid(),
    }


def milliseconds_since(begin: float) -> float:
    """Since a moment of `time.perf_counter`."""
    return (time.perf_counter() - begin) * 1000


def survey(model: LoadedModel, slices: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Try the model's device, and plan lessons on so many confirmed slices; imports torch.

    Args:
        model: of the worker.
        slices: confirmed ones.
        settings: of the lessons, as `TeachingConfig.to_dict` has them; those left out are usual.

    Returns:
        Plain values: ``device``, ``card`` (its name, None for a CPU), ``free_bytes`` (None if not
        known), ``operations`` per second, ``encode_ms`` of a slice of 256 x 256, and ``methods``,
        the rows of ``engine.teaching.plan_table`` (none for a model that cannot be taught).
    """
    # Here, not above: a worker's parent imports this package without torch.
    from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
    from MedSAGaSlicerLib.engine.teaching.plan_table import card_name, plan_rows, this_machine

    predictor: Any = model.predictor
    machine = this_machine(str(getattr(predictor, "device", "cpu")))
    blank = np.zeros((_TRIAL_SIDE, _TRIAL_SIDE), np.uint8)
    # The first one may still set things up.
    predictor.encode(blank)
    begin = time.perf_counter()
    predictor.encode(blank)
    milliseconds = milliseconds_since(begin)
    family = getattr(getattr(predictor, "model", None), "family", None)
    config = TeachingConfig.from_dict(dict(settings))
    rows = plan_rows(family, machine, max(1, slices), config=config) if family else []
    return {
        "device": machine.device,
        "card": card_name(machine.device),
        "free_bytes": machine.free,
        "operations": None if machine.speed is None else machine.speed.operations,
        "encode_ms": milliseconds,
        "methods": rows,
    }
