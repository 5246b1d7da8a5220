"""What made-up anatomy is painted with: regions, their parts, and the objects to ask for."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from shapes import (
    Generator,
    Mask,
    random_shape,
    smooth_noise,
)

SMALLEST = 12
"""Objects of fewer pixels are not asked for."""


@dataclass
class Scene:
    """Regions painted over each other; `level` and `texture` hold one value per region number.

    `like` names the look that such a scene is mostly seen in.
    """

    size: int
    labels: NDArray[np.int32]
    level: list[float]
    texture: list[float]
    wholes: list[Mask] = field(default_factory=list)
    painted: list[int] = field(default_factory=list)
    like: str | None = None

    @classmethod
    def empty(cls, rng: Generator, size: int) -> "Scene":
        """A picture of a single region."""
        return cls(size, np.zeros((size, size), np.int32), [rng.uniform(0, 1)], [rng.uniform(0, 1)])

    def paint(self, mask: Mask, level: float, texture: float, *, ask: bool = True) -> None:
        """Adds a region on top of what is there; `ask` makes it an object."""
        self.labels[mask > 0] = len(self.level)
        self.level.append(float(level))
        self.texture.append(float(texture))
        for whole in self.wholes:
            if not nested(mask, whole):
                whole[mask > 0] = 0
        if ask:
            self.offer(mask)

    def offer(self, mask: Mask) -> None:
        """Makes a mask an object that can be asked for."""
        self.wholes.append(mask.copy())
        self.painted.append(int(mask.sum()))

    def objects(self) -> list[Mask]:
        """The objects of which enough is to be seen."""
        pairs = zip(self.wholes, self.painted, strict=True)
        return [mask for mask, area in pairs if mask.sum() > 0.5 * area]


def nested(inner: Mask, outer: Mask) -> bool:
    """True if nearly all of `inner` lies in `outer`: then it is a part of it and hides nothing."""
    area = int(inner.sum())
    return area > 0 and int((inner & outer).sum()) > 0.9 * area and area < 0.95 * int(outer.sum())


def level_beside(rng: Generator, level: float) -> float:
    """A brightness that differs from a neighbour's by a contrast drawn from faint to strong."""
    contrast = np.exp(rng.uniform(np.log(0.1), np.log(0.6)))
    sign = rng.choice([-1, 1])
    if not 0 <= level + sign * contrast <= 1:
        sign = -sign
    return float(np.clip(level + sign * contrast, 0, 1))


def tissue(rng: Generator, scene: Scene) -> None:
    """Folded background tissue: the level sets of a smooth noise field, not objects themselves."""
    size = scene.size
    noise = smooth_noise(rng, size, size * rng.uniform(0.12, 0.5))
    for low in np.sort(rng.uniform(-1.2, 1.2, rng.integers(1, 4))):
        scene.paint(
            (noise > low).astype(np.uint8),
            level_beside(rng, scene.level[-1]),
            rng.uniform(0, 1),
            ask=False,
        )


def add_parts(rng: Generator, scene: Scene, whole: Mask, level: float, depth: int) -> None:
    """Paints parts inside an object: cores, walls, nodules."""
    area = int(whole.sum())
    if depth == 0 or area < 6 * SMALLEST or rng.random() > 0.45:
        return
    radius = np.sqrt(area / np.pi)
    if rng.random() < 0.3:
        wall = max(1, round(radius * rng.uniform(0.12, 0.4)))
        parts = [
            cv2.erode(whole, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * wall + 1,) * 2))
        ]
    else:
        rows, columns = np.nonzero(whole)
        parts = []
        for _ in range(rng.integers(1, 4)):
            at = rng.integers(len(rows))
            centre = np.array([columns[at], rows[at]], float)
            parts.append(
                random_shape(rng, scene.size, centre, radius * rng.uniform(0.15, 0.6)) & whole
            )
    for part in parts:
        if part.sum() >= SMALLEST:
            inner = level_beside(rng, level)
            scene.paint(part, inner, rng.uniform(0, 1))
            add_parts(rng, scene, part, inner, depth - 1)
