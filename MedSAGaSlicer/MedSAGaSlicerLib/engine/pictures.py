"""Pictures that let a person judge: a slice with its prompts, the mask found, the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from MedSAGaSlicerLib.engine.files import atomic_path
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.geometry import Geometry

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
    known) are bool of its size; ``spacing`` is (row, column) distance in mm. ``flip`` says whether
    (rows, columns) are shown the other way round, as `display_flip` gives it.
    """

    title: str
    pixels: NDArray[np.uint8]
    spacing: tuple[float, float]
    prompts: Prompts
    mask: NDArray[np.bool_]
    truth: NDArray[np.bool_] | None = None
    flip: tuple[bool, bool] = (False, False)


def display_flip(geometry: Geometry, axis: str) -> tuple[bool, bool]:
    """Whether rows and columns of slices along ``axis`` must be flipped to look as is customary.

    That is: the patient's left on the right, the front at the top or on the left, the head at the
    top, as in Slicer's views.
    """
    column, row = ("ijk".index(name) for name in "ijk" if name != axis)
    flips = []
    for at in (row, column):
        direction = [geometry.directions[part][at] for part in range(3)]
        main = int(np.argmax(np.abs(direction)))
        # In LPS, left and back grow; the head also grows, but lies at the top.
        flips.append((direction[main] > 0) == (main == 2))
    return flips[0], flips[1]


def save_montage(path: Path, panels: Sequence[Panel], columns: int = 2) -> None:
    """Write the panels as one PNG: each shows slice and prompts, then mask, then truth if known.

    Raises:
        InputError: there is no panel, or the path cannot be written.
    """
    if not panels:
        msg = f"There is nothing to show in {path}."
        raise InputError(msg)
    drawn = [_draw(_focused(panel)) for panel in panels]
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


def _focused(panel: Panel) -> Panel:
    """Cut a panel to the surroundings of its object, so that small ones can be judged."""
    marked = _marked(panel)
    if not marked.any():
        return panel
    rows, columns = _surroundings(marked, panel.spacing)
    a, b = columns.start, rows.start
    given = panel.prompts
    box = given.box and (given.box[0] - a, given.box[1] - b, given.box[2] - a, given.box[3] - b)
    points = tuple((x - a, y - b) for x, y in given.points)
    return replace(
        panel,
        pixels=np.ascontiguousarray(panel.pixels[rows, columns]),
        mask=panel.mask[rows, columns],
        truth=None if panel.truth is None else panel.truth[rows, columns],
        prompts=Prompts(points, given.positive, box),
    )


def _marked(panel: Panel) -> NDArray[np.bool_]:
    """Where there is anything to see: mask, truth or prompt."""
    marked = panel.mask.copy() if panel.truth is None else panel.mask | panel.truth
    places = list(panel.prompts.points)
    if panel.prompts.box is not None:
        left, top, right, bottom = panel.prompts.box
        places += [(left, top), (right, bottom)]
    last_row, last_column = marked.shape[0] - 1, marked.shape[1] - 1
    for a, b in places:
        marked[min(last_row, max(0, round(b))), min(last_column, max(0, round(a)))] = True
    return marked


def _surroundings(marked: NDArray[np.bool_], spacing: tuple[float, float]) -> tuple[slice, slice]:
    """Rows and columns around the marked part, as wide as high in mm, moved into the slice."""
    ends = [(int(at.min()), int(at.max())) for at in np.nonzero(marked)]
    whole = max(count * step for count, step in zip(marked.shape, spacing, strict=True))
    extent = max((last - first) * step for (first, last), step in zip(ends, spacing, strict=True))
    half_mm = max(1.3 * extent, 0.45 * whole) / 2
    cut = []
    for (first, last), step, count in zip(ends, spacing, marked.shape, strict=True):
        middle, reach = (first + last) / 2, half_mm / step
        shift = max(0.0, reach - middle) - max(0.0, middle + reach - count)
        start, stop = round(middle - reach + shift), round(middle + reach + shift) + 1
        cut.append(slice(max(0, start), min(count, stop)))
    return cut[0], cut[1]


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
    flip_rows, flip_columns = panel.flip
    if flip_rows:
        picture = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    if flip_columns:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
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
        if len(prompts.points) > 1 and not any(panel.flip):
            pen.text((x + 7, y - 8), str(number), fill=color, font=_font())
