"""Losses of promptable segmentation: Dice and cross-entropy of the mask, error of the score."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def mask_loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Soft Dice loss plus binary cross-entropy, one value per mask.

    An empty target leaves Dice without meaning: only the cross-entropy counts there, and a smooth
    term keeps small objects from being all or nothing.

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
    present = (target.sum((-2, -1)) > 0).float()
    entropy = functional.binary_cross_entropy_with_logits(
        logits, target.expand_as(logits), reduction="none"
    )
    mean_entropy = (entropy * valid).sum((-2, -1)) / valid.sum((-2, -1))
    return dice * present + 2 * mean_entropy


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
