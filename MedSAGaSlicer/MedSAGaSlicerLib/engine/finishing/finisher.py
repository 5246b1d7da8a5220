"""From findings on slice after slice to labels: smoothing, competition and how sure it all is."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from MedSAGaSlicerLib.engine.finishing.evidence import certain, compete, disagreement, doubt
from MedSAGaSlicerLib.engine.finishing.smoothing import Smoother, weights_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.finishing.evidence import Finding
    from MedSAGaSlicerLib.engine.finishing.settings import FinishSettings

# Of margin, score, step and flip. Chosen by how soon the worst slices come (accuracy_review.py): a
# model taught from fifteen slices misjudges its score, and knows no mirrored hippocampus.
_WEIGHTS: Final = (1.0, 0.1, 1.0, 0.1)


@dataclass(frozen=True)
class Doubts:
    """What speaks against a segment's mask on a slice; each 0 (nothing) to 1, None if not known.

    Attributes:
        margin: how much of the mask has logits near zero.
        score: what the model thinks its mask lacks of a perfect one.
        step: how little the mask has in common with its neighbours', the mean of both.
        flip: how little it has in common with the mask found on the mirrored slice.
    """

    margin: float
    score: float | None = None
    step: float | None = None
    flip: float | None = None

    @property
    def uncertainty(self) -> float:
        """All of it in one number, 0 to 1: the weighted mean of what is known."""
        values = (self.margin, self.score, self.step, self.flip)
        known = [
            (weight, value)
            for weight, value in zip(_WEIGHTS, values, strict=True)
            if value is not None
        ]
        return sum(weight * value for weight, value in known) / sum(weight for weight, _ in known)


@dataclass(frozen=True, eq=False)
class Opinion:
    """How sure a slice's labels are.

    Attributes:
        index: of the slice.
        doubts: of each segment; None where a person gave the labels.
        pooled: float32 (channels,), as the finding's.
    """

    index: int
    doubts: tuple[Doubts | None, ...]
    pooled: NDArray[np.float32]

    @property
    def uncertainty(self) -> float:
        """Of the least sure segment, 0 to 1."""
        known = [doubts.uncertainty for doubts in self.doubts if doubts is not None]
        return max(known, default=0.0)


@dataclass(frozen=True, eq=False)
class FinishedSlice:
    """A slice as it goes into the volume.

    Attributes:
        labels: uint8 (rows, columns): 0, or 1, 2, ... for the segments.
        opinion: how sure they are.
    """

    labels: NDArray[np.uint8]
    opinion: Opinion

    @property
    def index(self) -> int:
        """Of the slice."""
        return self.opinion.index


@dataclass(frozen=True, eq=False)
class _Waiting:
    """What is known of a slice before its neighbours are."""

    index: int
    margins: tuple[float, ...]
    scores: tuple[float | None, ...]
    flips: tuple[float | None, ...]
    pooled: NDArray[np.float32]
    given: frozenset[int]


class Finisher:
    """Takes the findings of all slices in order and gives finished slices back, in order.

    A slice comes back once enough of its neighbours are there: at most four later. No more than
    that many slices are held.
    """

    def __init__(self, settings: FinishSettings, step_mm: float, pixel_mm: float) -> None:
        """``step_mm`` is from slice to slice, ``pixel_mm`` from pixel to pixel."""
        self._smoother = Smoother(weights_for(step_mm, pixel_mm) if settings.smooth else (1.0,))
        self._waiting: deque[_Waiting] = deque()
        self._last: NDArray[np.uint8] | None = None
        self._held: tuple[_Waiting, NDArray[np.uint8]] | None = None

    def feed(
        self,
        index: int,
        finding: Finding,
        mirrored: Finding | None = None,
        given: Mapping[int, NDArray[np.bool_]] | None = None,
    ) -> Iterator[FinishedSlice]:
        """Take the next slice's finding; yields what is complete now.

        ``mirrored`` is what was found on the mirrored slice, mirrored back. ``given`` are masks
        that a person has settled, by the segment's place in the order: they count for certain.
        """
        evidence = finding.evidence
        count = len(evidence)
        if given:
            evidence = evidence.copy()
            for at, mask in given.items():
                evidence[at] = certain(mask)
        flips: Sequence[float | None] = [None] * count
        if mirrored is not None:
            flips = [
                disagreement(plane > 0, other > 0)
                for plane, other in zip(evidence, mirrored.evidence, strict=True)
            ]
        # Where nothing is found the model's guess of the IoU says nothing.
        scores = [
            float(np.clip(1 - score, 0, 1)) if (plane > 0).any() else None
            for plane, score in zip(evidence, finding.scores, strict=True)
        ]
        margins = tuple(doubt(plane) for plane in evidence)
        settled = frozenset(given or ())
        known = _Waiting(index, margins, tuple(scores), tuple(flips), finding.pooled, settled)
        self._waiting.append(known)
        for smoothed in self._smoother.feed(evidence):
            yield from self._complete(smoothed)

    def close(self) -> Iterator[FinishedSlice]:
        """The rest, after the last slice."""
        for smoothed in self._smoother.close():
            yield from self._complete(smoothed)
        if self._held is not None:
            yield self._finished(*self._held, following=None)
        self._held = self._last = None

    def _complete(self, evidence: NDArray[np.int8]) -> Iterator[FinishedSlice]:
        labels = compete(evidence)
        if self._held is not None:
            yield self._finished(*self._held, following=labels)
        self._held = self._waiting.popleft(), labels

    def _finished(
        self, known: _Waiting, labels: NDArray[np.uint8], following: NDArray[np.uint8] | None
    ) -> FinishedSlice:
        beside = [other for other in (self._last, following) if other is not None]
        self._last = labels
        doubts = tuple(_doubts(known, labels, beside))
        return FinishedSlice(labels, Opinion(known.index, doubts, known.pooled))


def _doubts(
    known: _Waiting, labels: NDArray[np.uint8], beside: Sequence[NDArray[np.uint8]]
) -> Iterator[Doubts | None]:
    for at, margin in enumerate(known.margins):
        if at in known.given:
            yield None
            continue
        mask = labels == at + 1
        # Where the object ends counts as well, on both sides of the end: it is there that slices
        # are missed, by a model that is quite sure of them.
        steps = [disagreement(mask, other == at + 1) for other in beside]
        step = sum(steps) / len(steps) if steps else None
        yield Doubts(margin, known.scores[at], step, known.flips[at])
