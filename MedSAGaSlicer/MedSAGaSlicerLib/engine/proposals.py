"""Objects worth a look in a volume that nobody has prompted yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from MedSAGaSlicerLib.engine.prompts import Prompts, SegmentPrompts, SlicePrompts
from MedSAGaSlicerLib.engine.segmentation_file import default_color
from MedSAGaSlicerLib.engine.segmenting import (
    SlicePredictor,
    normalised_slice,
    volume_normalisation,
)
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.images import Volume
    from MedSAGaSlicerLib.engine.predictor import Prediction
    from MedSAGaSlicerLib.engine.prompts import Point

_GRID: Final = 8
_SMALLEST, _LARGEST = 0.002, 0.35
_SAME: Final = 0.4


def propose_objects(
    volume: Volume, predictor: SlicePredictor, most: int = 6
) -> tuple[SegmentPrompts, ...]:
    """Point prompts on the objects that the model is surest of, on one axial slice.

    The slice with the strongest contrast of the middle half is taken. A grid of points is tried;
    masks that are tiny, cover much of the slice or repeat a surer one are left out.

    Raises:
        InputError: the image shows nothing, or no object is found.
    """
    normalisation = volume_normalisation(volume)
    count = volume.geometry.shape_ijk[2]
    middle = range(count // 4, max(count // 4 + 1, count - count // 4))
    slices = {at: normalised_slice(volume.array_kji, normalisation, "k", at) for at in middle}
    index = max(slices, key=lambda at: float(slices[at].std()))
    found = _distinct(_tried(slices[index], predictor))[:most]
    if not found:
        msg = (
            f"No object stands out on slice {index} of {volume.path}. Write the prompts yourself "
            "and use `medsaga segment`."
        )
        raise InputError(msg)
    return tuple(
        SegmentPrompts(
            f"object {number + 1}",
            default_color(number),
            (SlicePrompts("k", index, Prompts((point,), (True,))),),
        )
        for number, (point, _) in enumerate(found)
    )


def _tried(pixels: NDArray[np.uint8], predictor: SlicePredictor) -> list[tuple[Point, Prediction]]:
    """Each grid point with its prediction, the surest first; points on plain black left out."""
    rows, columns = pixels.shape[:2]
    embedding = predictor.encode(pixels)
    tried = []
    for b in (np.arange(_GRID) + 0.5) * rows / _GRID:
        for a in (np.arange(_GRID) + 0.5) * columns / _GRID:
            point = float(int(a)), float(int(b))
            if pixels[int(b), int(a)].max() == 0:
                continue
            prediction = predictor.predict(embedding, Prompts((point,), (True,)))
            share = float(prediction.mask.mean())
            if _SMALLEST <= share <= _LARGEST:
                tried.append((point, prediction))
    return sorted(tried, key=lambda entry: -entry[1].score)


def _distinct(
    tried: list[tuple[Point, Prediction]],
) -> list[tuple[Point, Prediction]]:
    kept: list[tuple[Point, Prediction]] = []
    for point, prediction in tried:
        if all(_overlap(prediction.mask, other.mask) < _SAME for _, other in kept):
            kept.append((point, prediction))
    return kept


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    union = int(np.count_nonzero(one | other))
    return int(np.count_nonzero(one & other)) / union if union else 0.0
