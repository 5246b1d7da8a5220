"""Losses of promptable segmentation: Dice and cross-entropy of the mask, error of the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_WORST: Final = 50


@dataclass(frozen=True)
class Outcome:
    """Mean loss of a step and mean Dice of what the model answered last."""

    loss: float
    dice: float


def mask_loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Soft Dice loss plus binary cross-entropy, one value per mask.

    An empty target leaves Dice without meaning. There the cross-entropy of the worst fiftieth of
    the cells counts: what is wrongly seen covers few of them, and their mean over all would hardly
    weigh against a Dice. A smooth term keeps small objects from being all or nothing.

    Args:
        logits: float (n, m, h, w), m answers to n prompts.
        target: float (n, 1, h, w), the part of each cell that is covered, 0 to 1.
        valid: float (n, 1, h, w), 1 where the picture is, 0 where the input is padding.

    Returns:
        float (n, m).
    """
    probability = logits.sigmoid() * valid
    overlap = (probability * target).sum((-2, -1))
    sizes = probability.sum((-2, -1)) + target.sum((-2, -1))
    dice = 1 - (2 * overlap + 1) / (sizes + 1)
    entropy = functional.binary_cross_entropy_with_logits(
        logits, target.expand_as(logits), reduction="none"
    )
    entropy = entropy * valid
    mean_entropy = entropy.sum((-2, -1)) / valid.sum((-2, -1))
    cells = entropy.flatten(-2)
    worst = cells.topk(max(1, cells.shape[-1] // _WORST), sorted=False).values.mean(-1)
    return torch.where(target.sum((-2, -1)) > 0, dice + 2 * mean_entropy, worst)


def true_iou(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Intersection over union of answers and target, both cut at one half: (n, m).

    1 where both are empty.
    """
    answer, truth = (logits > 0) & (valid > 0), target > 0.5
    union = (answer | truth).sum((-2, -1))
    common = (answer & truth).sum((-2, -1))
    return torch.where(union > 0, common / union.clamp(min=1), 1.0)


def dice_of(answers: Tensor, target: Tensor) -> Tensor:
    """Dice of masks (n, h, w) bool and targets (n, h, w) cut at one half: (n,), 1 if both empty."""
    truth = target > 0.5
    total = answers.sum((-2, -1)) + truth.sum((-2, -1))
    return torch.where(total > 0, 2 * (answers & truth).sum((-2, -1)) / total.clamp(min=1), 1.0)


def mean_outcome(outcomes: Sequence[Outcome]) -> Outcome:
    """Of the parts of a step, prompted and not, or one after the other."""
    return Outcome(mean_of([o.loss for o in outcomes]), mean_of([o.dice for o in outcomes]))


def mean_of(values: Sequence[float]) -> float:
    """Their mean, 0 of none."""
    return float(np.mean(values)) if values else 0.0
