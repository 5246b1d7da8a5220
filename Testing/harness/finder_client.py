"""A worker that finds balls without prompts."""

import numpy as np
from harness.fake_client import FakeClient

from MedSAGaSlicerLib.engine.finishing.evidence import Finding
from MedSAGaSlicerLib.scene.segments import read_slice, write_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of
from MedSAGaSlicerLib.worker.events import Failed, Found


class FinderClient(FakeClient):
    """Finds what is bright as "tumour", and, less surely, everything as "liver".

    ``unsure`` are numbers of answers with weak evidence, ``fails`` of those that fail.
    """

    def __post_init__(self):
        super().__post_init__()
        self.found, self.unsure, self.fails = [], (), ()

    def decode(self, key, prompts, *, taught=None, **options):
        return super().decode(key, prompts, **options)

    def find(self, key, adapter, segments, *, pixels):
        seen, number = pixels(), self._next()
        strength = 2 if len(self.found) in self.unsure else 64
        planes = {"tumour": np.where(seen > 128, strength, -strength)}
        planes["liver"] = np.full(seen.shape, 32)
        evidence = np.stack([planes[name] for name in segments]).astype(np.int8)
        pooled = np.array([float(seen.mean()), float(seen.std())], np.float32)
        event = Found(number, key, Finding(evidence, (0.9,) * len(segments), pooled), 1.0)
        if len(self.found) in self.fails:
            event = Failed(number, "input", "The adapter cannot be read.")
        self.found.append((adapter, tuple(segments)))
        self._waiting.append((self.delay, event))
        return number


def at(annotator, k, segment="tumour", axis="k"):
    position = SlicePosition(axis, k)
    return read_slice(annotator.segmentation, segment, grid_of(annotator.volume), position)


def paint(annotator, k, mask, segment="tumour"):
    write_slice(annotator.segmentation, segment, annotator.volume, SlicePosition("k", k), mask)
