"""Views of examples as a lesson uses them: embedded once, truth on the grid of the logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from MedSAGaSlicerLib.engine.preprocessing import Preprocessing, preprocessing_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.families import SamModel
    from MedSAGaSlicerLib.engine.teaching.views import View


@dataclass(eq=False)
class Sample:
    """A view of an example, ready to be taught.

    Attributes:
        part: of the examples, all of whose samples one locator never sees.
        pixels: uint8 slice.
        shown: as of the view.
        mirrored: as of the view.
        targets: by segment, float16 (h, h): the part of each cell of the logits' grid that the
            segment covers, 0 to 1.
        extent: (rows, columns) of that grid which the picture takes; the rest is padding.
        clicks: float32 (n, 2) by segment: positive points that the person gave, in pixels of the
            model's input.
        features: what the method cached for it: the embedding, or an earlier layer's output.
    """

    part: int
    pixels: NDArray[np.uint8]
    shown: NDArray[np.uint8]
    mirrored: bool
    targets: dict[str, Tensor]
    extent: tuple[int, int]
    clicks: dict[str, Tensor]
    features: NDArray[np.floating[Any]] | None = None


class SampleMaker:
    """Makes samples for one model."""

    def __init__(self, model: SamModel) -> None:
        """Take the model's sizes and its way of preparing slices."""
        self.grid = model.logits_size
        self.scale = model.input_size / model.logits_size
        self._rules: Preprocessing = preprocessing_of(model.family, model.input_size)

    def __call__(self, part: int, view: View) -> Sample:
        """The sample of a view; its features are the method's business."""
        frame = self._rules.frame((view.pixels.shape[0], view.pixels.shape[1]))
        rows, columns = (max(1, round(side / self.scale)) for side in frame.scaled)
        clicks = {}
        for name, given in view.prompts.items():
            pairs = zip(given.points, given.positive, strict=True)
            if inside := [at for at, positive in pairs if positive]:
                clicks[name] = self._rules.points(np.array(inside, np.float64), frame)
        targets = {name: self._target(mask, frame.scaled) for name, mask in view.masks.items()}
        size = rows, columns
        return Sample(part, view.pixels, view.shown, view.mirrored, targets, size, clicks)

    def _target(self, mask: NDArray[np.bool_], scaled: tuple[int, int]) -> Tensor:
        maps = torch.from_numpy(mask.astype(np.float32))[None, None]
        # Bilinear with a filter as wide as the reduction: the covered part of each new pixel.
        maps = functional.interpolate(maps, scaled, mode="bilinear", antialias=True)
        side = round(self.grid * self.scale)
        padded = functional.pad(maps, (0, side - scaled[1], 0, side - scaled[0]))
        return functional.interpolate(padded, (self.grid, self.grid), mode="area")[0, 0].half()


def target_batch(samples: Sequence[Sample], segments: Sequence[str]) -> Tensor:
    """The targets of one segment per sample: float32 (n, 1, h, h)."""
    chosen = [sample.targets[name] for sample, name in zip(samples, segments, strict=True)]
    return torch.stack(chosen)[:, None].float()


def valid_batch(samples: Sequence[Sample], grid: int) -> Tensor:
    """1 where the pictures are and 0 in the padding: float32 (n, 1, grid, grid)."""
    valid = torch.zeros(len(samples), 1, grid, grid)
    for number, sample in enumerate(samples):
        valid[number, :, : sample.extent[0], : sample.extent[1]] = 1
    return valid


def as_masks(targets: Tensor) -> list[NDArray[np.bool_]]:
    """Targets (n, 1, h, h) as bool masks; a structure too small for the grid keeps what it has."""
    masks = []
    for target in targets[:, 0].cpu().numpy():
        mask = target > 0.5
        masks.append(mask if mask.any() else target > 0)
    return masks
