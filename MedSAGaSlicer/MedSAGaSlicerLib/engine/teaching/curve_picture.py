"""The course of a lesson as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_SIZE: Final = (720, 400)
_MARGIN: Final = (60, 30, 60, 44)
_PAPER: Final = (250, 250, 250)
_INK: Final = (60, 60, 60)
_GRID: Final = (224, 224, 224)
_LOSS: Final = (190, 90, 30)
_DICE: Final = (20, 110, 170)
_POINTS: Final = 120


def curve_png(curve: Sequence[tuple[float, float]]) -> bytes:
    """Draw (loss, Dice) of the steps: loss on the left scale, Dice from 0 to 1 on the right.

    Many steps are drawn as means of equal parts. Returns a PNG file's bytes.
    """
    picture = Image.new("RGB", _SIZE, _PAPER)
    draw = ImageDraw.Draw(picture)
    left, top = _MARGIN[0], _MARGIN[1]
    right, bottom = _SIZE[0] - _MARGIN[2], _SIZE[1] - _MARGIN[3]
    font = ImageFont.load_default(14)
    highest = max((loss for loss, _ in curve), default=1.0) or 1.0
    for part in range(6):
        y = bottom - (bottom - top) * part / 5
        draw.line([(left, y), (right, y)], fill=_GRID)
        draw.text((left - 8, y), f"{highest * part / 5:.2f}", fill=_LOSS, font=font, anchor="rm")
        draw.text((right + 8, y), f"{part / 5:.1f}", fill=_DICE, font=font, anchor="lm")
    draw.text((left, top - 8), "loss", fill=_LOSS, font=font, anchor="ls")
    draw.text((right, top - 8), "Dice while learning", fill=_DICE, font=font, anchor="rs")
    label = f"{len(curve)} steps"
    draw.text(((left + right) / 2, _SIZE[1] - 12), label, fill=_INK, font=font, anchor="ms")
    if curve:
        means = _thinned(np.array(curve, np.float64))
        for column, color, most in ((0, _LOSS, highest), (1, _DICE, 1.0)):
            across = np.linspace(left, right, len(means))
            heights = bottom - (bottom - top) * means[:, column].clip(0, most) / most
            points = list(zip(across.tolist(), heights.tolist(), strict=True))
            if len(points) == 1:
                points *= 2
            draw.line(points, fill=color, width=2)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _thinned(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    parts = np.array_split(curve, min(len(curve), _POINTS))
    return np.stack([part.mean(axis=0) for part in parts])
