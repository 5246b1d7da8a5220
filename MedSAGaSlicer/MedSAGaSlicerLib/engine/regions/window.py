"""Parts of slices: what is cut out for a model, and put back."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from MedSAGaSlicerLib.engine.neighbours import is_stack
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.prompts import Box, Point

# Sides grow by such steps, and places lie on such parts of a side: prompts that differ little, and
# the same prompts on the next slice, ask for the same part.
_STEP: Final = 1.25
_PARTS: Final = 8


@dataclass(frozen=True)
class Window:
    """A part of a slice: rows ``top`` to ``bottom`` - 1, columns ``left`` to ``right`` - 1."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def whole(cls, size: tuple[int, int]) -> Window:
        """All of a slice of (rows, columns)."""
        return cls(0, 0, *size)

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.bottom - self.top, self.right - self.left

    def cut(self, array: NDArray[Any]) -> NDArray[Any]:
        """The part of a slice's array, (rows, columns) or with channels, or of a stack; a view."""
        rows, columns = slice(self.top, self.bottom), slice(self.left, self.right)
        return array[:, rows, columns] if is_stack(array) else array[rows, columns]

    def put_back(self, part: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
        """A mask on the slice of ``size`` that is ``part`` here and nothing elsewhere."""
        mask = np.zeros(size, np.bool_)
        self.cut(mask)[...] = part
        return mask

    def holds(self, other: Window) -> bool:
        """Whether all of another window lies in this one."""
        rows = self.top <= other.top and other.bottom <= self.bottom
        return rows and self.left <= other.left and other.right <= self.right

    def meets(self, other: Window) -> bool:
        """Whether they share a pixel."""
        rows = self.top < other.bottom and other.top < self.bottom
        return rows and self.left < other.right and other.left < self.right

    def has_point(self, point: Point) -> bool:
        """Whether a (column, row) lies in one of its pixels."""
        column, row = (math.floor(at + 0.5) for at in point)
        return self.top <= row < self.bottom and self.left <= column < self.right

    def has_positive_points(self, prompts: Prompts) -> bool:
        """Whether all positive points lie in it."""
        pairs = zip(prompts.points, prompts.positive, strict=True)
        return all(self.has_point(point) for point, positive in pairs if positive)

    def seen_from_within(self, prompts: Prompts) -> Prompts:
        """The prompts in its own coordinates; points outside are gone, a box is cut."""
        kept = [
            ((a - self.left, b - self.top), positive)
            for (a, b), positive in zip(prompts.points, prompts.positive, strict=True)
            if self.has_point((a, b))
        ]
        box = None if prompts.box is None else self._cut_box(prompts.box)
        return Prompts(tuple(at for at, _ in kept), tuple(sign for _, sign in kept), box)

    def check_inside(self, prompts: Prompts) -> Prompts:
        """As ``seen_from_within``, all of which must be inside.

        Raises:
            InputError: names what is outside.
        """
        inside = self.seen_from_within(prompts)
        moved = None if prompts.box is None else _moved(prompts.box, -self.left, -self.top)
        if len(inside.points) < len(prompts.points) or inside.box != moved:
            outside = [point for point in prompts.points if not self.has_point(point)]
            what = f"point {list(outside[0])}" if outside else f"box {list(prompts.box or ())}"
            msg = (
                f"The {what} lies outside the region, which goes from [{self.left}, {self.top}] "
                f"to [{self.right - 1}, {self.bottom - 1}] on this slice. Move it, or widen the "
                "region."
            )
            raise InputError(msg)
        return inside

    def _cut_box(self, box: Box) -> Box | None:
        rows, columns = self.size
        left, top, right, bottom = _moved(box, -self.left, -self.top)
        if right < -0.5 or bottom < -0.5 or left > columns - 0.5 or top > rows - 0.5:
            return None
        return (
            _within(left, columns),
            _within(top, rows),
            _within(right, columns),
            _within(bottom, rows),
        )


def window_of(mask: NDArray[np.bool_]) -> Window | None:
    """The smallest window with all of a mask; None if it is empty."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if rows.size == 0:
        return None
    return Window(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def window_of_box(box: Box, size: tuple[int, int]) -> Window:
    """The pixels that a box touches, on a slice of (rows, columns)."""
    left, top, right, bottom = box
    lows = (max(0, math.floor(at + 0.5)) for at in (top, left))
    highs = (
        min(limit, math.floor(at + 0.5) + 1) for at, limit in ((bottom, size[0]), (right, size[1]))
    )
    return Window(*lows, *highs)


def window_around(inner: Window, size: tuple[int, int], context: float, least: int) -> Window:
    """A square around a part, ``context`` times its longer side and at least ``least`` pixels.

    It is moved, not cut, where it would reach over the slice's border, and becomes smaller only
    where the slice is: what touches the border goes on touching it, and no pixel is made up. Sides
    and places are in steps, so that similar parts have the same surroundings.
    """
    wanted = max(context * max(inner.size), least, 1)
    side = math.ceil(least * _STEP ** math.ceil(math.log(wanted / least, _STEP) - 1e-9))
    rows, columns = (min(side, limit) for limit in size)
    top = _placed((inner.top + inner.bottom - rows) / 2, rows, size[0])
    left = _placed((inner.left + inner.right - columns) / 2, columns, size[1])
    found = Window(top, left, top + rows, left + columns)
    if found.holds(inner):
        return found
    # A part that fills its surroundings may stand over by a step.
    return replace(
        found,
        top=min(top, inner.top),
        left=min(left, inner.left),
        bottom=max(found.bottom, inner.bottom),
        right=max(found.right, inner.right),
    )


def _placed(start: float, side: int, limit: int) -> int:
    step = max(1, side // _PARTS)
    return max(0, min(limit - side, round(start / step) * step))


def _moved(box: Box, across: float, down: float) -> Box:
    left, top, right, bottom = box
    return left + across, top + down, right + across, bottom + down


def _within(at: float, count: int) -> float:
    return min(max(at, 0.0), count - 1.0) if not -0.5 <= at <= count - 0.5 else at
