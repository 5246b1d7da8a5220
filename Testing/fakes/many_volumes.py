"""Several small volumes, for tests of batches."""

from pathlib import Path

import numpy as np
from lessons import disc, slice_with
from made_images import save_image

from MedSAGaSlicerLib import cli

NAMES = ("anna", "ben", "cleo")


def masks(seed: int) -> np.ndarray:
    """Six slices; the disc is on all but the first and the last."""
    found = np.stack([disc(14 + seed, 16 + n, 7) for n in range(6)])
    found[[0, 5]] = False
    return found


def write_case(folder: Path, name: str, seed: int) -> Path:
    image = np.stack([slice_with(mask, seed * 10 + n) for n, mask in enumerate(masks(seed))])
    label = (masks(seed) * 3).astype(np.uint8)
    save_image(folder / "labels" / f"{name}.nii.gz", label, spacing=(0.5, 0.5, 2.0))
    return save_image(folder / "images" / f"{name}.nii.gz", image, spacing=(0.5, 0.5, 2.0))


def run(*arguments: object) -> int:
    return cli.main([str(part) for part in arguments])
