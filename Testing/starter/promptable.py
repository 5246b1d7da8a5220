"""The model in training: many objects of many pictures at once, a prompt and its corrections."""

import numpy as np
import torch
from losses import mask_loss, true_iou
from simulated_prompts import PromptBatch, boxes_around, corrections, first_clicks
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from MedSAGaSlicerLib.engine.attention import fuse_attention
from MedSAGaSlicerLib.engine.starter import PATCH_SIZE, build_starter_parts


class Promptable(nn.Module):
    """The three parts with a decoder call for many objects of many pictures at once."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.image_encoder, self.prompt_encoder, self.mask_decoder = build_starter_parts(size)
        fuse_attention(self.image_encoder)

    def decode(
        self, features: Tensor, prompts: PromptBatch, previous: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Masks (n, 4, h, w) and predicted IoU (n, 4); `features` has one map per object."""
        points = (prompts.points, prompts.positive) if prompts.points.shape[1] else None
        mask = None if previous is None else previous[:, None]
        sparse, dense = self.prompt_encoder(points=points, boxes=prompts.boxes, masks=mask)
        nothing = torch.zeros_like(features[:1])
        position = self.prompt_encoder.get_dense_pe()
        masks, iou = self.mask_decoder.predict_masks(nothing, position, sparse, features + dense)
        return masks, iou


def decoder_round(
    masks: Tensor, iou: Tensor, target: Tensor, *, ambiguous: bool
) -> tuple[Tensor, Tensor]:
    """Loss of one answer and the logits that would be shown.

    One click leaves open what is meant: the best of masks 1 to 3 counts. All else is mask 0's.
    """
    losses = mask_loss(masks, target[:, None])
    quality = (iou.float() - true_iou(masks.detach(), target[:, None])) ** 2
    rows = torch.arange(len(masks))
    if ambiguous:
        best, _ = losses[:, 1:].min(1)
        loss = best + 0.1 * losses[:, 1:].mean(1) + 0.3 * losses[:, 0] + quality.mean(1)
        shown = masks[rows, 1 + iou[:, 1:].argmax(1)]
    else:
        loss, shown = losses[:, 0] + quality[:, 0], masks[:, 0]
    return loss.mean(), shown.detach().float()


def chain(
    model: Promptable,
    features: Tensor,
    objects: Tensor,
    rng: np.random.Generator,
    *,
    box: bool,
    rounds: int,
) -> Tensor:
    """The mean loss of a first prompt and the corrections after it."""
    scale = PATCH_SIZE // 4
    target = functional.avg_pool2d(objects.float()[:, None], scale)[:, 0]
    small = (target.numpy() >= 0.5).astype(np.uint8)
    whole = objects.numpy()
    for n in np.flatnonzero(small.sum((1, 2)) == 0):
        small[n] = target[n].numpy() > 0
    prompts = boxes_around(rng, whole, 0.06) if box else first_clicks(rng, small, scale)
    if box and rng.random() < 0.15:
        click = first_clicks(rng, small, scale)
        prompts = PromptBatch(click.points, click.positive, prompts.boxes)
    total, previous = torch.zeros(()), None
    for step in range(rounds):
        masks, iou = model.decode(features, prompts, previous)
        ambiguous = prompts.boxes is None and prompts.points.shape[1] == 1
        loss, shown = decoder_round(masks, iou, target, ambiguous=ambiguous)
        total = total + loss
        if step + 1 < rounds:
            prompts = prompts.with_click(*corrections(rng, shown, small, scale))
            previous = shown.clamp(-32, 32) if rng.random() < 0.8 else None
    return total / rounds


def step_loss(
    model: Promptable, batch: dict[str, Tensor], rng: np.random.Generator, clicked: int
) -> tuple[Tensor, float]:
    """Loss of a batch: the first `clicked` objects of a picture are clicked on, the rest boxed."""
    with torch.autocast("cpu", torch.bfloat16):
        # A third faster than the fused kernel on one core at 64 to 576 tokens.
        with sdpa_kernel(SDPBackend.MATH):
            features = model.image_encoder(batch["image"])
        losses = []
        for box, part in ((False, slice(0, clicked)), (True, slice(clicked, None))):
            chosen = batch["objects"][:, part]
            objects_each, objects = chosen.shape[1], chosen.flatten(0, 1)
            rounds = int(rng.integers(1, 3)) if box else int(rng.integers(2, 4))
            repeated = features.float().repeat_interleave(objects_each, 0)
            losses.append(chain(model, repeated, objects, rng, box=box, rounds=rounds))
    return losses[0] + losses[1], float(losses[1].detach())
