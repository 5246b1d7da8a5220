"""The way of a slice into a model and of its mask back, for each family as its authors do it.

- SAM, MobileSAM: longest side to 1024, bilinear; mean and deviation; zeros right and below. Back:
  logits to 1024 x 1024, cut, to the slice.
- MedSAM: stretched to 1024 x 1024, cubic; the slice's minimum to 0, its maximum to 1. Back:
  probabilities to the slice.
- LiteMedSAM: longest side to 256, by area; minimum to 0, maximum to 1; zeros right and below.
  Back: logits cut, to the slice. Corners of boxes are cut to whole pixels.
- SAM-Med2D: stretched to 256 x 256, nearest; SAM's mean and deviation. Back: logits to 256 x 256,
  to the slice. A mask prompt goes in as probabilities.
- Starter: as SAM, with a size and a normalisation of its own.

Coordinates scale with the slice; whole numbers are pixel centres, the prompt encoder adds the half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from MedSAGaSlicerLib.engine.embedding_key import check_slice
from MedSAGaSlicerLib.engine.neighbours import is_stack, plane_size, planes
from MedSAGaSlicerLib.engine.resizing import (
    resize_area,
    resize_bilinear,
    resize_cubic,
    resize_nearest,
)
from MedSAGaSlicerLib.engine.starter import IMAGE_SIZE
from MedSAGaSlicerLib.errors import InputError

_SAM_MEAN = (123.675, 116.28, 103.53)
_SAM_DEVIATION = (58.395, 57.12, 57.375)
_STARTER_MEAN = (127.5, 127.5, 127.5)
_STARTER_DEVIATION = (63.75, 63.75, 63.75)
_SMALLEST_RANGE = 1e-8


@dataclass(frozen=True)
class SliceFrame:
    """How a slice lies in the model's input, all in pixels.

    Attributes:
        size: (rows, columns) of the slice.
        scaled: (rows, columns) of its picture in the input, whose corner is the input's corner.
    """

    size: tuple[int, int]
    scaled: tuple[int, int]


@dataclass(frozen=True)
class Preprocessing:
    """One family's rules.

    Attributes:
        name: what it is called in embedding keys; changes whenever the pixels it makes change.
        input_size: side of the model's input in pixels.
        resize: takes uint8 pixels and (rows, columns).
        stretch: both sides to `input_size`; otherwise the longest side, keeping the proportions.
        mean, deviation: of the three channels, in grey levels; None: the slice's minimum to 0 and
            its maximum to 1.
        whole_boxes: box corners are cut to whole input pixels.
        mask_probabilities: a mask prompt is given as probabilities, not as logits.
        back: `padded`: logits to the input's size, cut, to the slice; `cut`: logits cut, to the
            slice; `probabilities`: probabilities to the slice.
    """

    name: str
    input_size: int
    resize: Callable[[npt.NDArray[np.uint8], tuple[int, int]], npt.NDArray[np.uint8]]
    stretch: bool = False
    mean: tuple[float, float, float] | None = None
    deviation: tuple[float, float, float] | None = None
    whole_boxes: bool = False
    mask_probabilities: bool = False
    back: str = "padded"

    def frame(self, size: tuple[int, int]) -> SliceFrame:
        """Where a slice of (rows, columns) lies in the input."""
        if self.stretch:
            return SliceFrame(size, (self.input_size, self.input_size))
        scale = self.input_size / max(size)
        # A side that would vanish (beyond 1 : 2 x input size) keeps one pixel.
        rows, columns = (max(1, int(side * scale + 0.5)) for side in size)
        return SliceFrame(size, (rows, columns))

    def prepare(self, pixels: npt.NDArray[np.uint8]) -> tuple[Tensor, SliceFrame]:
        """Make the model's input from a slice.

        Args:
            pixels: uint8, (rows, columns) or (rows, columns, 3) in RGB order; or a stack of
                slices, see `engine.neighbours`, each of which is prepared as if it were alone.

        Returns:
            float32 (3, S, S) with S = `input_size`, of a stack (depth, 3, S, S), and how the slice
            lies in it.

        Raises:
            InputError: not a uint8 slice of at least one pixel.
        """
        check_slice(pixels)
        frame = self.frame(plane_size(pixels))
        if is_stack(pixels):
            return torch.stack([self.prepare(plane)[0] for plane in planes(pixels)]), frame
        scaled = self.resize(np.ascontiguousarray(pixels), frame.scaled)
        channels = scaled[None].repeat(3, 0) if scaled.ndim == 2 else scaled.transpose(2, 0, 1)
        image = torch.zeros(3, self.input_size, self.input_size)
        rows, columns = frame.scaled
        image[:, :rows, :columns] = torch.from_numpy(self._normalised(channels))
        return image, frame

    def _normalised(self, channels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        if self.mean is None or self.deviation is None:
            low, high = int(channels.min()), int(channels.max())
            ranged = (channels - np.float64(low)) / max(high - low, _SMALLEST_RANGE)
            return ranged.astype(np.float32)
        mean = np.array(self.mean, np.float32)[:, None, None]
        deviation = np.array(self.deviation, np.float32)[:, None, None]
        return (channels - mean) / deviation

    def points(self, points: npt.NDArray[np.float64], frame: SliceFrame) -> Tensor:
        """Points (N, 2) as (column, row) of the slice, in the input: float32 (N, 2)."""
        return torch.from_numpy((points * self._scale(frame)).astype(np.float32))

    def box(self, box: npt.NDArray[np.float64], frame: SliceFrame) -> Tensor:
        """A box (4,) as columns and rows of two corners, in the input: float32 (4,)."""
        if self.whole_boxes:
            scaled = np.trunc(box * (self.input_size / max(frame.size)))
        else:
            scaled = (box.reshape(2, 2) * self._scale(frame)).reshape(4)
        return torch.from_numpy(scaled.astype(np.float32))

    @staticmethod
    def _scale(frame: SliceFrame) -> npt.NDArray[np.float64]:
        (rows, columns), (scaled_rows, scaled_columns) = frame.size, frame.scaled
        return np.array([scaled_columns / columns, scaled_rows / rows])

    def mask(self, logits: Tensor, frame: SliceFrame) -> npt.NDArray[np.bool_]:
        """The mask in the slice's own grid from the model's logits.

        Args:
            logits: float, (h, w) of the decoder's own square grid, which covers the input.
            frame: of the slice.

        Returns:
            bool (rows, columns).
        """
        maps, threshold = self._back(logits, frame)
        inside: npt.NDArray[np.bool_] = (maps > threshold).cpu().numpy()
        return inside

    def logits(self, logits: Tensor, frame: SliceFrame) -> npt.NDArray[np.float32]:
        """As `mask`, the logits themselves: float32 (rows, columns), positive inside."""
        maps, threshold = self._back(logits, frame)
        if threshold:
            maps = torch.logit(maps, eps=1e-6)
        found: npt.NDArray[np.float32] = maps.cpu().numpy()
        return found

    def _back(self, logits: Tensor, frame: SliceFrame) -> tuple[Tensor, float]:
        """Logits or probabilities in the slice's grid, and what they exceed inside."""
        maps = logits[None, None].float()
        rows, columns = frame.scaled
        if self.back == "probabilities":
            return _bilinear(torch.sigmoid(maps), frame.size)[0, 0], 0.5
        if self.back == "padded" or maps.shape[-1] != self.input_size:
            maps = _bilinear(maps, (self.input_size, self.input_size))
        return _bilinear(maps[..., :rows, :columns], frame.size)[0, 0], 0.0


