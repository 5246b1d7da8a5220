"""Embeddings that can be told apart, for tests of their cache."""

import numpy as np

from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.embedding_cache import (
    EmbeddingCache,
)

BYTES = 8 * 16 * 16 * 2


def embedding(number: int, encoder: str = "enc") -> Embedding:
    features = np.random.default_rng(number).normal(size=(8, 16, 16)).astype(np.float32)
    return Embedding(features, (100 + number, 90), encoder)


def put(cache: EmbeddingCache, key: str, number: int, encoder: str = "enc") -> None:
    cache.store(key, cache.keep(key, embedding(number, encoder)))
