"""The weights, slices and prompts on which our models were compared with their authors' code."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

SEED = 20240721
SHAPES: dict[str, tuple[int, ...]] = {
    "small": (150, 200),
    "large": (1210, 900),
    "colour": (260, 90, 3),
}
SAMPLES = 256
# What a draw is scaled by where 1/sqrt(fan in) would make it vanish.
_SCALES = {"pos_embed": 0.5, "attention_biases": 0.5, "positional_encoding_gaussian_matrix": 1.0}
_TABLES = ("point_embeddings", "not_a_point_embed", "no_mask_embed", "iou_token", "mask_tokens")


def draw_weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, npt.NDArray[np.generic]]:
    """One draw per name, in the order of the sorted names."""
    generator = np.random.Generator(np.random.PCG64(SEED))
    return {name: _draw(generator, name, shapes[name]) for name in sorted(shapes)}


def _draw(
    generator: np.random.Generator, name: str, shape: tuple[int, ...]
) -> npt.NDArray[np.generic]:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    values = generator.standard_normal(shape, np.float32)
    last = name.rsplit(".", 1)[-1]
    if last == "running_var":
        return 1 + np.float32(0.2) * np.abs(values)
    if len(shape) == 1:
        return np.float32(last == "weight") + np.float32(0.1) * values
    if last in _SCALES:
        return np.float32(_SCALES[last]) * values
    if any(table in name for table in _TABLES):
        return values
    return values / np.float32(math.sqrt(math.prod(shape[1:])))


def draw_slice(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Patches of many sizes, a ramp and grain; whole numbers only, the same everywhere."""
    generator = np.random.Generator(np.random.PCG64(sum(shape)))
    rows, columns = np.indices(shape[:2])
    channels = []
    for _ in range(shape[2] if len(shape) == 3 else 1):
        image = (rows + 2 * columns) * 60 // (shape[0] + 2 * shape[1])
        for size in (3, 7, 17):
            steps = generator.integers(0, 60, (size, size))
            image += steps[rows * size // shape[0], columns * size // shape[1]]
        channels.append(image + generator.integers(0, 10, shape[:2]))
    image = np.stack(channels, axis=-1).astype(np.uint8)
    return image if len(shape) == 3 else image[:, :, 0]


def draw_prompts(
    shape: tuple[int, ...],
) -> tuple[list[tuple[float, float]], list[bool], tuple[float, float, float, float]]:
    """Three points as (column, row), their signs, and a box, for a slice of that shape."""
    rows, columns = shape[:2]
    points = [
        (float(int(columns * 0.41)), float(int(rows * 0.37))),
        (float(int(columns * 0.72)), float(int(rows * 0.66))),
        (columns * 0.3, rows * 0.5),
    ]
    box = (int(columns * 0.2), int(rows * 0.15), int(columns * 0.61), int(rows * 0.57))
    return points, [True, False, True], tuple(float(value) for value in box)


def sample_places(size: tuple[int, int]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns of `SAMPLES` places of a grid."""
    generator = np.random.Generator(np.random.PCG64(SEED + size[0]))
    return generator.integers(0, size[0], SAMPLES), generator.integers(0, size[1], SAMPLES)
