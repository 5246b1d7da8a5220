"""Encoders of every kind, small enough to run in a test, with random weights."""

from dataclasses import replace

import torch
from torch import nn

from MedSAGaSlicerLib.engine.attention import fuse_attention
from MedSAGaSlicerLib.engine.families import ARCHITECTURES, SamModel, build, build_architecture

SMALL = {
    "sam_vit_b": {"image_size": 224, "grid": 14, "dim": 32, "depth": 2, "heads": 2},
    "sam_med2d_b": {"image_size": 256, "grid": 16, "dim": 32, "depth": 2, "heads": 2},
    "lite_medsam": {"image_size": 64, "grid": 16},
}


def small_model(family: str) -> SamModel:
    """The starter as it is, others of a smaller size."""
    torch.manual_seed(0)
    if family == "starter":
        return build(family)
    changes = SMALL[family]
    if "depth" in changes:
        changes = {**changes, "global_blocks": (1,)}
    return build_architecture(family, replace(ARCHITECTURES[family], **changes))


def encoder_of(family: str) -> tuple[nn.Module, int]:
    """A small model's encoder, with our attention, and the side of its images."""
    model = small_model(family)
    fuse_attention(model.image_encoder)
    return model.image_encoder, model.input_size
