"""Resizing slices exactly as the models' authors did, without the libraries they did it with.

MedSAM resized with scikit-image, LiteMedSAM and SAM-Med2D with OpenCV. Their results are reproduced
from what those libraries document and compute, so that a model sees the pixels it was trained on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

Pixels = npt.NDArray[np.uint8]
Size = tuple[int, int]

# Below this fraction of a pixel OpenCV leaves an overlap out.
_SMALL_OVERLAP = 1e-3
# OpenCV's fixed-point weights for uint8 have 11 bits.
_WEIGHT_ONE = 2048


def resize_bilinear(pixels: Pixels, size: Size) -> Pixels:
    """Resize with Pillow's bilinear filter, which widens when shrinking.

    Torchvision's `resize` does the same to Pillow images, and SAM used that.

    Args:
        pixels: uint8, (rows, columns) or (rows, columns, 3).
        size: (rows, columns) of the result.
    """
    rows, columns = size
    resized = Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.uint8)


def resize_nearest(pixels: Pixels, size: Size) -> Pixels:
    """Resize by taking pixels, as OpenCV's `INTER_NEAREST`; arguments as `resize_bilinear`."""
    rows, columns = (
        np.minimum(np.floor(np.arange(after) * (1 / (after / before))), before - 1).astype(int)
        for after, before in zip(size, pixels.shape[:2], strict=True)
    )
    resized: Pixels = pixels[rows][:, columns]
    return resized


def resize_cubic(pixels: Pixels, size: Size) -> Pixels:
    """Resize with cubic splines after a Gaussian blur of what shrinks.

    As scikit-image's `resize` with order 3, anti-aliasing and preserved range, truncated to whole
    grey levels as MedSAM's authors did; arguments as `resize_bilinear`.
    """
    wanted = size + pixels.shape[2:]
    factors = np.divide(pixels.shape, wanted)
    blurred = pixels.astype(np.float64)
    if (factors > 1).any():
        blurred = ndimage.gaussian_filter(blurred, np.maximum(0, (factors - 1) / 2), mode="mirror")
    zoomed = ndimage.zoom(blurred, 1 / factors, order=3, mode="mirror", grid_mode=True)
    # Splines overshoot; the range of the image is kept.
    resized: Pixels = np.clip(zoomed, pixels.min(), pixels.max()).astype(np.uint8)
    return resized


def resize_area(pixels: Pixels, size: Size) -> Pixels:
    """Resize by area: averages when shrinking, between neighbours when enlarging.

    As OpenCV's `INTER_AREA` on uint8, with its rounding; arguments as `resize_bilinear`.
    """
    if pixels.shape[:2] == size:
        return pixels.copy()
    scales = [before / after for before, after in zip(pixels.shape[:2], size, strict=True)]
    if min(scales) < 1:
        return _enlarge(pixels, size)
    if all(abs(scale - round(scale)) < np.finfo(float).eps for scale in scales):
        return _average_blocks(pixels, size)
    across = _gather(pixels.astype(np.float32), 1, *_overlaps(pixels.shape[1], size[1]))
    return _to_uint8(_gather(across, 0, *_overlaps(pixels.shape[0], size[0])))


def _to_uint8(values: npt.NDArray[np.float32]) -> Pixels:
    # Halves go to the even neighbour, in numpy as in OpenCV.
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _average_blocks(pixels: Pixels, size: Size) -> Pixels:
    rows, columns = (before // after for before, after in zip(pixels.shape[:2], size, strict=True))
    blocks = pixels.reshape(size[0], rows, size[1], columns, *pixels.shape[2:])
    sums = blocks.sum(axis=(1, 3), dtype=np.int32)
    if (rows, columns) == (2, 2):
        # A special case there: halves go up.
        halves_up: Pixels = ((sums + 2) >> 2).astype(np.uint8)
        return halves_up
    return _to_uint8(sums.astype(np.float32) * np.float32(1 / (rows * columns)))


def _overlaps(before: int, after: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """For each new pixel the old ones it covers and by how much: (after, taps) each."""
    scale = 1 / (after / before)
    taps = int(np.ceil(scale)) + 2
    sources = np.zeros((after, taps), np.intp)
    weights = np.zeros((after, taps), np.float32)
    for new in range(after):
        start = new * scale
        stop = start + scale
        cell = min(scale, before - start)
        last = min(int(np.floor(stop)), before - 1)
        first = min(int(np.ceil(start)), last)
        covered = [(old, 1 / cell) for old in range(first, last)]
        if first - start > _SMALL_OVERLAP:
            covered.insert(0, (first - 1, (first - start) / cell))
        if stop - last > _SMALL_OVERLAP:
            covered.append((last, min(stop - last, 1, cell) / cell))
        for tap, (old, weight) in enumerate(covered):
            sources[new, tap], weights[new, tap] = old, weight
    return sources, weights


def _gather(
    image: npt.NDArray[np.float32],
    axis: int,
    sources: npt.NDArray[np.intp],
    weights: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Weighted sums along an axis, added up in OpenCV's order so that they round alike."""
    shape = [1] * image.ndim
    shape[axis] = len(weights)
    total: npt.NDArray[np.floating[Any]] = np.zeros(1, np.float32)
    for tap in range(weights.shape[1]):
        total = total + image.take(sources[:, tap], axis) * weights[:, tap].reshape(shape)
    return total.astype(np.float32, copy=False)


def _enlarge(pixels: Pixels, size: Size) -> Pixels:
    (upper, lower, rest_y), (left, right, rest_x) = (
        _neighbours(before, after) for before, after in zip(pixels.shape[:2], size, strict=True)
    )
    columns = (slice(None), *[None] * (pixels.ndim - 2))
    image = pixels.astype(np.int32)
    across = image[:, left] * (_WEIGHT_ONE - rest_x)[columns] + image[:, right] * rest_x[columns]
    rows = (slice(None), *[None] * (pixels.ndim - 1))
    # The shifts are those of OpenCV's integer arithmetic.
    above = ((_WEIGHT_ONE - rest_y)[rows] * (across[upper] >> 4)) >> 16
    below = (rest_y[rows] * (across[lower] >> 4)) >> 16
    return ((above + below + 2) >> 2).astype(np.uint8)


def _neighbours(
    before: int, after: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.int32]]:
    """For each new pixel its two old neighbours and the weight of the second, out of 2048."""
    new = np.arange(after)
    inverse = after / before
    first = np.floor(new * (1 / inverse)).astype(np.intp)
    rest: npt.NDArray[Any] = ((new + 1) - (first + 1) * inverse).astype(np.float32)
    rest = np.where(rest <= 0, np.float32(0), rest - np.floor(rest))
    rest[first >= before - 1] = 0
    second = np.minimum(first + 1, before - 1)
    weight = np.rint(rest * np.float32(_WEIGHT_ONE)).astype(np.int32)
    return np.minimum(first, before - 1), second, weight