def _bilinear(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False)


_SAM = Preprocessing("sam-1", 1024, resize_bilinear, mean=_SAM_MEAN, deviation=_SAM_DEVIATION)
_BY_FAMILY: dict[str, Preprocessing] = {
    "starter": Preprocessing(
        "starter-1", IMAGE_SIZE, resize_bilinear, mean=_STARTER_MEAN, deviation=_STARTER_DEVIATION
    ),
    "sam_vit_b": _SAM,
    "sam_vit_l": _SAM,
    "sam_vit_h": _SAM,
    "mobile_sam": _SAM,
    "medsam_vit_b": Preprocessing(
        "medsam-1", 1024, resize_cubic, stretch=True, back="probabilities"
    ),
    "lite_medsam": Preprocessing("lite-medsam-1", 256, resize_area, whole_boxes=True, back="cut"),
    "sam_med2d_b": Preprocessing(
        "sam-med2d-1",
        256,
        resize_nearest,
        stretch=True,
        mean=_SAM_MEAN,
        deviation=_SAM_DEVIATION,
        mask_probabilities=True,
    ),
}


def preprocessing_of(family: str, input_size: int | None = None) -> Preprocessing:
    """A family's preprocessing; `input_size` for smaller relatives of its network.

    Raises:
        InputError: the family is unknown.
    """
    if family not in _BY_FAMILY:
        msg = f"The model family {family!r} is unknown; known are {', '.join(_BY_FAMILY)}"
        raise InputError(msg)
    rules = _BY_FAMILY[family]
    return rules if input_size is None else replace(rules, input_size=input_size)


def preprocess(pixels: npt.NDArray[np.uint8], family: str) -> tuple[Tensor, SliceFrame]:
    """`Preprocessing.prepare` of a family."""
    return preprocessing_of(family).prepare(pixels)
