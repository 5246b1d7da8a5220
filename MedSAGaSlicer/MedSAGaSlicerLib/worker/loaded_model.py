"""A model in the worker: what is asked of it, how it is loaded, and the logits it has made."""

import importlib
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.prompts import Prompts

LOGITS_KEPT = 256
Logits = npt.NDArray[np.float32]


class Prediction(Protocol):
    """What the worker takes from a prediction, see ``engine.predictor.Prediction``."""

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Of the slice: (rows, columns)."""

    @property
    def logits(self) -> Logits:
        """Of the model's own low resolution."""

    @property
    def score(self) -> float:
        """The model's own estimate of the IoU."""


class Predictor(Protocol):
    """What the worker asks of a model, from two threads at once; see ``engine.predictor``."""

    @property
    def encoder_key(self) -> str:
        """Names encoder and preprocessing."""

    def encode(self, pixels: npt.NDArray[np.uint8], /) -> Embedding:
        """Embed a slice."""

    def predict(
        self, embedding: Embedding, prompts: Prompts, previous_logits: Logits | None = None, /
    ) -> Prediction:
        """Answer prompts on it."""


class LoadedModel:
    """A predictor with the logits of its last answers."""

    def __init__(self, predictor: Predictor) -> None:
        """The encoder's key is asked for once: it may be a hash over all weights."""
        self.predictor = predictor
        self.encoder = predictor.encoder_key
        self._logits: OrderedDict[int, Logits] = OrderedDict()

    def __len__(self) -> int:
        return len(self._logits)

    def logits(self, number: int | None) -> Logits | None:
        """The logits kept under a number, None if there are none any more."""
        return None if number is None else self._logits.get(number)

    def keep_logits(self, number: int, logits: Logits) -> None:
        """Keep logits under a number, at the price of the oldest ones if there are too many."""
        self._logits[number] = logits
        while len(self._logits) > LOGITS_KEPT:
            self._logits.popitem(last=False)

    def release_logits(self, number: int) -> None:
        """Drop what is kept under a number, if it is."""
        self._logits.pop(number, None)


def load(factory: str, model: str, adapter: str | None, device: str, threads: int) -> Predictor:
    """Call the "module:function" that loads models; the adapter is passed on only if there is one.

    Raises:
        ImportError, AttributeError: there is no such function.
    """
    module, _, function = factory.partition(":")
    make: Callable[..., Predictor] = getattr(importlib.import_module(module), function)
    options = {} if adapter is None else {"adapter": adapter}
    return make(model, device=device, threads=threads, **options)


def default_threads() -> int:
    """Leave one core to the program that shows the images."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return max(1, cores - 1)
