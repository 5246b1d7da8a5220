"""Made-up anatomy: regions within regions, with the objects that a person could ask for."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from shapes import Generator, Mask, banana, blob, ellipse, random_shape, ring, smooth_noise

SMALLEST = 12
"""Objects of fewer pixels are not asked for."""


@dataclass
class Scene:
    """Regions painted over each other; `level` and `texture` hold one value per region number."""

    size: int
    labels: NDArray[np.int32]
    level: list[float]
    texture: list[float]
    wholes: list[Mask] = field(default_factory=list)
    painted: list[int] = field(default_factory=list)

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
            if not _nested(mask, whole):
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


def _nested(inner: Mask, outer: Mask) -> bool:
    """True if nearly all of `inner` lies in `outer`: then it is a part of it and hides nothing."""
    area = int(inner.sum())
    return area > 0 and int((inner & outer).sum()) > 0.9 * area and area < 0.95 * int(outer.sum())


def _level_beside(rng: Generator, level: float) -> float:
    """A brightness that differs from a neighbour's by a contrast drawn from faint to strong."""
    contrast = np.exp(rng.uniform(np.log(0.07), np.log(0.6)))
    sign = rng.choice([-1, 1])
    if not 0 <= level + sign * contrast <= 1:
        sign = -sign
    return float(np.clip(level + sign * contrast, 0, 1))


def _tissue(rng: Generator, scene: Scene) -> None:
    """Folded background tissue: the level sets of a smooth noise field, not objects themselves."""
    size = scene.size
    noise = smooth_noise(rng, size, size * rng.uniform(0.12, 0.5))
    for low in np.sort(rng.uniform(-1.2, 1.2, rng.integers(1, 4))):
        scene.paint(
            (noise > low).astype(np.uint8),
            _level_beside(rng, scene.level[-1]),
            rng.uniform(0, 1),
            ask=False,
        )


def _add_parts(rng: Generator, scene: Scene, whole: Mask, level: float, depth: int) -> None:
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
            inner = _level_beside(rng, level)
            scene.paint(part, inner, rng.uniform(0, 1))
            _add_parts(rng, scene, part, inner, depth - 1)


def organs(rng: Generator, size: int) -> Scene:
    """Organs of all sizes in a body, with parts of their own."""
    scene = Scene.empty(rng, size)
    if rng.random() < 0.4:
        _tissue(rng, scene)
    inside = np.ones((size, size), np.uint8)
    if rng.random() < 0.4:
        centre = size * rng.uniform(0.4, 0.6, 2)
        inside = blob(rng, size, centre, size * rng.uniform(0.3, 0.55))
        scene.level[0] = rng.uniform(0, 0.1)
        scene.paint(inside, rng.uniform(0.2, 0.8), rng.uniform(0, 1), ask=bool(rng.random() < 0.5))
    largest = 0.42 if rng.random() < 0.5 else 0.2
    for _ in range(rng.integers(2, 14)):
        radius = size * np.exp(rng.uniform(np.log(0.025), np.log(largest)))
        centre = size * rng.uniform(0.08, 0.92, 2)
        mask = random_shape(rng, size, centre, radius) & inside
        if mask.sum() < SMALLEST:
            continue
        around = scene.level[
            scene.labels[min(int(centre[1]), size - 1), min(int(centre[0]), size - 1)]
        ]
        level = _level_beside(rng, around)
        scene.paint(mask, level, rng.uniform(0, 1))
        _add_parts(rng, scene, mask, level, 2)
    return scene


def close_up(rng: Generator, size: int) -> Scene:
    """A crop around a structure: it fills much of the picture and shares its neighbours' grey."""
    scene = Scene.empty(rng, size)
    _tissue(rng, scene)
    centre = size * rng.uniform(0.35, 0.65, 2)
    radius = size * rng.uniform(0.08, 0.3)
    draw = rng.choice([banana, blob, ellipse, random_shape])
    level = rng.choice(scene.level) if rng.random() < 0.25 else _level_beside(rng, scene.level[-1])
    mask = draw(rng, size, centre, radius)
    if rng.random() < 0.6:
        rim = max(1, round(radius * rng.uniform(0.1, 0.5)))
        around = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1,) * 2))
        if rng.random() < 0.5:
            around &= random_shape(rng, size, centre + rng.normal(0, radius, 2), radius * 1.5)
        scene.paint(
            around, _level_beside(rng, level), rng.uniform(0, 1), ask=bool(rng.random() < 0.5)
        )
    scene.paint(mask, level, rng.uniform(0, 1))
    _add_parts(rng, scene, mask, level, 2)
    for _ in range(rng.integers(0, 5)):
        other = random_shape(rng, size, size * rng.uniform(0, 1, 2), size * rng.uniform(0.03, 0.2))
        other &= 1 - cv2.dilate(mask, np.ones((3, 3), np.uint8))
        scene.paint(other, _level_beside(rng, level), rng.uniform(0, 1))
    return scene


