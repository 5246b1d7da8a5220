"""Pictures that let a person judge: a slice with its prompts, the mask found, the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from MedSAGaSlicerLib.engine.files import atomic_path
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.prompts import Prompts

Rgb = tuple[int, int, int]

_SIDE: Final = 320
_GAP: Final = 8
_CAPTION: Final = 24
_MASK: Final = (0, 190, 255)
_TRUTH: Final = (255, 200, 0)
_POSITIVE: Final = (60, 230, 60)
_NEGATIVE: Final = (255, 70, 70)
_INK: Final = (235, 235, 235)


@dataclass(frozen=True, eq=False)
class Panel:
    """One slice to show.

    ``pixels`` is uint8, (rows, columns) or with 3 channels; ``mask`` and ``truth`` (None if not
    known) are bool of its size; ``spacing`` is (row, column) distance in mm. With ``upside_down``
    the first row is shown at the bottom, as sagittal and coronal slices are looked at.
    """

    title: str
    pixels: NDArray[np.uint8]
    spacing: tuple[float, float]
    prompts: Prompts
    mask: NDArray[np.bool_]
    truth: NDArray[np.bool_] | None = None
    upside_down: bool = False


def save_montage(path: Path, panels: Sequence[Panel], columns: int = 2) -> None:
    """Write the panels as one PNG: each shows slice and prompts, then mask, then truth if known.

    Raises:
        InputError: there is no panel, or the path cannot be written.
    """
    if not panels:
        msg = f"There is nothing to show in {path}."
        raise InputError(msg)
    drawn = [_draw(panel) for panel in panels]
    width = max(picture.width for picture in drawn)
    rows = [drawn[at : at + columns] for at in range(0, len(drawn), columns)]
    heights = [max(picture.height for picture in row) for row in rows]
    across = min(columns, len(drawn))
    sheet = Image.new(
        "RGB", (across * (width + _GAP) + _GAP, sum(heights) + _GAP * (len(rows) + 1)), (24, 24, 24)
    )
    top = _GAP
    for row, height in zip(rows, heights, strict=True):
        for at, picture in enumerate(row):
            sheet.paste(picture, (_GAP + at * (width + _GAP), top))
        top += height + _GAP
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")


def _draw(panel: Panel) -> Image.Image:
    grey = _resized(Image.fromarray(panel.pixels).convert("RGB"), panel)
    prompted = grey.copy()
    _draw_prompts(prompted, panel)
    views = [("prompt", _INK, _oriented(prompted, panel))]
    found = _outlined(grey, panel, panel.mask, _MASK)
    views.append(("mask", _MASK, _oriented(found, panel)))
    if panel.truth is not None:
        true = _outlined(grey, panel, panel.truth, _TRUTH)
        views.append(("truth", _TRUTH, _oriented(true, panel)))
    width = sum(view.width for _, _, view in views) + _GAP * (len(views) - 1)
    sheet = Image.new("RGB", (width, grey.height + 2 * _CAPTION), (24, 24, 24))
    pen = ImageDraw.Draw(sheet)
    pen.text((2, 2), panel.title, fill=_INK, font=_font())
    left = 0
    for name, color, view in views:
        pen.text((left + 2, _CAPTION), name, fill=color, font=_font())
        sheet.paste(view, (left, 2 * _CAPTION))
        left += view.width + _GAP
    return sheet


def _font() -> Any:
    return ImageFont.load_default(15)


def _scale(panel: Panel) -> tuple[float, float]:
    """Picture pixels per voxel, (across, down), so that the longer side fills the panel."""
    rows, columns = panel.mask.shape
    down, across = panel.spacing
    per_mm = _SIDE / max(rows * down, columns * across)
    # No side may vanish, however flat the slice.
    return max(across * per_mm, 8 / columns), max(down * per_mm, 8 / rows)


def _size(panel: Panel) -> tuple[int, int]:
    rows, columns = panel.mask.shape
    across, down = _scale(panel)
    return max(1, round(columns * across)), max(1, round(rows * down))


def _resized(picture: Image.Image, panel: Panel) -> Image.Image:
    return picture.resize(_size(panel), Image.Resampling.BICUBIC)


def _oriented(picture: Image.Image, panel: Panel) -> Image.Image:
    if panel.upside_down:
        return picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return picture


def _outlined(
    picture: Image.Image, panel: Panel, mask: NDArray[np.bool_], color: Rgb
) -> Image.Image:
    """The picture with a mask's outline in full colour and its inside tinted."""
    soft = Image.fromarray(mask.astype(np.float32)).resize(_size(panel), Image.Resampling.BILINEAR)
    large = np.asarray(soft) > 0.5
    edge = large & ~ndimage.binary_erosion(large, iterations=2)
    pixels = np.array(picture, np.float32)
    pixels[large] = 0.8 * pixels[large] + 0.2 * np.array(color)
    pixels[edge] = color
    return Image.fromarray(pixels.astype(np.uint8))


def _draw_prompts(picture: Image.Image, panel: Panel) -> None:
    pen = ImageDraw.Draw(picture)
    across, down = _scale(panel)
    prompts = panel.prompts
    if prompts.box is not None:
        left, top, right, bottom = prompts.box
        # A box names its first and last voxel; their outer edges are half a voxel further.
        corners = (left * across, top * down, (right + 1) * across - 1, (bottom + 1) * down - 1)
        pen.rectangle(corners, outline=_POSITIVE, width=2)
    for number, ((a, b), positive) in enumerate(
        zip(prompts.points, prompts.positive, strict=True), start=1
    ):
        x, y = (a + 0.5) * across, (b + 0.5) * down
        color = _POSITIVE if positive else _NEGATIVE
        pen.ellipse((x - 5, y - 5, x + 5, y + 5), fill=color, outline=(0, 0, 0))
        if len(prompts.points) > 1 and not panel.upside_down:
            pen.text((x + 7, y - 8), str(number), fill=color, font=_font())
