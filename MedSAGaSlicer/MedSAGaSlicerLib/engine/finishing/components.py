"""Connected parts of a volume found slice by slice: what they are is known after the last one.

A volume is looked at twice, in the same order: `survey` each slice, then have each `cleaned`. Only
counts are kept in between, so memory grows with the number of parts, not with the volume. A slice
that was edited in between stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

# Parts on neighbouring slices belong together if one lies within half the way between the slices
# of the other: what runs at 45 degrees. Further than this many pixels nothing is looked for.
_FURTHEST: Final = 10

_TOUCHING: Final = np.ones((3, 3), np.int8)


class Cleaner(Protocol):
    """Something that looks at all slices before it changes one."""

    def survey(self, labels: NDArray[np.uint8]) -> None:
        """Look at the next slice, (rows, columns)."""

    def cleaned(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The next slice as it should be; the slices come again, in the same order."""


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


class SmallParts:
    """Removes parts of a segment that are small beside its largest one.

    Parts of one slice that touch, corners included, are one; across slices see `reach_of`.
    """

    def __init__(self, segments: int, smallest: float, reach: int) -> None:
        """``smallest`` is the share of the largest part's voxels that a part needs to stay."""
        self._smallest = smallest
        self._reach = reach
        self._groups = [Groups() for _ in range(segments)]
        self._sizes: list[list[NDArray[np.int64]]] = [[] for _ in range(segments)]
        self._before: list[NDArray[np.int64] | None] = [None] * segments
        self._kept: list[NDArray[np.bool_]] = []
        self._used = [0] * segments
        self._index = 0

    def survey(self, labels: NDArray[np.uint8]) -> None:
        """Look at the next slice."""
        for at, groups in enumerate(self._groups):
            parts, count = _parts(labels == at + 1)
            first = groups.add(count)
            numbers = np.where(parts > 0, parts + (first - 1), -1)
            self._sizes[at].append(_sizes(parts, count))
            before = self._before[at]
            if before is not None and count:
                groups.join(_meetings(_grown(before, self._reach), numbers))
            self._before[at] = numbers if count else None

    def cleaned(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The next slice without what is small."""
        if not self._kept:
            self._kept = [
                _large(groups, sizes, self._smallest)
                for groups, sizes in zip(self._groups, self._sizes, strict=True)
            ]
        result = labels.copy()
        for at, kept in enumerate(self._kept):
            parts, count = _parts(labels == at + 1)
            surveyed = self._sizes[at][self._index]
            if np.array_equal(_sizes(parts, count), surveyed):
                stays = np.concatenate([[True], kept[self._used[at] : self._used[at] + count]])
                result[~stays[parts]] = 0
            self._used[at] += surveyed.size
        self._index += 1
        return result


class SmallHoles:
    """Fills holes that lie wholly within one segment and are small beside it.

    A hole is closed on all sides; of a single slice, on that slice. What opens to the border or to
    another segment is none.
    """

    def __init__(self, segments: int, largest: float, slices: int) -> None:
        """``largest`` is the share of the segment's voxels that a hole may have."""
        self._largest = largest
        self._last = slices - 1
        self._volumes = np.zeros(segments + 1, np.int64)
        self._groups = Groups()
        self._sizes: list[NDArray[np.int64]] = []
        self._open: set[int] = set()
        self._walls: set[tuple[int, int]] = set()
        self._before: tuple[NDArray[np.int64], NDArray[np.uint8]] | None = None
        self._seen = 0
        self._filling: NDArray[np.uint8] | None = None
        self._used = self._index = 0

    def survey(self, labels: NDArray[np.uint8]) -> None:
        """Look at the next slice."""
        parts, count = _background(labels)
        first = self._groups.add(count)
        numbers = np.where(parts > 0, parts + (first - 1), -1)
        self._sizes.append(_sizes(parts, count))
        self._volumes += np.bincount(labels.ravel(), minlength=self._volumes.size)
        for edge in (numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1]):
            self._open.update(np.unique(edge[edge >= 0]).tolist())
        if self._seen in (0, self._last) and self._last > 0:
            self._open.update(range(first, first + count))
        for shifted, other in _neighbours(numbers, labels):
            self._note_walls(shifted, other)
        if self._before is not None:
            numbers_before, labels_before = self._before
            self._groups.join(_meetings(numbers_before, numbers))
            self._note_walls(numbers, labels_before)
            self._note_walls(numbers_before, labels)
        self._before = numbers, labels
        self._seen += 1

    def cleaned(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The next slice with its holes filled."""
        if self._filling is None:
            self._filling = self._decide()
            self._before = None
        parts, count = _background(labels)
        surveyed = self._sizes[self._index]
        fillings = np.concatenate([[0], self._filling[self._used : self._used + surveyed.size]])
        self._used += surveyed.size
        self._index += 1
        if not np.array_equal(_sizes(parts, count), surveyed):
            return labels
        return np.where(labels == 0, fillings[parts], labels).astype(np.uint8)

    def _note_walls(self, numbers: NDArray[np.int64], labels: NDArray[np.uint8]) -> None:
        touching = (numbers >= 0) & (labels > 0)
        if touching.any():
            codes = np.unique(numbers[touching] * 256 + labels[touching])
            self._walls.update((code // 256, code % 256) for code in codes.tolist())

    def _decide(self) -> NDArray[np.uint8]:
        """What each part of the background is filled with, 0 for nothing."""
        whole = self._groups.representatives()
        sizes = np.zeros(whole.size, np.int64)
        if whole.size:
            np.add.at(sizes, whole, np.concatenate(self._sizes))
        opened = {int(whole[part]) for part in self._open}
        walls: dict[int, set[int]] = {}
        for part, label in self._walls:
            walls.setdefault(int(whole[part]), set()).add(label)
        filling = np.zeros(whole.size, np.uint8)
        for part, labels in walls.items():
            (label, *others) = labels
            if part not in opened and not others:
                small = sizes[part] <= self._largest * self._volumes[label]
                filling[part] = label if small else 0
        return filling[whole]


def reach_of(step_mm: float, pixel_mm: float) -> int:
    """How many pixels off a part may lie on the next slice and still belong to this one's.

    One for cubic voxels; more for thick slices, on which what runs obliquely steps aside.
    """
    return int(np.clip(round(0.5 * step_mm / pixel_mm), 1, _FURTHEST))


def _parts(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    parts, count = ndimage.label(mask, _TOUCHING)
    return parts, int(count)


def _background(labels: NDArray[np.uint8]) -> tuple[NDArray[np.int32], int]:
    # Without corners: a closed ring of pixels that touch by corners holds a hole.
    parts, count = ndimage.label(labels == 0)
    return parts, int(count)


def _sizes(parts: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """The pixels of each part of a slice, of which there are ``count``."""
    sizes: NDArray[np.int64] = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    return sizes


def _large(groups: Groups, sizes: list[NDArray[np.int64]], smallest: float) -> NDArray[np.bool_]:
    whole = groups.representatives()
    if not whole.size:
        return np.zeros(0, np.bool_)
    total = np.zeros(whole.size, np.int64)
    np.add.at(total, whole, np.concatenate(sizes))
    kept: NDArray[np.bool_] = (total >= smallest * total.max())[whole]
    return kept


def _grown(numbers: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    """Parts (-1 outside) with all pixels that are at most ``reach`` away, by the nearest part."""
    places = np.argwhere(numbers >= 0)
    low = np.maximum(places.min(axis=0) - reach, 0)
    high = places.max(axis=0) + reach + 1
    window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    away, nearest = ndimage.distance_transform_edt(numbers[window] < 0, return_indices=True)
    grown = np.full_like(numbers, -1)
    # Half a pixel more: corners count.
    grown[window] = np.where(away <= reach + 0.5, numbers[window][tuple(nearest)], -1)
    return grown


def _meetings(one: NDArray[np.int64], other: NDArray[np.int64]) -> list[tuple[int, int]]:
    """The pairs of parts that have pixels in common."""
    both = (one >= 0) & (other >= 0)
    if not both.any():
        return []
    pairs = np.unique(np.stack([one[both], other[both]], axis=1), axis=0)
    return [(int(a), int(b)) for a, b in pairs]


def _neighbours(
    numbers: NDArray[np.int64], labels: NDArray[np.uint8]
) -> list[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Background parts beside labels, in the four directions of the slice."""
    return [
        (numbers[1:], labels[:-1]),
        (numbers[:-1], labels[1:]),
        (numbers[:, 1:], labels[:, :-1]),
        (numbers[:, :-1], labels[:, 1:]),
    ]