def twins(rng: Generator, size: int) -> Scene:
    """A mirrored pair that is one object and two: lungs, kidneys, ventricles, orbits."""
    scene = Scene.empty(rng, size)
    body = ellipse(rng, size, size * rng.uniform(0.45, 0.55, 2), size * rng.uniform(0.4, 0.7))
    scene.paint(body, _level_beside(rng, scene.level[0]), rng.uniform(0, 1), ask=False)
    around = scene.level[-1]
    axis = size * rng.uniform(0.45, 0.55)
    radius = size * rng.uniform(0.06, 0.24)
    gap = radius * rng.uniform(0.9, 1.5)
    height = size * rng.uniform(0.35, 0.65)
    left = blob(rng, size, np.array([axis - gap, height]), radius)
    right = np.ascontiguousarray(left[:, ::-1])
    right = np.roll(right, round(2 * axis - size), axis=1)
    if rng.random() < 0.6:
        other = blob(
            rng, size, np.array([axis + gap, height + rng.normal(0, radius * 0.15)]), radius
        )
        right = (
            other if rng.random() < 0.5 else (right & cv2.dilate(other, np.ones((5, 5), np.uint8)))
        )
    right &= 1 - left
    if rng.random() < 0.5:
        heart = blob(
            rng,
            size,
            np.array([axis + rng.normal(0, radius * 0.4), height + radius * 0.5]),
            radius * rng.uniform(0.4, 0.8),
        )
        left, right = left & ~heart & 1, right & ~heart & 1
    level, grain = _level_beside(rng, around), rng.uniform(0, 1)
    scene.paint(left, level, grain)
    scene.paint(right, level + rng.normal(0, 0.03), grain)
    scene.offer(left | right)
    for _ in range(rng.integers(0, 4)):
        small = random_shape(
            rng, size, size * rng.uniform(0.1, 0.9, 2), size * rng.uniform(0.02, 0.08)
        )
        scene.paint(small, _level_beside(rng, level), rng.uniform(0, 1))
    return scene


def cells(rng: Generator, size: int) -> Scene:
    """A tissue of cells, with or without membranes."""
    scene = Scene.empty(rng, size)
    count = int(rng.integers(8, 60))
    seeds = rng.uniform(0, size, (count, 2)).astype(np.float32)
    yy, xx = np.mgrid[:size, :size].astype(np.float32)
    shift = size * 0.04
    xx += shift * smooth_noise(rng, size, size * 0.2)
    yy += shift * smooth_noise(rng, size, size * 0.2)
    distance = np.hypot(xx[..., None] - seeds[:, 0], yy[..., None] - seeds[:, 1])
    owner = distance.argmin(-1)
    two = np.partition(distance, 1, axis=-1)[..., :2]
    membrane = (two[..., 1] - two[..., 0]) < size * rng.choice([0.0, 0.015, 0.03, 0.06])
    alike, level = rng.random() < 0.6, rng.uniform(0, 1)
    for cell in rng.permutation(count):
        mask = ((owner == cell) & ~membrane).astype(np.uint8)
        if mask.sum() >= SMALLEST and rng.random() < 0.9:
            brightness = np.clip(level + rng.normal(0, 0.05 if alike else 0.3), 0, 1)
            scene.paint(mask, float(brightness), rng.uniform(0, 1))
    scene.level[0] = _level_beside(rng, level)
    return scene


def spine(rng: Generator, size: int) -> Scene:
    """A round core in a ring in tissue, small, as a cord in its canal or a vessel in its wall."""
    scene = Scene.empty(rng, size)
    _tissue(rng, scene)
    centre = size * rng.uniform(0.25, 0.75, 2)
    radius = size * rng.uniform(0.05, 0.2)
    outer = ellipse(rng, size, centre, radius * rng.uniform(1.2, 2.2))
    if rng.random() < 0.2:
        outer |= ring(rng, size, centre, radius * 2)
    level = rng.uniform(0, 1)
    scene.paint(outer, _level_beside(rng, level), rng.uniform(0, 1))
    core = (ellipse if rng.random() < 0.7 else blob)(
        rng, size, centre + rng.normal(0, radius * 0.15, 2), radius
    )
    scene.paint(core, level, rng.uniform(0, 1))
    _add_parts(rng, scene, core, level, 1)
    return scene


KINDS = ((organs, 0.42), (close_up, 0.25), (twins, 0.12), (cells, 0.06), (spine, 0.15))


def random_scene(rng: Generator, size: int) -> tuple[Scene, list[Mask]]:
    """Draws a scene and the list of its objects: wholes, and parents without their parts.

    Returns:
        The scene and (size, size) 0/1 masks of SMALLEST pixels to 70 % of the picture.
    """
    weights = np.array([w for _, w in KINDS])
    scene = KINDS[rng.choice(len(KINDS), p=weights / weights.sum())][0](rng, size)
    objects = scene.objects()
    if rng.random() < 0.3:
        objects += _without_parts(scene, objects)
    return scene, [m for m in objects if SMALLEST <= m.sum() <= 0.7 * size * size]


def _without_parts(scene: Scene, wholes: list[Mask]) -> list[Mask]:
    """Objects less the parts inside them, where that leaves a good half."""
    rest = []
    for whole in wholes:
        parts = [part for part in wholes if part is not whole and _nested(part, whole)]
        if parts:
            own = whole & ~np.bitwise_or.reduce(parts) & 1
            if own.sum() > 0.4 * whole.sum():
                rest.append(own)
    return rest
