"""A mask as the mask prompt of a model: logits on its own grid, sure inside, unsure at edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from MedSAGaSlicerLib.engine.propagation.shapes import signed_distance

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A cell away from the edge, and far from it: about as sure as models' own answers are there.
_SLOPE: Final = 2.0
_SUREST: Final = 7.0


def mask_logits(
    mask: NDArray[np.bool_], scaled: tuple[int, int], input_size: int, side: int
) -> NDArray[np.float32]:
    """Logits as a model would have given them for a mask.

    Args:
        mask: bool (rows, columns) of the slice.
        scaled: (rows, columns) of the slice's picture in the model's input.
        input_size: side of that input.
        side: of the logits' grid, which covers the input.

    Returns:
        float32 (side, side); what the picture does not cover is surely outside.
    """
    rows, columns = (max(1, round(length * side / input_size)) for length in scaled)
    slope = _SLOPE * rows / mask.shape[0]
    sure = signed_distance(mask, _SUREST / slope) * np.float32(slope)
    small = Image.fromarray(sure).resize((columns, rows), Image.Resampling.BILINEAR)
    logits = np.full((side, side), -_SUREST, np.float32)
    logits[:rows, :columns] = np.asarray(small)
    return logits
