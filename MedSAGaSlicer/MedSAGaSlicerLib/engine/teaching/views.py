"""Changed copies of a slice, for a model that should learn the structure and not the picture.

A view depends on the slice's pixels and the view's number alone, not on the lesson's seed: its
embedding is found in the cache when the same slice is taught again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

from MedSAGaSlicerLib.engine.neighbours import among, planes, stacked
from MedSAGaSlicerLib.engine.prompts import Prompts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.examples import Example

_TURN: Final = np.deg2rad(15.0)
_ZOOM: Final = (0.8, 1.25)
_SHIFT: Final = 0.08
_GAMMA: Final = (0.65, 1.5)
_CONTRAST: Final = (0.75, 1.3)
_BRIGHTNESS: Final = 25.0
_NOISE: Final = 6.0
_MIDDLE: Final = 127.5


@dataclass(frozen=True, eq=False)
class View:
    """A slice as it is, or changed.

    Attributes:
        pixels: uint8, of the slice's shape.
        masks: bool (rows, columns) by segment, changed along.
        prompts: what the person gave, moved along; those that left the picture are gone.
        mirrored: whether left and right, or top and bottom, are swapped: then the place of a
            structure in the picture says nothing.
        neighbours: as of the example, as many as were asked for, changed along; None if none were.
    """

    pixels: NDArray[np.uint8]
    masks: dict[str, NDArray[np.bool_]]
    prompts: dict[str, Prompts]
    mirrored: bool = False
    neighbours: NDArray[np.uint8] | None = None

    @property
    def shown(self) -> NDArray[np.uint8]:
        """What the encoder that learns is shown."""
        return self.pixels if self.neighbours is None else among(self.pixels, self.neighbours)


def make_view(example: Example, number: int, depth: int = 1) -> View:
    """View ``number`` of a slice, for an encoder that looks at so many: 0 is the slice itself.

    Others are turned, zoomed, shifted, every fourth one mirrored, and change gamma, window and
    noise within what scanners and readers do. Deterministic; the slice's own pixels do not depend
    on the depth.

    Raises:
        InputError: the example has too few neighbours.
    """
    around = example.around(depth) if depth > 1 else None
    if number == 0:
        return View(example.pixels, dict(example.masks), dict(example.prompts), False, around)
    rng = np.random.default_rng([int(example.key[:8], 16), number])
    mirrored = number % 4 == 3
    # Of output pixels (row, column) to input pixels, as scipy wants it.
    matrix, offset = _motion(rng, example.size, mirrored)
    masks = {
        name: _moved(mask.astype(np.float32), matrix, offset) > 0.5
        for name, mask in example.masks.items()
    }
    together = [example.pixels] if around is None else [example.pixels, *planes(around)]
    greys = [_moved(plane.astype(np.float32), matrix, offset) for plane in together]
    pixels, *others = _relit(rng, greys)
    prompts = {
        name: moved
        for name, given in example.prompts.items()
        if not (moved := _moved_prompts(given, matrix, offset, example.size)).is_empty
    }
    return View(pixels, masks, prompts, mirrored, stacked(others) if others else None)


def _motion(
    rng: np.random.Generator, size: tuple[int, int], mirrored: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    angle = rng.uniform(-_TURN, _TURN)
    zoom = np.exp(rng.uniform(*np.log(_ZOOM)))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    sign = np.ones(2)
    if mirrored:
        sign[int(rng.random() < 0.7)] = -1
    matrix = turn / zoom @ np.diag(sign)
    middle = (np.array(size) - 1) / 2
    shift = rng.uniform(-_SHIFT, _SHIFT, 2) * np.array(size)
    return matrix, middle - matrix @ (middle + shift)


def _moved(
    values: NDArray[np.float32], matrix: NDArray[np.float64], offset: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Linear interpolation, zero outside; channels, if any, one by one."""
    if values.ndim == 3:
        return np.stack([_moved(part, matrix, offset) for part in np.moveaxis(values, 2, 0)], -1)
    moved: NDArray[np.float32] = ndimage.affine_transform(values, matrix, offset, order=1)
    return moved


def _relit(rng: np.random.Generator, greys: list[NDArray[np.float32]]) -> list[NDArray[np.uint8]]:
    """Slices of one volume in another light, each with noise of its own."""
    gamma = np.exp(rng.uniform(*np.log(_GAMMA)))
    contrast = np.exp(rng.uniform(*np.log(_CONTRAST)))
    brightness = rng.uniform(-_BRIGHTNESS, _BRIGHTNESS)
    noise = rng.uniform(0, _NOISE)
    relit = []
    for grey in greys:
        lit = 255.0 * (grey.clip(0, 255) / 255.0) ** gamma
        lit = (lit - _MIDDLE) * contrast + _MIDDLE + brightness
        # What is outside the body or the picture stays black.
        grain = rng.normal(0, noise, grey.shape[:2] + (1,) * (grey.ndim - 2))
        lit = np.where(grey > 0, lit + grain, 0)
        relit.append(np.rint(lit).clip(0, 255).astype(np.uint8))
    return relit


def _moved_prompts(
    prompts: Prompts, matrix: NDArray[np.float64], offset: NDArray[Any], size: tuple[int, int]
) -> Prompts:
    back = np.linalg.inv(matrix)

    def moved(column: float, row: float) -> tuple[float, float]:
        at_row, at_column = back @ (np.array([row, column]) - offset)
        return float(at_column), float(at_row)

    def inside(column: float, row: float) -> bool:
        return 0 <= column <= size[1] - 1 and 0 <= row <= size[0] - 1

    places = [moved(*point) for point in prompts.points]
    kept = [(at, sign) for at, sign in zip(places, prompts.positive, strict=True) if inside(*at)]
    # A turned box is no box; the one around it would be too large. It is simulated instead.
    return Prompts(tuple(at for at, _ in kept), tuple(sign for _, sign in kept))
