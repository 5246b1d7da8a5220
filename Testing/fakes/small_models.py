"""Each kind of encoder, small, and a picture to try them with."""

from dataclasses import replace

import numpy as np
import torch

from MedSAGaSlicerLib.engine.families import SamModel, architecture, build_architecture


def small_model(family: str) -> SamModel:
    """A model of that family for 64 pixels, with random weights."""
    known = architecture(family)
    if known.encoder == "tiny":
        known = replace(known, image_size=64)
    else:
        known = replace(known, image_size=64, grid=8, dim=48, depth=2, heads=3, global_blocks=(1,))
    torch.manual_seed(0)
    return build_architecture(family, known)


def bright_disc(brightness: int = 150) -> np.ndarray:
    """A disc about (70, 80) in noise, uint8 (150, 170)."""
    rows, columns = np.mgrid[:150, :170]
    inside = (rows - 70) ** 2 + (columns - 80) ** 2 <= 30**2
    noise = np.random.default_rng(0).integers(0, 30, inside.shape)
    return (inside * brightness + 40 + noise).astype(np.uint8)
