"""Clicks and boxes as the panel issues them while a person works, for many objects at once.

Everything lies on the grid of the decoder's logits: coordinates are (column, row), centres at whole
numbers; `scale` is the number of the model's input pixels per grid cell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

_INNERMOST: Final = 0.6
_JITTER: Final = 0.06


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """Prompts of n objects, the same number of points each.

    Attributes:
        points: float32 (n, p, 2), (x, y) in pixels of the model's input.
        positive: int64 (n, p), 1 inside, 0 outside.
        boxes: float32 (n, 4), (x0, y0, x1, y1) in the same pixels, or None.
    """

    points: Tensor
    positive: Tensor
    boxes: Tensor | None = None

    @property
    def ambiguous(self) -> bool:
        """Whether it is one click alone, of which a model may make several things."""
        return self.boxes is None and self.points.shape[1] == 1

    def and_click(self, points: Tensor, positive: Tensor) -> PromptBatch:
        """The prompts and one more point (n, 2) for each object."""
        return replace(
            self,
            points=torch.cat([self.points, points[:, None]], 1),
            positive=torch.cat([self.positive, positive[:, None]], 1),
        )


def first_clicks(
    rng: np.random.Generator, masks: list[NDArray[np.bool_]], scale: float
) -> PromptBatch:
    """One positive click per mask (h, w), which must not be empty."""
    clicks = np.array([click_inside(rng, mask) for mask in masks], np.float32)
    ones = torch.ones(len(masks), 1, dtype=torch.int64)
    return PromptBatch(to_input(clicks, scale)[:, None], ones)


def boxes_around(
    rng: np.random.Generator, masks: list[NDArray[np.bool_]], scale: float
) -> PromptBatch:
    """A box around each mask (h, w), half of them tight, the others' sides moved in or out."""
    boxes = np.stack([jittered_box(rng, mask) for mask in masks]).astype(np.float32)
    # A cell is `scale` pixels wide: the box reaches its outer pixels.
    half = np.array([-1, -1, 1, 1], np.float32) * (scale - 1) / 2
    corners = to_input(boxes.reshape(-1, 2), scale).reshape(-1, 4) + torch.from_numpy(half)
    count = len(masks)
    none = torch.zeros(count, 0, 2), torch.zeros(count, 0, dtype=torch.int64)
    return PromptBatch(*none, corners)


def corrections(
    rng: np.random.Generator,
    answers: list[NDArray[np.bool_]],
    masks: list[NDArray[np.bool_]],
    scale: float,
) -> tuple[Tensor, Tensor]:
    """A click per object in the larger of what is missed and what is too much.

    Where nothing is wrong, the click confirms the object's inside.

    Returns:
        float32 (n, 2) in pixels of the input, and int64 (n,), 1 for a positive click.
    """
    clicks, positive = [], []
    for answer, mask in zip(answers, masks, strict=True):
        missed, excess = mask & ~answer, answer & ~mask
        adds = np.count_nonzero(missed) >= np.count_nonzero(excess)
        wrong = missed if adds else excess
        clicks.append(click_inside(rng, wrong if wrong.any() else mask))
        positive.append(int(adds))
    return to_input(np.array(clicks, np.float32), scale), torch.tensor(positive)


def click_inside(rng: np.random.Generator, region: NDArray[np.bool_]) -> tuple[float, float]:
    """A place (column, row) in a region: mostly its innermost, otherwise anywhere off its rim."""
    rows, columns = np.nonzero(region)
    top, left = int(rows.min()), int(columns.min())
    part = region[top : rows.max() + 1, left : columns.max() + 1]
    depth = ndimage.distance_transform_cdt(np.pad(part, 1))[1:-1, 1:-1]
    if rng.random() < _INNERMOST:
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    else:
        inner_rows, inner_columns = np.nonzero(depth >= depth.max() * rng.uniform(0.1, 0.9))
        pick = int(rng.integers(len(inner_rows)))
        row, column = inner_rows[pick], inner_columns[pick]
    return float(column + left), float(row + top)


def jittered_box(rng: np.random.Generator, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(min column, min row, max column, max row) of a mask; moved sides go either way."""
    rows, columns = np.nonzero(mask)
    box = np.array([columns.min(), rows.min(), columns.max(), rows.max()], np.float64)
    if rng.random() < 0.5:
        sides = np.array([box[2] - box[0] + 1, box[3] - box[1] + 1] * 2)
        moved = box + rng.normal(0, _JITTER, 4).clip(-2 * _JITTER, 2 * _JITTER) * sides
        most = np.array([mask.shape[1] - 1, mask.shape[0] - 1] * 2)
        box = moved.clip(0, most)
    return box


def to_input(places: NDArray[np.float32], scale: float) -> Tensor:
    """Places (n, 2) on the logits' grid in pixels of the model's input."""
    return torch.from_numpy(((places + 0.5) * scale - 0.5).astype(np.float32))
