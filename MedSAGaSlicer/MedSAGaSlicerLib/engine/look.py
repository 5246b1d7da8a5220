"""A slice reduced to a small grey picture, which stays beside its embedding."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.neighbours import parted, plane_size

LOOK_SIDE: Final = 96
"""The longer side of a look, in pixels."""


def embedding_of(
    pixels: npt.NDArray[np.uint8], features: npt.NDArray[np.floating[Any]], encoder: str
) -> Embedding:
    """The embedding of a slice, with its look."""
    return Embedding(features, plane_size(pixels), encoder, look_of(pixels))


def look_of(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Make the look of a slice.

    Args:
        pixels: uint8, (rows, columns) or (rows, columns, 3), or a slice among its neighbours.

    Returns:
        uint8 (rows, columns) of about the same proportions, its longer side `LOOK_SIDE`; bilinear,
        with a filter as wide as the reduction. Read-only.
    """
    plane, _ = parted(pixels)
    grey = plane if plane.ndim == 2 else np.rint(plane.mean(axis=2)).astype(np.uint8)
    rows, columns = look_size((grey.shape[0], grey.shape[1]))
    fitted = Image.fromarray(grey).resize((columns, rows), Image.Resampling.BILINEAR)
    look = np.asarray(fitted, np.uint8)
    look.flags.writeable = False
    return look


def look_size(size: tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of the look of a slice of (rows, columns)."""
    scale = LOOK_SIDE / max(size)
    rows, columns = (max(1, round(side * scale)) for side in size)
    return rows, columns
