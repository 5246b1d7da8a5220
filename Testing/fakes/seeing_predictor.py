"""A model that finds what is bright, and volumes with bright things."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.geometry import Geometry
from MedSAGaSlicerLib.engine.images import Volume
from MedSAGaSlicerLib.engine.prompts import Prompts, SlicePrompts

SIZE = (16, 36, 40)


class SeeingPredictor:
    """Finds what is bright in or near a box, or all that is bright for points."""

    encoder_key = "seeing"

    def __init__(self):
        self.encoded = 0
        self.asked = []

    def encode(self, pixels):
        self.encoded += 1
        return Embedding(pixels, pixels.shape[:2], self.encoder_key)

    def predict(self, embedding, prompts, previous_logits=None):
        prompts.validate(embedding.size)
        self.asked.append((prompts, previous_logits))
        mask = embedding.features > 128
        if prompts.box is not None:
            left, top, right, bottom = (round(edge) for edge in prompts.box)
            near = np.zeros(mask.shape, bool)
            near[max(0, top - 2) : bottom + 3, max(0, left - 2) : right + 3] = True
            mask &= near
        return SimpleNamespace(mask=mask, logits=np.zeros((4, 4), np.float32), score=0.95)


def ball(center=(8, 18, 20), radius=(5, 9, 9), size=SIZE):
    grid = np.mgrid[: size[0], : size[1], : size[2]].astype(float)
    parts = [((g - c) / r) ** 2 for g, c, r in zip(grid, center, radius, strict=True)]
    return sum(parts) < 1


def volume_of(truth, spacing=(1.0, 1.0, 2.0), dtype=np.float32):
    noise = np.random.default_rng(0).normal(0, 6, truth.shape)
    array = np.where(truth, 200, 60) + noise
    k, j, i = truth.shape
    axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    geometry = Geometry((i, j, k), spacing, (0.0, 0.0, 0.0), axes)
    return Volume(array.astype(dtype), geometry, is_2d=False, path=Path("made"))


def box(truth, index, axis="k"):
    plane = np.moveaxis(truth, "kji".index(axis), 0)[index]
    rows, columns = np.nonzero(plane)
    around = (columns.min(), rows.min(), columns.max(), rows.max())
    return SlicePrompts(axis, index, Prompts(box=tuple(float(edge) for edge in around)))


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))
