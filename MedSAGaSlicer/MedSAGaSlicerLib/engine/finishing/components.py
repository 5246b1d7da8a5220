"""Connected parts of a volume found slice by slice: what they are is known after the last one.

A volume is looked at twice, in the same order: `survey` each slice, then have each `cleaned`. Only
counts are kept in between, so memory grows with the number of parts, not with the volume. A slice
that was edited in between stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from MedSAGaSlicerLib.engine import ndimage
from MedSAGaSlicerLib.engine.finishing.parts import (
    Groups,
    SliceParts,
    around,
    background_of,
    meetings_of,
    parts_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Parts on neighbouring slices belong together if one lies within half the way between the slices
# of the other: what runs at 45 degrees. Further than this many pixels nothing is looked for.
_FURTHEST: Final = 10

_NOTHING: Final = np.zeros(0, np.int64)


class Cleaner(Protocol):
    """Something that looks at all slices before it changes one."""

    def survey(self, labels: NDArray[np.uint8]) -> None:
        """Look at the next slice, (rows, columns)."""

    def cleaned(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The next slice as it should be; the slices come again, in the same order."""


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
        self._before: list[SliceParts | None] = [None] * segments
        self._kept: list[NDArray[np.bool_]] = []
        self._used = [0] * segments
        self._index = 0

    def survey(self, labels: NDArray[np.uint8]) -> None:
        """Look at the next slice."""
        boxes = ndimage.find_objects(labels, len(self._groups))
        for at, groups in enumerate(self._groups):
            parts = parts_of(labels, at + 1, boxes[at], groups)
            before, self._before[at] = self._before[at], parts
            self._sizes[at].append(_NOTHING if parts is None else parts.sizes)
            if before is not None and parts is not None:
                groups.join(before.meetings(parts, self._reach))

    def cleaned(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The next slice without what is small."""
        if not self._kept:
            self._kept = [
                _large(groups, sizes, self._smallest)
                for groups, sizes in zip(self._groups, self._sizes, strict=True)
            ]
        result = labels.copy()
        boxes = ndimage.find_objects(labels, len(self._groups))
        for at, kept in enumerate(self._kept):
            surveyed = self._sizes[at][self._index]
            parts = parts_of(labels, at + 1, boxes[at], Groups())
            if parts is not None and np.array_equal(parts.sizes, surveyed):
                stays = kept[self._used[at] : self._used[at] + surveyed.size]
                if not stays.all():
                    removed = (parts.numbers >= 0) & ~stays[parts.numbers]
                    result[parts.box][removed] = 0
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
        self._outside = self._groups.add(1)
        self._sizes: list[NDArray[np.int64]] = []
        self._walls: set[tuple[int, int]] = set()
        self._before: tuple[SliceParts, NDArray[np.uint8]] | None = None
        self._filling: NDArray[np.uint8] | None = None
        # The first is what is outside.
        self._used = 1
        self._index = 0

    def survey(self, labels: NDArray[np.uint8]) -> None:
        """Look at the next slice."""
        self._volumes += np.bincount(labels.ravel(), minlength=self._volumes.size)
        parts = background_of(labels, self._groups, self._outside)
        edge = len(self._sizes) in (0, self._last) and self._last > 0
        self._sizes.append(_NOTHING if parts is None else parts.sizes)
        if parts is not None:
            if edge:
                count = parts.sizes.size
                self._groups.join((self._outside, parts.first + at) for at in range(count))
            for shifted, other in _neighbours(parts.numbers, labels[parts.box]):
                self._note_walls(shifted, other)
        if self._before is not None:
            self._join(*self._before, parts, labels)
        elif parts is not None and len(self._sizes) > 1:
            # The slice before was empty: all of it is outside.
            self._open(parts)
        self._before = None if parts is None else (parts, labels)

    def cleaned(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The next slice with its holes filled."""
        if self._filling is None:
            self._filling = self._decide()
            self._before = None
        surveyed = self._sizes[self._index]
        fillings = self._filling[self._used : self._used + surveyed.size]
        self._used += surveyed.size
        self._index += 1
        if not fillings.any():
            return labels
        parts = background_of(labels, Groups(), -1)
        if parts is None or not np.array_equal(parts.sizes, surveyed):
            return labels
        result = labels.copy()
        filled = np.where(parts.numbers >= 0, fillings[parts.numbers], 0)
        np.copyto(result[parts.box], filled, where=filled > 0)
        return result

    def _join(
        self,
        before: SliceParts,
        labels_before: NDArray[np.uint8],
        parts: SliceParts | None,
        labels: NDArray[np.uint8],
    ) -> None:
        if parts is None:
            self._open(before)
            return
        box = around(before.box, parts.box)
        one, other = before.spread(box, self._outside), parts.spread(box, self._outside)
        self._groups.join(meetings_of(one, other))
        self._note_walls(other, labels_before[box])
        self._note_walls(one, labels[box])

    def _open(self, parts: SliceParts) -> None:
        """All holes of this slice open to the next, which is empty."""
        count = parts.sizes.size
        self._groups.join((self._outside, parts.first + at) for at in range(count))

    def _note_walls(self, numbers: NDArray[np.int64], labels: NDArray[np.uint8]) -> None:
        touching = (numbers >= 0) & (numbers != self._outside) & (labels > 0)
        if touching.any():
            codes = np.unique(numbers[touching] * 256 + labels[touching])
            self._walls.update((code // 256, code % 256) for code in codes.tolist())

    def _decide(self) -> NDArray[np.uint8]:
        """What each part of the background is filled with, 0 for nothing."""
        whole = self._groups.representatives()
        sizes = np.zeros(whole.size, np.int64)
        np.add.at(sizes, whole, np.concatenate([[0], *self._sizes]))
        walls: dict[int, set[int]] = {}
        for part, label in self._walls:
            walls.setdefault(int(whole[part]), set()).add(label)
        filling = np.zeros(whole.size, np.uint8)
        for part, labels in walls.items():
            (label, *others) = labels
            # Joined to what is outside, it stands for that.
            if part != self._outside and not others:
                small = sizes[part] <= self._largest * self._volumes[label]
                filling[part] = label if small else 0
        return filling[whole]


def reach_of(step_mm: float, pixel_mm: float) -> int:
    """How many pixels off a part may lie on the next slice and still belong to this one's.

    One for cubic voxels; more for thick slices, on which what runs obliquely steps aside.
    """
    return int(np.clip(round(0.5 * step_mm / pixel_mm), 1, _FURTHEST))


def _large(groups: Groups, sizes: list[NDArray[np.int64]], smallest: float) -> NDArray[np.bool_]:
    whole = groups.representatives()
    if not whole.size:
        return np.zeros(0, np.bool_)
    total = np.zeros(whole.size, np.int64)
    np.add.at(total, whole, np.concatenate(sizes))
    kept: NDArray[np.bool_] = (total >= smallest * total.max())[whole]
    return kept


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
