"""Clicks and boxes as a person gives them, for a batch of masks on the logits' grid."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Generator = np.random.Generator


@dataclass
class PromptBatch:
    """Prompts of n objects, all of one kind.

    Attributes:
        points: (n, p, 2) float32 (x, y) in model pixels.
        positive: (n, p) int64, 1 inside, 0 outside.
        boxes: (n, 4) float32 (x0, y0, x1, y1) in model pixels, or None.
    """

    points: Tensor
    positive: Tensor
    boxes: Tensor | None

    def with_click(self, click: Tensor, positive: Tensor) -> "PromptBatch":
        """The prompts and one more point for each object."""
        points = torch.cat([self.points, click[:, None]], 1)
        return PromptBatch(points, torch.cat([self.positive, positive[:, None]], 1), self.boxes)


def _inside(rng: Generator, mask: NDArray[np.uint8]) -> tuple[float, float]:
    """A pixel (column, row) of the mask: mostly its innermost, else one off the border."""
    padded = np.pad(mask, 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    if rng.random() < 0.6:
        row, column = np.unravel_index(depth.argmax(), depth.shape)
    else:
        rows, columns = np.nonzero(depth >= depth.max() * rng.uniform(0.1, 0.9))
        pick = rng.integers(len(rows))
        row, column = rows[pick], columns[pick]
    return float(column), float(row)


def first_clicks(rng: Generator, masks: NDArray[np.uint8], scale: int) -> PromptBatch:
    """One positive click per mask.

    Args:
        rng: Source of randomness.
        masks: (n, h, w) 0/1 on the logits' grid.
        scale: Model pixels per pixel of that grid.
    """
    clicks = np.array([_inside(rng, mask) for mask in masks], np.float32)
    points = torch.from_numpy((clicks + 0.5) * scale - 0.5)[:, None]
    return PromptBatch(points, torch.ones(len(masks), 1, dtype=torch.int64), None)


def boxes_around(rng: Generator, masks: NDArray[np.uint8], jitter: float) -> PromptBatch:
    """Boxes of (n, S, S) masks in model pixels, half of them tight, half with jittered sides.

    Args:
        rng: Source of randomness.
        masks: (n, S, S) 0/1.
        jitter: Standard deviation of a side's place, in parts of the box; either way.
    """
    boxes = np.zeros((len(masks), 4), np.float32)
    for n, mask in enumerate(masks):
        x, y, width, height = cv2.boundingRect(mask)
        box = np.array([x, y, x + width - 1, y + height - 1], np.float32)
        if rng.random() < 0.5:
            box += rng.normal(0, jitter, 4).clip(-2 * jitter, 2 * jitter) * np.array(
                [width, height] * 2
            )
        boxes[n] = box
    empty = torch.zeros(len(masks), 0, 2), torch.zeros(len(masks), 0, dtype=torch.int64)
    return PromptBatch(*empty, torch.from_numpy(boxes))


def corrections(
    rng: Generator, logits: Tensor, masks: NDArray[np.uint8], scale: int
) -> tuple[Tensor, Tensor]:
    """A click per object in the larger of its missed and its wrongly filled part.

    Args:
        rng: Source of randomness.
        logits: (n, h, w), the masks shown to the person.
        masks: (n, h, w) 0/1, the truth on the same grid.
        scale: Model pixels per logits pixel.

    Returns:
        (n, 2) float32 in model pixels and (n,) int64. Nothing wrong: a click inside the object.
    """
    shown = (logits.detach() > 0).numpy().astype(np.uint8)
    clicks, positive = np.zeros((len(masks), 2), np.float32), np.ones(len(masks), np.int64)
    for n, (mask, guess) in enumerate(zip(masks, shown, strict=True)):
        missed, extra = mask & ~guess & 1, guess & ~mask & 1
        if extra.sum() > missed.sum():
            positive[n] = 0
        wrong = missed if positive[n] else extra
        clicks[n] = _inside(rng, wrong if wrong.any() else mask)
    return torch.from_numpy((clicks + 0.5) * scale - 0.5), torch.from_numpy(positive)
