"""What a person may ask for: the strategy by its name, or a region in voxels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from MedSAGaSlicerLib.engine.geometry import AXES, check_axis
from MedSAGaSlicerLib.engine.regions.window import Window
from MedSAGaSlicerLib.errors import InputError

AUTO: Final = "auto"
WHOLE: Final = "whole"
TILES: Final = "tiles"
REGION: Final = "region"
_SMALLEST_TILE: Final = 16

Bounds = tuple[int, int | None]
"""First voxel, and the one after the last; None is the volume's end."""


@dataclass(frozen=True)
class RegionChoice:
    """How slices are shown to a model.

    ``strategy`` is `AUTO` (the whole slice, what is in small boxes from near), `WHOLE`,
    `TILES`, or `REGION`: then ``bounds`` are along i, j, k, as Python's slices have them. ``side``
    is that of tiles in pixels, None for the model's input.
    """

    strategy: str = AUTO
    bounds: tuple[Bounds, Bounds, Bounds] | None = None
    side: int | None = None

    @classmethod
    def parse(cls, text: str) -> RegionChoice:
        """Read ``auto``, ``whole``, ``tiles``, ``tiles:SIDE``, or ``i0:i1,j0:j1,k0:k1``.

        Voxels are counted from 0; the first is inside and the last is not, as in Python; either may
        be left out: ``100:310,:,40:``.

        Raises:
            InputError: it is none of these.
        """
        text = text.strip()
        if text in (AUTO, WHOLE, TILES):
            return cls(text)
        name, _, side = text.partition(":")
        if name == TILES and side.isdigit() and int(side) >= _SMALLEST_TILE:
            return cls(TILES, side=int(side))
        parts = [part.split(":") for part in text.split(",")]
        try:
            if len(parts) != 3 or any(len(part) != 2 for part in parts):
                raise ValueError(text)
            i, j, k = ((int(a or 0), int(b) if b.strip() else None) for a, b in parts)
        except ValueError as error:
            msg = (
                f"The region {text!r} is unclear: give {AUTO}, {WHOLE}, {TILES}, {TILES}:SIDE (in "
                f"pixels, {_SMALLEST_TILE} or more), or voxels as i0:i1,j0:j1,k0:k1, the first "
                "inside, the last not, such as 100:310,90:270,:"
            )
            raise InputError(msg) from error
        return cls.of((i, j, k))

    @classmethod
    def of(cls, bounds: tuple[Bounds, Bounds, Bounds]) -> RegionChoice:
        """A region by its bounds along i, j, k.

        Raises:
            InputError: a bound is negative, or nothing lies between two.
        """
        for axis, (start, stop) in zip("ijk", bounds, strict=True):
            if start < 0 or (stop is not None and stop <= start):
                end = "" if stop is None else stop
                msg = (
                    f"The region holds no voxel along {axis}: {start}:{end}. Count from 0, and "
                    "name the voxel after the last one second."
                )
                raise InputError(msg)
        return cls(REGION, bounds)

    def __str__(self) -> str:
        """As given on the command line."""
        if self.bounds is None:
            return self.strategy if self.side is None else f"{self.strategy}:{self.side}"
        return ",".join(f"{a}:{'' if b is None else b}" for a, b in self.bounds)

    def for_input(self, input_size: int) -> RegionChoice:
        """The same with the side of tiles settled, for a model with that input."""
        return replace(self, side=self.side or input_size) if self.strategy == TILES else self

    def check_fits(self, shape_ijk: tuple[int, int, int]) -> None:
        """Refuse a region that is not in a volume.

        Raises:
            InputError: names the axis and the volume's size.
        """
        for axis, bounds, count in zip("ijk", self.bounds or (), shape_ijk, strict=False):
            start, stop = bounds
            if start >= count or (stop is not None and stop > count):
                msg = (
                    f"The region {self} reaches outside the volume: along {axis} that has voxels 0 "
                    f"to {count - 1}, so give at most {axis}0:{count}. A model that was taught in "
                    "a region needs one of this volume: give it by --region."
                )
                raise InputError(msg)

    def window(self, axis: str, size: tuple[int, int]) -> Window:
        """What is looked at of the slices along an axis, of ``size`` = (rows, columns)."""
        if self.bounds is None:
            return Window.whole(size)
        column, row = (n for n in range(3) if n != 2 - check_axis(axis))
        (left, right), (top, bottom) = self.bounds[column], self.bounds[row]
        return Window(
            top,
            left,
            size[0] if bottom is None else bottom,
            size[1] if right is None else right,
        )

    def has_slice(self, axis: str, index: int) -> bool:
        """Whether a slice along an axis meets the region."""
        if self.bounds is None:
            return True
        start, stop = self.bounds[2 - AXES.index(axis)]
        return start <= index and (stop is None or index < stop)
