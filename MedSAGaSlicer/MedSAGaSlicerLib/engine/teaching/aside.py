"""The slices of a lesson that are kept aside, and how models answer on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.teaching.guard import Score, measure
from MedSAGaSlicerLib.engine.teaching.results import answering

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.embedding import Embedding
    from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
    from MedSAGaSlicerLib.engine.examples import Example
    from MedSAGaSlicerLib.engine.predictor import Predictor


class Aside:
    """Measures a base and what became of it on the same slices, each with its own embeddings."""

    def __init__(self, examples: Sequence[Example], base: Predictor, cache: EmbeddingCache) -> None:
        """Nothing is embedded yet."""
        self._examples = examples
        self._base = base
        self._cache = cache

    def __len__(self) -> int:
        return len(self._examples)

    def prepare(self) -> Iterator[int]:
        """Embed the slices by the base; yields how many are ready."""
        for number, example in enumerate(self._examples, 1):
            self._embedded(example, self._base)
            yield number

    def measured(self, model: Predictor) -> Iterator[Score]:
        """One segment's score on one slice after the other."""
        held_out = ((example, self._embedded(example, model)) for example in self._examples)
        return measure(held_out, *answering(model))

    def _embedded(self, example: Example, model: Predictor) -> Embedding:
        shown = example.shown(model.depth)
        key = example.key if model.depth == 1 else slice_key(shown)
        found = self._cache.get(key, model.encoder_key)
        # One that was made for prompts alone has no look, without which a finder sees nothing.
        if found is None or found.look is None:
            found = self._cache.keep(key, model.encode(shown))
            # An encoder that was taught may be thrown away in a moment.
            if model.encoder_key == self._base.encoder_key:
                self._cache.store(key, found)
        return found
