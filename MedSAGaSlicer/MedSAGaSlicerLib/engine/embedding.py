"""What the encoder makes of one slice; without torch, so that caches and pipes can hold it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Embedding:
    """The features of one slice.

    ``features`` is float16 or float32, (channels, rows, columns) of the encoder's own grid, and
    perhaps read-only. ``size`` is (rows, columns) of the slice. ``encoder`` is the
    ``Predictor.encoder_key`` of its maker: no other predictor can use it. ``look`` is uint8
    (rows, columns), the slice itself, small and grey, see ``look_of``; None where nothing but
    prompts will be answered.
    """

    features: npt.NDArray[np.floating[Any]]
    size: tuple[int, int]
    encoder: str
    look: npt.NDArray[np.uint8] | None = None
