"""Images written for a test."""

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK

_PICTURES = (".png", ".jpg")


def save_image(path: Path, array: np.ndarray, **geometry: Any) -> Path:
    """Write (k, j, i) or (rows, columns), with channels last for 8-bit colour.

    ``geometry`` is what SimpleITK sets: ``spacing``, ``origin``, ``direction``.
    """
    colour = array.ndim == 4 and array.shape[-1] in (3, 4) and array.dtype == np.uint8
    colour |= array.ndim == 3 and path.suffix in _PICTURES
    image = SimpleITK.GetImageFromArray(array, isVector=bool(colour))
    for name, value in geometry.items():
        getattr(image, f"Set{name.capitalize()}")(value)
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(image, str(path))
    return path
