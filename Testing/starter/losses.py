"""Losses of promptable segmentation: Dice and cross-entropy, error of the predicted IoU."""

import torch
from torch import Tensor
from torch.nn import functional


def mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Soft Dice loss plus twice the binary cross-entropy, one value per mask.

    Args:
        logits: (..., h, w).
        target: Broadcastable to logits, 0 to 1; between where a pixel is partly covered.

    Returns:
        (...) float32.
    """
    logits = logits.float()
    target = target.expand_as(logits)
    probability = logits.sigmoid()
    overlap = (probability * target).sum((-2, -1))
    dice = 1 - (2 * overlap + 1) / (probability.sum((-2, -1)) + target.sum((-2, -1)) + 1)
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(
        (-2, -1)
    )
    return dice + 2 * entropy


def true_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of the thresholded masks with the thresholded target, one value per mask."""
    guess, truth = logits > 0, target > 0.5
    union = (guess | truth).sum((-2, -1))
    return torch.where(union > 0, (guess & truth).sum((-2, -1)) / union.clamp(min=1), 1.0)
