"""What speaks for a segment in each pixel: logits in few bits, as they travel and are weighed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS: Final = 16
"""Units of evidence in a logit."""

SUREST: Final = 127
"""The largest evidence, for a segment or, negative, against it: a logit of almost 8."""

# A logit of 4. With more, a confirmed slice would overrule what is plainly seen on the next one.
_CERTAIN: Final = 4 * STEPS

# Where the model is this sure it adds nothing: thousands of pixels of plain background would.
_SURE_ENOUGH: Final = 0.05

# Pixels that a slice without the segment is compared with, as if some were there.
_LEAST_AREA: Final = 20.0


@dataclass(frozen=True, eq=False)
class Finding:
    """What a taught model finds on one slice without any prompt.

    Attributes:
        evidence: int8 (segments, rows, columns) in the slice's grid, 1/16 logit; positive inside.
        scores: the model's own guess of each mask's IoU, about 0 to 1.
        pooled: float32 (channels,): the slice's embedding, averaged over the slice.
    """

    evidence: NDArray[np.int8]
    scores: tuple[float, ...]
    pooled: NDArray[np.float32]


def weigh(logits: NDArray[np.floating]) -> NDArray[np.int8]:
    """Logits as evidence; what is positive stays positive, however little."""
    scaled = np.ceil(np.asarray(logits, np.float32) * STEPS)
    weighed: NDArray[np.int8] = np.clip(scaled, -SUREST, SUREST).astype(np.int8)
    return weighed


def certain(masks: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Evidence of what a person has confirmed: as much as a model has that is sure."""
    return np.where(masks, np.int8(_CERTAIN), np.int8(-_CERTAIN))


def compete(evidence: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Who gets each pixel: 0 for none, 1, 2, ... for the segments, uint8 (rows, columns).

    Where several want it, the one with most evidence, among equals the first.

    Args:
        evidence: (segments, rows, columns), at most 255 segments.
    """
    best = np.zeros(evidence.shape[1:], np.int8)
    labels = np.zeros(evidence.shape[1:], np.uint8)
    # One after the other: all at once would be all segments' slices again.
    for number, plane in enumerate(evidence, start=1):
        wins = plane > best
        best[wins] = plane[wins]
        labels[wins] = number
    return labels


def doubt(plane: NDArray[np.int8]) -> float:
    """How much of a mask is doubtful, 0 to 1: one less the Dice to be expected of it.

    If each pixel belongs to the segment with the probability p that its logit stands for, the mask
    of those above one half has, about, the Dice 2 * sum(p inside) / (sum(p) + pixels inside).
    """
    counts = np.bincount(plane.ravel().view(np.uint8), minlength=256)
    inside = _VALUES > 0
    total, area = float(counts @ _CHANCES), float(counts[inside].sum())
    right = float(counts[inside] @ _CHANCES[inside])
    return 1.0 - (2 * right + _LEAST_AREA) / (total + area + _LEAST_AREA)


def disagreement(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """One less the Dice of two masks, with a few pixels in common: a speck is no contradiction."""
    total = int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    both = int(np.count_nonzero(one & other))
    return 1.0 - (2 * both + _LEAST_AREA) / (total + _LEAST_AREA)


def unknown(finding: Finding) -> Finding:
    """A finding that says nothing about any pixel."""
    return Finding(np.zeros_like(finding.evidence), finding.scores, finding.pooled)


def mirrored_back(finding: Finding) -> Finding:
    """What was found on the mirrored slice, in the slice's own columns."""
    evidence = np.ascontiguousarray(finding.evidence[:, :, ::-1])
    return Finding(evidence, finding.scores, finding.pooled)


def _chances() -> NDArray[np.float64]:
    chances = 1.0 / (1.0 + np.exp(-_VALUES / STEPS))
    chances[chances < _SURE_ENOUGH] = 0.0
    chances[chances > 1.0 - _SURE_ENOUGH] = 1.0
    return chances


# By the byte that stands for a value.
_VALUES: Final = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.float64)
_CHANCES: Final = _chances()
