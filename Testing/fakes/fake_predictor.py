"""A predictor without a network, for worker processes in tests: exact answers, speed on command.

Make ``Testing/fakes`` part of the worker's PYTHONPATH and give the client
``predictor="fake_predictor:load", adapters="fake_predictor:adapt", model=...``. The model is a
name, or "name:folder". With a folder the predictor is told there what to do and tells what it did:

- every encode appends a line "<name> <first pixel>" to the file ``encoded``;
- if ``hold-encode`` exists, an encode starts by making ``encoding`` and then waits until
  ``go-<first pixel>`` exists; ``hold-decode``, ``decoding`` and ``go-decode`` likewise;
- ``crash-encode``, ``crash-decode``: the process kills itself, once for each such file if it is
  empty, always if it contains "always"; ``fail-decode``: an ordinary exception;
- ``full-card``: encoding and decoding fail on a graphics card, as torch says it;
- ``encode-seconds``, ``decode-seconds``: how long it takes, for benchmarks.

An embedding is the slice averaged in 8 x 8 blocks, times the name's length (its only "weight"). A
mask is what a box covers, or a disc about each positive point, of a radius that grows by one with
every refinement: so a mask tells slice, prompts, model and refinements apart.
"""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.finishing.evidence import Finding, weigh
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import CheckpointError, InputError


@dataclass(frozen=True, eq=False)
class Prediction:
    mask: np.ndarray
    logits: np.ndarray
    score: float


class FakePredictor:
    device = "cpu"

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        # Models whose names differ only after a "+" share their encoder, as decoder adapters do.
        self.encoder_key = "fake-" + name.partition("+")[0]

    def encode(self, pixels):
        first = int(pixels.flat[0])
        if self.folder is not None:
            # With the disk full as well, which is what some tests are about.
            with suppress(OSError), (self.folder / "encoded").open("a") as log:
                log.write(f"{self.name} {first}\n")
        self._obey("encode", "encoding", f"go-{first}")
        grey = pixels if pixels.ndim == 2 else pixels[..., 0]
        rows, columns = (-(-size // 8) * 8 for size in grey.shape)
        padded = np.zeros((rows, columns), np.float32)
        padded[: grey.shape[0], : grey.shape[1]] = grey
        blocks = padded.reshape(rows // 8, 8, columns // 8, 8).mean((1, 3))
        return Embedding(blocks[None] * len(self.name), grey.shape, self.encoder_key)

    def predict(self, embedding, prompts, previous_logits=None):
        self._obey("decode", "decoding", "go-decode")
        refinements = 0.0 if previous_logits is None else float(previous_logits[0, 0])
        return expected(embedding.size, prompts, refinements, float(embedding.features[0, 0, 0]))

    def _obey(self, what, started, go):
        if self.folder is None:
            return
        crash = self.folder / f"crash-{what}"
        if crash.exists():
            if "always" not in crash.read_text():
                crash.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if (self.folder / f"fail-{what}").exists():
            msg = f"the fake fails to {what}"
            raise RuntimeError(msg)
        if (self.folder / "full-card").exists() and self.device == "cuda":
            msg = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity ..."
            raise RuntimeError(msg)
        seconds = self.folder / f"{what}-seconds"
        if seconds.exists():
            time.sleep(float(seconds.read_text()))
        if (self.folder / f"hold-{what}").exists():
            (self.folder / started).touch()
            while not (self.folder / go).exists():
                time.sleep(0.001)


def expected(size, prompts, refinements, score):
    """What the fake answers: usable in tests, to compare with."""
    rows, columns = np.indices(size)
    mask = np.zeros(size, bool)
    if prompts.box is not None:
        left, top, right, bottom = prompts.box
        mask |= (columns >= left) & (columns <= right) & (rows >= top) & (rows <= bottom)
    radius = 3 + refinements
    for (column, row), positive in zip(prompts.points, prompts.positive, strict=True):
        disc = (columns - column) ** 2 + (rows - row) ** 2 <= radius**2
        mask = mask | disc if positive else mask & ~disc
    return Prediction(mask, np.full((4, 4), refinements + 1, np.float32), score)


class FakeTaughtPredictor(FakePredictor):
    """Answers the opposite of its base; without prompts, all. Knows no segment called "unknown".

    One whose name starts with "own" has an encoder of its own.
    """

    def __init__(self, name, base):
        super().__init__(f"{base.name}+{name}", base.folder)
        if name.startswith("own"):
            self.encoder_key = f"fake-{name}"

    def predict(self, embedding, prompts, previous_logits=None, segment=None):
        if segment == "unknown":
            msg = "The adapter was not taught 'unknown'"
            raise InputError(msg)
        answer = super().predict(embedding, prompts, previous_logits)
        return replace(answer, mask=~answer.mask)

    def predict_unprompted(self, embedding, segment=None):
        return self.predict(embedding, Prompts(), None, segment)

    def find(self, embedding, segments):
        """All of the slice, with less evidence for each further segment."""
        found = [self.predict_unprompted(embedding, segment) for segment in segments]
        evidence = [np.where(one.mask, 8.0, -8.0) / (at + 1) for at, one in enumerate(found)]
        pooled = embedding.features.mean((1, 2)).astype(np.float32)
        return Finding(weigh(np.stack(evidence)), tuple(one.score for one in found), pooled)


def load(model, device="auto", threads=None):
    """The factory."""
    name, _, folder = model.partition(":")
    print(f"loading {name}: a print that must not reach the protocol")
    if name == "broken":
        msg = f"{model} is no checkpoint"
        raise CheckpointError(msg)
    if name == "fatal":
        os.kill(os.getpid(), signal.SIGKILL)
    predictor = FakePredictor(name, Path(folder) if folder else None)
    predictor.device = "cpu" if device == "auto" else device
    return predictor


def adapt(folder, base):
    """Put an adapter on; a line "adapted <name>" is left where encodes are."""
    if folder.name == "foreign":
        msg = f"The taught model {folder} belongs to another base"
        raise CheckpointError(msg)
    if base.folder is not None:
        with (base.folder / "adapted").open("a") as log:
            log.write(f"{folder.name}\n")
    return FakeTaughtPredictor(folder.name, base)
