"""What looking at a slice in one way or another costs, in words that a person can decide by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from MedSAGaSlicerLib.engine.regions.choice import AUTO, REGION, TILES, WHOLE, RegionChoice
from MedSAGaSlicerLib.engine.regions.tiles import tile_windows
from MedSAGaSlicerLib.engine.regions.window import Window, window_around, window_of_box

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.prompts import Prompts

SMALL: Final = 1 / 3
"""Boxes below this part of the slice's longer side are looked at once more from near.

Measured with the starter on slices of 256 to 999 pixels (ultrasound, X-ray, electron and light
microscopy, endoscopy, MR): with a box below 1/8 of the side the mean Dice rises from 0.67 to 0.84,
below 1/4 from 0.83 to 0.87, below 1/3 from 0.85 to 0.88; above that nothing is gained. Clicks are
left alone: what they mean is known only after a first answer, and around that microscopy gained as
much (0.54 to 0.69) as MR lost.
"""
CONTEXT: Final = 2.0
"""How much longer than the object the side of its surroundings is, before it goes up a step."""
_MOST_MAGNIFIED: Final = 4


@dataclass(frozen=True)
class RegionPlan:
    """How slices of one size are shown to a model, and what that costs.

    Attributes:
        strategy: `AUTO`, `WHOLE`, `TILES` or `REGION`.
        size: (rows, columns) of the slice.
        window: what of it is looked at.
        encodes: embeddings per slice.
        nearer: whether each small box costs another one.
        input_size: side of the model's input in pixels.
        seconds: per slice, None if not known.
        side: of tiles in pixels, None without.
    """

    strategy: str
    size: tuple[int, int]
    window: Window
    encodes: int
    nearer: bool
    input_size: int
    seconds: float | None = None
    side: int | None = None

    @property
    def reduction(self) -> float:
        """How many pixels of the slice become one of the model's input, along a side."""
        part = max(self.window.size) if self.side is None else min(self.side, max(self.size))
        return max(1.0, part / self.input_size)

    @property
    def sentence(self) -> str:
        """The strategy and its price, for a person."""
        whole = _pixels(self.size)
        if self.strategy == REGION:
            text = f"Region of interest {_pixels(self.window.size)} px of {whole}"
        elif self.strategy == TILES:
            text = f"{self.encodes - 1} tiles of {self.side} px and the whole slice, {whole} px"
        else:
            text = f"Whole slice, {whole} px"
        if self.reduction > 1:
            text += f", reduced {self.reduction:.1f} times"
        text += f", {self.encodes} embedding{'s' * (self.encodes > 1)} per slice"
        if self.seconds is not None:
            text += f" ({self.seconds:.1f} s)"
        return text + ("; small boxes are seen from near, 1 more each" if self.nearer else "")


def plan_region(
    choice: RegionChoice,
    size: tuple[int, int],
    input_size: int,
    *,
    axis: str = "k",
    seconds_per_encode: float | None = None,
) -> RegionPlan:
    """The plan for slices of ``size`` = (rows, columns) along an axis.

    Tiles, and a nearer look, are left out where the model sees every pixel of the slice anyway.
    """
    window, strategy, side = choice.window(axis, size), choice.strategy, None
    tiles = tile_windows(size, choice.for_input(input_size).side or input_size)
    if (strategy == AUTO and max(size) <= input_size) or (strategy == TILES and len(tiles) == 1):
        strategy = WHOLE
    encodes = 1
    if strategy == TILES:
        # The whole slice is looked at as well: it says which tiles matter, and what lies around.
        encodes, side = 1 + len(tiles), choice.for_input(input_size).side
    seconds = None if seconds_per_encode is None else encodes * seconds_per_encode
    nearer = strategy == AUTO
    return RegionPlan(strategy, size, window, encodes, nearer, input_size, seconds, side)


def nearer_window(prompts: Prompts, size: tuple[int, int], input_size: int) -> Window | None:
    """Where to look at a prompted object from near; None if the slice as a whole does as well."""
    if prompts.box is None or max(size) <= input_size:
        return None
    inner = window_of_box(prompts.box, size)
    if max(inner.size) > SMALL * max(size):
        return None
    window = window_around(inner, size, CONTEXT, max(1, input_size // _MOST_MAGNIFIED))
    return window if window.has_positive_points(prompts) else None


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]}"
