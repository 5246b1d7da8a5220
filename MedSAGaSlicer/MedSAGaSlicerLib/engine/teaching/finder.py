"""A small U-Net (Ronneberger et al. 2015) of a lesson's own, which finds segments without prompts.

It knows nothing but the lesson, and sees slices as their looks: on these it learns as much from a
few slices in half a minute as larger networks in several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from MedSAGaSlicerLib.engine.look import LOOK_SIDE
from MedSAGaSlicerLib.engine.metrics import dice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.prompts import Prompts

_WIDTHS: Final = (16, 32, 64, 96, 128)
_FOLD: Final = 2
_FIRST_LOGIT: Final = -2.0
_ZOOMS: Final = (1.0, 0.85, 1.15)
"""Parts of a look's width that are looked at; measured: mirrored or more of them bring no more."""
_SAME_BY_CLICKS: Final = 0.5
_SAME_BY_BOX: Final = 0.7


class Finder(nn.Module):
    """Logits of all segments from a look.

    Two by two pixels are folded into channels before the first level and unfolded after the last:
    full resolution would take most of the time and bring little.
    """

    def __init__(self, segments: int) -> None:
        """Make one with random weights."""
        super().__init__()
        pairs = list(pairwise(_WIDTHS))
        first = _Block(_FOLD**2, _WIDTHS[0])
        self.down = nn.ModuleList([first, *(_Block(fine, coarse, 2) for fine, coarse in pairs)])
        self.up = nn.ModuleList(_Block(fine + coarse, fine) for fine, coarse in reversed(pairs))
        self.last = nn.Conv2d(_WIDTHS[0], segments * _FOLD**2, 1)
        # Most of a slice is no segment: to begin with what is rare calms the first updates.
        nn.init.constant_(self.last.bias, _FIRST_LOGIT)  # type: ignore[arg-type]

    @classmethod
    def fresh(cls, segments: int, seed: int) -> Finder:
        """One that knows nothing yet; the same for the same seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(segments)

    @classmethod
    def restored(cls, segments: int, tensors: Mapping[str, Tensor]) -> Finder | None:
        """From an adapter's tensors, by their names here; None if there are none.

        Raises:
            RuntimeError: they do not fit.
        """
        if not tensors:
            return None
        made = cls(segments)
        made.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        return made.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, segments, S, S) of squares (n, 1, S, S), as `square` makes them."""
        values = functional.pixel_unshuffle(images, _FOLD)
        values = values.contiguous(memory_format=torch.channels_last)
        levels: list[Tensor] = []
        for block in self.down:
            values = block(values)
            levels.append(values)
        levels.pop()
        for block in self.up:
            finer = functional.interpolate(values, scale_factor=2.0, mode="nearest")
            values = block(torch.cat([finer, levels.pop()], dim=1))
        return functional.pixel_shuffle(self.last(values), _FOLD)

    def logits_of(self, look: NDArray[np.uint8]) -> Tensor:
        """Logits (segments, rows, columns) in the grid of a look, without gradients.

        The mean of several views, from nearer and from farther; where one does not reach, of the
        others.
        """
        rows, columns = look.shape
        image = square(look)[None].to(self.last.weight.device).expand(len(_ZOOMS), -1, -1, -1)
        with torch.inference_mode():
            logits = self(_zoomed(image, _ZOOMS))
            back = [1 / zoom for zoom in _ZOOMS]
            seen = _zoomed(torch.ones_like(image), back)
            mean: Tensor = _zoomed(logits, back).sum(0) / seen.sum(0)
        return mean[:, :rows, :columns]


def square(look: NDArray[np.uint8]) -> Tensor:
    """A look as float32 (1, S, S), 0 to 1; what it does not cover, right and below, is black."""
    rows, columns = look.shape
    image = torch.zeros(1, LOOK_SIDE, LOOK_SIDE)
    image[0, :rows, :columns] = torch.from_numpy(np.array(look, np.float32)) / 255
    return image


def _zoomed(images: Tensor, parts: Sequence[float]) -> Tensor:
    """Of each of (n, C, S, S) a part of the width around the centre, or more with black around."""
    scale = torch.tensor(parts, device=images.device)
    turn = torch.diag_embed(torch.stack([scale, scale], 1))
    grid = functional.affine_grid(
        functional.pad(turn, (0, 1)), list(images.shape), align_corners=False
    )
    return functional.grid_sample(images, grid, align_corners=False)


def on_grid(logits: Tensor, extent: Sequence[int], side: int) -> Tensor:
    """Logits (rows, columns) of a look in the square grid of a decoder's.

    Args:
        logits: of one segment.
        extent: (rows, columns) of that grid which the slice takes; the rest is surely outside.
        side: of the grid.
    """
    rows, columns = extent
    fitted = functional.interpolate(
        logits[None, None], (rows, columns), mode="bilinear", align_corners=False
    )
    grid = torch.full((side, side), float(logits.min().clamp(max=-1.0)))
    grid[:rows, :columns] = fitted[0, 0].cpu()
    return grid


def expected_iou(logits: Tensor) -> float:
    """The intersection over union to be expected of the mask, were the logits' chances right."""
    chances = logits.sigmoid()
    inside = logits > 0
    right = float(chances[inside].sum())
    union = float(inside.sum()) + float(chances[~inside].sum())
    # An empty mask is as good as sure that there is nothing.
    return (right + 1.0) / (union + 1.0)


def mean_the_same(prompts: Prompts, answer: NDArray[np.bool_], found: NDArray[np.bool_]) -> bool:
    """Whether an answer to prompts and what was found without are the same structure.

    Every click has to be right about what was found, and the masks have to overlap, inside the box
    if there is one: the answer to a box is good by itself and gives way to its like alone.

    Args:
        prompts: in the slice's coordinates.
        answer: mask (rows, columns) of the slice.
        found: of the same.
    """
    for (column, row), positive in zip(prompts.points, prompts.positive, strict=True):
        if bool(found[_place(row, found.shape[0]), _place(column, found.shape[1])]) != positive:
            return False
    if prompts.box is None:
        return dice(answer, found) > _SAME_BY_CLICKS
    inside = np.zeros_like(found)
    left, top, right, bottom = prompts.box
    inside[round(top) : round(bottom) + 1, round(left) : round(right) + 1] = True
    return dice(answer, found & inside) > _SAME_BY_BOX


def _place(coordinate: float, length: int) -> int:
    """The voxel at a coordinate, which may lie on the slice's very edge."""
    return min(max(round(coordinate), 0), length - 1)


class _Block(nn.Module):
    """Two convolutions and a way past them (He et al. 2016): it learns in fewer updates.

    Each channel is normalised by itself (Ulyanov et al. 2016): with groups of eight, slices of
    another scanner were found worse (spinal cord .66 against .83, breast lesions .56 against .58).
    """

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.past = nn.Conv2d(before, after, 1, stride, bias=False)
        self.norms = nn.ModuleList(nn.GroupNorm(after, after) for _ in range(2))

    def forward(self, values: Tensor) -> Tensor:
        inner = functional.relu(self.norms[0](self.first(values)))
        return functional.relu(self.norms[1](self.second(inner)) + self.past(values))
