"""Which slices to correct next: those that the model is unsure of, and that differ from each other.

Correcting two neighbours teaches little more than correcting one; so each suggestion also counts by
how far it is from what has been confirmed, and from what is suggested already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# How much of its worth a slice loses that looks just like one that is known.
_DIVERSITY: Final = 0.25

# A model that has never seen the like may be sure of nonsense: among slices of which it is equally
# sure, those go first that differ.
_UNSEEN: Final = 0.02


@dataclass(frozen=True)
class Suggestion:
    """A slice worth correcting; ``uncertainty`` is 0 to 1."""

    axis: str
    index: int
    uncertainty: float


@dataclass(frozen=True, eq=False)
class Reviewed:
    """A slice as the review sees it.

    ``pooled`` is the embedding averaged over the slice, float32 (channels,), None if not known.
    """

    index: int
    uncertainty: float
    pooled: NDArray[np.float32] | None = None


def suggest(
    candidates: Sequence[Reviewed],
    known: Sequence[Reviewed],
    count: int,
    diversity: float = _DIVERSITY,
) -> list[Reviewed]:
    """The slices to correct next, the most useful first.

    One after the other the slice with the greatest worth is taken: its uncertainty, less the share
    ``diversity`` of it as far as it resembles a known or a suggested slice. Resemblance goes by the
    embeddings; without them, by the distance along the volume.

    Args:
        candidates: slices that are not confirmed.
        known: confirmed slices; their uncertainty is of no interest.
        count: how many at most.
        diversity: 0 (uncertainty alone) to 1.
    """
    if not candidates:
        return []
    places = _places([*candidates, *known])
    theirs = places[: len(candidates)]
    doubts = np.array([one.uncertainty for one in candidates])
    # How far the slices are from each other at all.
    scale = float(np.median(_distances(theirs, theirs.mean(axis=0, keepdims=True)))) * 2 or 1.0
    nearest = np.full(len(candidates), np.inf)
    if known:
        nearest = _distances(theirs, places[len(candidates) :]).min(axis=1)
    chosen: list[int] = []
    while len(chosen) < min(count, len(candidates)):
        novelty = np.minimum(nearest / scale, 1.0)
        worth = (doubts + _UNSEEN) * (1.0 - diversity * (1.0 - novelty))
        worth[chosen] = -1.0
        best = int(np.argmax(worth))
        chosen.append(best)
        nearest = np.minimum(nearest, _distances(theirs, theirs[best : best + 1])[:, 0])
    return [candidates[at] for at in chosen]


def _places(slices: Sequence[Reviewed]) -> NDArray[np.float64]:
    """A point for each slice, near each other if the slices are alike."""
    known = [one.pooled for one in slices if one.pooled is not None]
    sizes = {vector.size for vector in known}
    if len(known) < len(slices) or len(sizes) != 1 or 0 in sizes:
        return np.array([[float(one.index)] for one in slices])
    vectors = np.stack(known).astype(np.float64)
    # Channels differ in strength for reasons that have nothing to do with the slices.
    return np.asarray((vectors - vectors.mean(axis=0)) / (vectors.std(axis=0) + 1e-6))


def _distances(some: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(some[:, None] - others[None], axis=2))
