"""Connected parts of one slice, and which of them belong together over slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from MedSAGaSlicerLib.engine import ndimage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_TOUCHING: Final = np.ones((3, 3), np.int8)

Box = tuple[slice, slice]
"""Rows and columns of a part of a slice."""


class Groups:
    """Which of many numbered things belong together, and sums over them (union-find)."""

    def __init__(self) -> None:
        self._parents: list[int] = []

    def add(self, count: int) -> int:
        """Add so many things, each by itself; the first one's number."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return first

    def find(self, thing: int) -> int:
        """The number that stands for all that belong together with this one."""
        parents = self._parents
        while parents[thing] != thing:
            parents[thing] = parents[parents[thing]]
            thing = parents[thing]
        return thing

    def join(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Have these belong together."""
        for one, other in pairs:
            a, b = self.find(one), self.find(other)
            self._parents[max(a, b)] = min(a, b)

    def representatives(self) -> NDArray[np.int64]:
        """For each thing the one that stands for it."""
        return np.array([self.find(thing) for thing in range(len(self._parents))], np.int64)


@dataclass(frozen=True, eq=False)
class SliceParts:
    """The parts of one slice, as far as there are any.

    Attributes:
        box: the rows and columns that ``numbers`` are of.
        numbers: of the part in each pixel, -1 where there is none.
        first: the first part's number; they are numbered on from there.
        sizes: pixels of each part.
    """

    box: Box
    numbers: NDArray[np.int64]
    first: int
    sizes: NDArray[np.int64]

    def spread(self, box: Box, ground: int = -1) -> NDArray[np.int64]:
        """The numbers in a larger box; ``ground`` around."""
        rows, columns = (side.stop - side.start for side in box)
        spread = np.full((rows, columns), ground, np.int64)
        place = tuple(
            slice(own.start - side.start, own.stop - side.start)
            for own, side in zip(self.box, box, strict=True)
        )
        spread[place] = self.numbers
        return spread

    def meetings(self, other: SliceParts, reach: int) -> list[tuple[int, int]]:
        """The pairs of parts, of this slice and the next, that are near each other."""
        box = around(self.box, other.box)
        grown = _grown(other.spread(box), reach, other.sizes.size == 1)
        return meetings_of(self.spread(box), grown)


def parts_of(
    labels: NDArray[np.uint8], label: int, box: Box | None, groups: Groups
) -> SliceParts | None:
    """The parts of one segment on a slice, entered in ``groups``; None if it is not there."""
    if box is None:
        return None
    parts, count = ndimage.label(labels[box] == label, _TOUCHING)
    first = groups.add(int(count))
    numbers = np.where(parts > 0, parts + (first - 1), -1)
    return SliceParts(box, numbers, first, _sizes(parts, int(count)))


def background_of(labels: NDArray[np.uint8], groups: Groups, outside: int) -> SliceParts | None:
    """The holes of a slice, entered in ``groups``; None if it is empty.

    What reaches the border of all segments' box is outside.
    """
    found = ndimage.find_objects((labels > 0).view(np.uint8))
    if not found:
        return None
    box: Box = found[0]
    # Without corners: a closed ring of pixels that touch by corners holds a hole.
    parts, count = ndimage.label(labels[box] == 0)
    closed = np.ones(int(count) + 1, np.bool_)
    for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        closed[edge] = False
    closed[0] = False
    first = groups.add(int(np.count_nonzero(closed)))
    numbers = np.full(closed.size, outside, np.int64)
    numbers[closed] = np.arange(first, first + np.count_nonzero(closed))
    numbers[0] = -1
    sizes = np.bincount(parts.ravel(), minlength=closed.size)[closed]
    return SliceParts(box, numbers[parts], first, sizes)


def around(one: Box, other: Box) -> Box:
    """The smallest box that holds both."""
    rows, columns = (
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    return rows, columns


def _sizes(parts: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """The pixels of each part of a slice, of which there are ``count``."""
    sizes: NDArray[np.int64] = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    return sizes


def _grown(numbers: NDArray[np.int64], reach: int, single: bool) -> NDArray[np.int64]:
    """Parts (-1 outside) with all pixels that are at most ``reach`` away, by the nearest part."""
    if single:
        # Much faster, and with one part there is no nearest one; a square for a disc.
        return np.asarray(ndimage.maximum_filter(numbers, 2 * reach + 1, mode="nearest"))
    away, nearest = ndimage.distance_transform_edt(numbers < 0, return_indices=True)
    # Half a pixel more: corners count.
    return np.where(away <= reach + 0.5, numbers[tuple(nearest)], -1)


def meetings_of(one: NDArray[np.int64], other: NDArray[np.int64]) -> list[tuple[int, int]]:
    """The pairs of parts that have pixels in common."""
    both = (one >= 0) & (other >= 0)
    if not both.any():
        return []
    pairs = np.unique(np.stack([one[both], other[both]], axis=1), axis=0)
    return [(int(a), int(b)) for a, b in pairs]
