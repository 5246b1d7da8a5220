"""A simulated person: the box drawn around an object, the click on what is wrong most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.prompts import Box, Point


def tight_box(mask: NDArray[np.bool_]) -> Box:
    """The box around a slice's mask: first and last column and row inside.

    Raises:
        InputError: the mask is empty.
    """
    rows, columns = np.nonzero(mask)
    if rows.size == 0:
        msg = "There is no box around an empty mask."
        raise InputError(msg)
    return float(columns.min()), float(rows.min()), float(columns.max()), float(rows.max())


def next_click(
    truth: NDArray[np.bool_],
    mask: NDArray[np.bool_],
    clicked: NDArray[np.bool_] | None = None,
) -> tuple[Point, bool] | None:
    """Where a careful person would click next, and whether positively; None if all is right.

    The click lies at the maximum of the distance transform inside the larger of the false
    negatives and the false positives, the one whose maximum is greater, as the evaluations of
    interactive segmentation do it (RITM, SimpleClick). The slice's border counts as an edge, and
    pixels ``clicked`` before are left out. Distances are in pixels; of equal places the first in
    row order is taken, of equal errors the missed part.

    Args:
        truth: (rows, columns) bool.
        mask: the prediction so far, same shape; empty before the first click.
        clicked: pixels that have had a click.
    """
    free = np.ones(truth.shape, bool) if clicked is None else ~clicked
    missed = _inner_distance(truth & ~mask) * free
    excess = _inner_distance(mask & ~truth) * free
    positive = bool(missed.max() >= excess.max())
    distance = missed if positive else excess
    if distance.max() <= 0:
        return None
    row, column = np.unravel_index(int(np.argmax(distance)), distance.shape)
    return (float(column), float(row)), positive


def components(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """The connected parts of a slice's mask, diagonal neighbours connected, in row order."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3), bool))
    return [labels == number for number in range(1, count + 1)]


def _inner_distance(region: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance of each pixel of a region to the nearest pixel outside, beyond the border too."""
    padded = np.pad(region, 1)
    distance: NDArray[np.float64] = ndimage.distance_transform_edt(padded)[1:-1, 1:-1]
    return distance
