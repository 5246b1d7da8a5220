"""The course of a lesson as a small picture in the panel's own colours."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import qt
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from collections.abc import Sequence

    from MedSAGaSlicerLib.scene.teaching import CurvePoint

_POINTS: Final = 80
_LOSS: Final = (214, 120, 40)
_DICE: Final = (45, 140, 220)
_TOP, _BOTTOM, _SIDE = 18, 6, 4


def draw_curve(curve: Sequence[CurvePoint], width: int, height: int, palette: Any) -> qt.QPixmap:
    """Loss and Dice of the steps, both from the bottom to the top of what they can be.

    Dice goes from 0 to 1, the loss from 0 to its highest value. Many steps are drawn as means of
    equal parts. Both colours can be told from a dark and from a light ground.
    """
    pixmap = qt.QPixmap(width, height)
    pixmap.fill(palette.color(qt.QPalette.Base))
    painter = qt.QPainter()
    painter.begin(pixmap)
    painter.setRenderHint(qt.QPainter.Antialiasing)
    losses = [point.loss for point in curve if point.loss is not None]
    highest = max(losses, default=1.0) or 1.0
    for values, highest_value, colour in (
        (losses, highest, _LOSS),
        ([point.dice for point in curve], 1.0, _DICE),
    ):
        pen = qt.QPen(qt.QColor(*colour))
        pen.setWidthF(1.8)
        painter.setPen(pen)
        painter.drawPath(_path(_thinned(values), highest_value, width, height))
    _name(painter, _SIDE, _LOSS, _("loss"), losses)
    _name(painter, width // 2, _DICE, _("Dice"), [point.dice for point in curve])
    painter.end()
    return pixmap


def _path(values: Sequence[float], highest: float, width: int, height: int) -> qt.QPainterPath:
    path = qt.QPainterPath()
    across = (width - 2 * _SIDE) / max(1, len(values) - 1)
    for n, value in enumerate(values):
        part = min(1.0, max(0.0, value / highest))
        x, y = _SIDE + n * across, height - _BOTTOM - part * (height - _TOP - _BOTTOM)
        if n:
            path.lineTo(x, y)
        else:
            path.moveTo(x, y)
    return path


def _name(
    painter: Any, left: int, colour: tuple[int, int, int], name: str, values: Sequence[float]
) -> None:
    painter.setPen(qt.QPen(qt.QColor(*colour)))
    last = f" {values[-1]:.2f}" if values else ""
    painter.drawText(left, _TOP - 5, str(name) + last)


def _thinned(values: Sequence[float]) -> list[float]:
    """At most so many values, each the mean of a part."""
    parts = min(len(values), _POINTS)
    bounds = [len(values) * n // parts for n in range(parts + 1)] if parts else []
    return [sum(values[start:end]) / (end - start) for start, end in pairwise(bounds)]
