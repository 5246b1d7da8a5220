"""A model in the worker: what is asked of it, how it is loaded, and the logits it has made."""

import gc
import importlib
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.prompts import MaskPrompt, Prompts

LOGITS_KEPT = 256
ADAPTERS_KEPT = 8
ENCODERS_KEPT = 2
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
        self, embedding: Embedding, prompts: Prompts, previous_logits: MaskPrompt | None = None, /
    ) -> Prediction:
        """Answer prompts on it."""


class TaughtPredictor(Predictor, Protocol):
    """A predictor with an adapter on; see ``engine.teaching.taught``."""

    def predict(
        self,
        embedding: Embedding,
        prompts: Prompts,
        previous_logits: MaskPrompt | None = None,
        segment: str | None = None,
        /,
    ) -> Prediction:
        """Answer prompts that are about a segment it was taught."""

    def predict_unprompted(self, embedding: Embedding, segment: str | None = None, /) -> Prediction:
        """Find a segment it was taught."""


class LoadedModel:
    """A predictor with the adapters on it, and the logits of its last answers.

    The base is loaded once: adapters share what they leave alone, and are read when first asked
    for. Those with an encoder of their own need as much memory as the base, so fewer of them stay;
    another one in turn costs reading its weights again, and none of its embeddings. May be used
    from several threads.
    """

    def __init__(self, predictor: Predictor, adapt: Callable[[str], TaughtPredictor]) -> None:
        """The encoder's key is asked for once: it may be a hash over all weights."""
        self.predictor = predictor
        self.encoder = predictor.encoder_key
        self._adapt = adapt
        self._taught: OrderedDict[tuple[str, int], TaughtPredictor] = OrderedDict()
        self._adapting = threading.Lock()
        self._logits: OrderedDict[int, Logits] = OrderedDict()

    def __len__(self) -> int:
        return len(self._logits)

    def taught(self, adapter: str | None) -> Predictor:
        """The predictor with an adapter on, from memory if it is there; without one, the base.

        Raises:
            CheckpointError: the adapter cannot be read, or belongs to another base.
        """
        if adapter is None:
            return self.predictor
        # A folder that was replaced on disk is another adapter.
        name = (adapter, _written(adapter))
        with self._adapting:
            if name not in self._taught:
                self._taught[name] = self._adapt(adapter)
            self._taught.move_to_end(name)
            self._forget()
            return self._taught[name]

    def _forget(self) -> None:
        """Drop those not used for the longest time, if they are too many."""
        while len(self._taught) > ADAPTERS_KEPT:
            self._taught.popitem(last=False)
        large = [name for name, one in self._taught.items() if one.encoder_key != self.encoder]
        for name in large[:-ENCODERS_KEPT]:
            del self._taught[name]

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


def predict(
    predictor: Predictor,
    embedding: Embedding,
    prompts: Prompts,
    previous: MaskPrompt | None,
    segment: str | None,
) -> Prediction:
    """Answer prompts; a ``segment``, or no prompt at all, is only for what was taught it."""
    if segment is None:
        return predictor.predict(embedding, prompts, previous)
    taught = cast(TaughtPredictor, predictor)
    if prompts.is_empty and previous is None:
        return taught.predict_unprompted(embedding, segment)
    return taught.predict(embedding, prompts, previous, segment)


def load(
    factory: str,
    model: str,
    adapter: str | None,
    device: str,
    threads: int,
    adapters: str,
    precision: str | None = None,
) -> LoadedModel:
    """Load a model, and with an adapter have that one on by default.

    ``factory`` and ``adapters`` are the "module:function" that make a predictor of a model, and
    one of an adapter's folder and its base.

    Raises:
        ImportError, AttributeError: there is no such function.
    """
    base: Predictor = base_of(factory, model, device, threads, precision)

    def adapt(folder: str) -> TaughtPredictor:
        taught: TaughtPredictor = function_of(adapters)(Path(folder), base)
        return taught

    return LoadedModel(base if adapter is None else adapt(adapter), adapt)


def base_of(factory: str, model: str, device: str, threads: int, precision: str | None) -> Any:
    """What a "module:function" makes of a model; it is told of the precision only if one is asked.

    Raises:
        ImportError, AttributeError: there is no such function.
    """
    asked = {} if precision is None else {"precision": precision}
    return function_of(factory)(model, device=device, threads=threads, **asked)


def give_back_memory() -> None:
    """Return what a replaced model leaves reserved on a graphics card."""
    gc.collect()
    # Whoever has put something there has imported it; nobody else has to.
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def default_threads() -> int:
    """Leave one core to the program that shows the images."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return max(1, cores - 1)


def function_of(name: str) -> Callable[..., Any]:
    """What a "module:function" names.

    Raises:
        ImportError, AttributeError: there is no such function.
    """
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def _written(adapter: str) -> int:
    with suppress(OSError):
        return (Path(adapter) / "model.json").stat().st_mtime_ns
    return 0
