"""A stand-in for a model that is exact on images of plain regions."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import ndimage

from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.prompts import Prompts


class RegionPredictor:
    """Finds the connected region of equal grey that the prompts name.

    A box gets what differs inside it from the slice's commonest grey. It remembers what it was
    asked, and how often it encoded.
    """

    def __init__(self) -> None:
        self.encoded = 0
        self.asked: list[tuple[Prompts, Any]] = []

    def encode(self, pixels: np.ndarray) -> Embedding:
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous
        self.encoded += 1
        return Embedding(pixels, pixels.shape[:2], "region")

    def predict(
        self, embedding: Embedding, prompts: Prompts, previous_logits: Any = None
    ) -> SimpleNamespace:
        prompts.validate(embedding.size)
        self.asked.append((prompts, previous_logits))
        grey = embedding.features if embedding.features.ndim == 2 else embedding.features[..., 0]
        mask = np.zeros(grey.shape, bool)
        if prompts.box is not None:
            left, top, right, bottom = (round(edge) for edge in prompts.box)
            inside = np.zeros(grey.shape, bool)
            inside[top : bottom + 1, left : right + 1] = True
            mask |= inside & (grey != np.bincount(grey.ravel()).argmax())
        for (a, b), positive in zip(prompts.points, prompts.positive, strict=True):
            regions, _ = ndimage.label(grey == grey[round(b), round(a)])
            region = regions == regions[round(b), round(a)]
            mask = mask | region if positive else mask & ~region
        logits = np.where(mask, 1.0, -1.0).astype(np.float32)
        return SimpleNamespace(mask=mask, logits=logits, score=0.9 - float(mask.mean()))
