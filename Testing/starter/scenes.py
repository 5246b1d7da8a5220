"""Made-up anatomy: regions within regions, with the objects that a person could ask for."""

import cv2
import numpy as np
from numpy.typing import NDArray
from painting import SMALLEST, Scene, add_parts, level_beside, nested, tissue
from shapes import (
    Generator,
    Mask,
    banana,
    blob,
    ellipse,
    fill,
    random_shape,
    ring,
    smooth_noise,
    strip,
    turned,
)


def organs(rng: Generator, size: int) -> Scene:
    """Organs of all sizes in a body, with parts of their own."""
    scene = Scene.empty(rng, size)
    if rng.random() < 0.4:
        tissue(rng, scene)
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
        level = level_beside(rng, around)
        scene.paint(mask, level, rng.uniform(0, 1))
        add_parts(rng, scene, mask, level, 2)
    return scene


def trunk(rng: Generator, size: int) -> Scene:
    """A cut through a whole body: fat, muscle, bones, and organs of nearly one brightness."""
    scene = Scene.empty(rng, size)
    scene.level[0] = rng.uniform(0, 0.06)
    middle = size * rng.uniform(0.44, 0.56, 2)
    body = ellipse(rng, size, middle, size * rng.uniform(0.33, 0.5))
    fat, soft = rng.uniform(0.12, 0.35), rng.uniform(0.45, 0.7)
    scene.paint(body, fat, rng.uniform(0, 0.5), ask=False)
    wall = max(1, round(size * rng.uniform(0.015, 0.06)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * wall + 1,) * 2)
    muscle = cv2.erode(body, disc)
    cavity = cv2.erode(muscle, disc)
    scene.paint(muscle, soft * rng.uniform(0.8, 1), rng.uniform(0, 1), ask=False)
    scene.paint(cavity, fat * rng.uniform(0.8, 1.3), rng.uniform(0, 0.5), ask=False)
    rim_rows, rim_columns = np.nonzero(muscle - cavity)
    for _ in range(rng.integers(0, 14) if rim_rows.size else 0):
        at = rng.integers(rim_rows.size)
        centre = np.array([rim_columns[at], rim_rows[at]], float)
        bone = ellipse(rng, size, centre, size * rng.uniform(0.01, 0.025))
        scene.paint(bone, rng.uniform(0.85, 1), rng.uniform(0, 1))
    rows, columns = np.nonzero(cavity)
    for _ in range(rng.integers(6, 20) if rows.size else 0):
        at = rng.integers(rows.size)
        centre = np.array([columns[at], rows[at]], float)
        radius = size * np.exp(rng.uniform(np.log(0.012), np.log(0.2)))
        vessel = radius < 0.04 * size and rng.random() < 0.6
        mask = (ellipse if vessel else random_shape)(rng, size, centre, radius) & muscle
        level = soft + rng.normal(0, 0.08)
        if rng.random() < 0.2:
            level = rng.choice([rng.uniform(0, 0.1), rng.uniform(0.75, 1)])
        if mask.sum() >= SMALLEST:
            scene.paint(mask, float(np.clip(level, 0, 1)), rng.uniform(0, 1))
            add_parts(rng, scene, mask, float(level), 1)
    scene.like = "ct"
    return scene


def close_up(rng: Generator, size: int) -> Scene:
    """A crop around a structure: it fills much of the picture and shares its neighbours' grey."""
    scene = Scene.empty(rng, size)
    tissue(rng, scene)
    centre = size * rng.uniform(0.35, 0.65, 2)
    radius = size * rng.uniform(0.08, 0.3)
    draw = rng.choice([banana, blob, ellipse, random_shape])
    level = rng.choice(scene.level) if rng.random() < 0.25 else level_beside(rng, scene.level[-1])
    mask = draw(rng, size, centre, radius)
    if rng.random() < 0.6:
        rim = max(1, round(radius * rng.uniform(0.1, 0.5)))
        around = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1,) * 2))
        if rng.random() < 0.5:
            around &= random_shape(rng, size, centre + rng.normal(0, radius, 2), radius * 1.5)
        scene.paint(
            around, level_beside(rng, level), rng.uniform(0, 1), ask=bool(rng.random() < 0.5)
        )
    scene.paint(mask, level, rng.uniform(0, 1))
    add_parts(rng, scene, mask, level, 2)
    for _ in range(rng.integers(0, 5)):
        other = random_shape(rng, size, size * rng.uniform(0, 1, 2), size * rng.uniform(0.03, 0.2))
        other &= 1 - cv2.dilate(mask, np.ones((3, 3), np.uint8))
        scene.paint(other, level_beside(rng, level), rng.uniform(0, 1))
    return scene


def twins(rng: Generator, size: int) -> Scene:
    """A mirrored pair that is one object and two: lungs, kidneys, ventricles, orbits."""
    scene = Scene.empty(rng, size)
    body = ellipse(rng, size, size * rng.uniform(0.45, 0.55, 2), size * rng.uniform(0.4, 0.7))
    scene.paint(body, level_beside(rng, scene.level[0]), rng.uniform(0, 1), ask=False)
    around = scene.level[-1]
    axis = size * rng.uniform(0.45, 0.55)
    lungs = rng.random() < 0.6
    if lungs:
        scene.like = "x_ray"
    radius = size * (rng.uniform(0.14, 0.24) if lungs else rng.uniform(0.06, 0.2))
    gap = radius * rng.uniform(0.9, 1.5)
    height = size * rng.uniform(0.35, 0.65)
    left = blob(rng, size, np.array([axis - gap, height]), radius)
    if lungs:
        left = _lung(rng, size, np.array([axis - gap, height]), radius)
    right = np.ascontiguousarray(left[:, ::-1])
    right = np.roll(right, round(2 * axis - size), axis=1)
    if rng.random() < 0.6:
        draw = _lung if lungs else blob
        other = draw(
            rng, size, np.array([axis + gap, height + rng.normal(0, radius * 0.15)]), radius
        )
        other = np.ascontiguousarray(other[:, ::-1]) if lungs else other
        other = np.roll(other, round(2 * (axis + gap) - size), axis=1) if lungs else other
        grown = cv2.dilate(other, np.ones((5, 5), np.uint8))
        right = other if rng.random() < 0.5 else right & grown
    right &= 1 - left
    if rng.random() < 0.5:
        heart = blob(
            rng,
            size,
            np.array([axis + rng.normal(0, radius * 0.4), height + radius * 0.5]),
            radius * rng.uniform(0.4, 0.8),
        )
        left, right = left & ~heart & 1, right & ~heart & 1
    level, grain = level_beside(rng, around), rng.uniform(0, 1)
    if lungs and rng.random() < 0.75:
        level = around * rng.uniform(0, 0.8)
    scene.paint(left, level, grain)
    scene.paint(right, level + rng.normal(0, 0.03), grain)
    scene.offer(left | right)
    for _ in range(rng.integers(0, 4)):
        small = random_shape(
            rng, size, size * rng.uniform(0.1, 0.9, 2), size * rng.uniform(0.02, 0.08)
        )
        scene.paint(small, level_beside(rng, level), rng.uniform(0, 1))
    return scene


def _lung(rng: Generator, size: int, centre: NDArray[np.floating], radius: float) -> Mask:
    """A tall lobe: narrow at the top, wide and hollow at the bottom, flat towards the middle."""
    t = np.linspace(0, 1, 24)
    tall = radius * rng.uniform(1.2, 2.2)
    swell = np.sin(np.pi * np.clip(t, 0, 1) ** rng.uniform(0.7, 1.2)) ** 0.5
    outer = -radius * rng.uniform(0.7, 1.1) * swell * (0.6 + 0.5 * t)
    inner = radius * rng.uniform(0.3, 0.8) * swell * (1 - rng.uniform(0, 0.9) * t)
    down = (2 * t - 1) * tall
    base = rng.uniform(-0.3, 0.5) * radius * t**6
    outline = np.concatenate(
        [np.stack([outer, down + base], 1), np.stack([inner, down - base], 1)[::-1]]
    )
    return fill(size, turned(outline, rng.normal(0, 0.08)) + centre)


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
    scene.level[0] = level_beside(rng, level)
    return scene


def spine(rng: Generator, size: int) -> Scene:
    """A core in a sleeve in tissue, small, as a cord in its canal or a vessel in its wall."""
    scene = Scene.empty(rng, size)
    tissue(rng, scene)
    centre = size * rng.uniform(0.25, 0.75, 2)
    radius = size * rng.uniform(0.05, 0.2)
    outer = ellipse(rng, size, centre, radius * rng.uniform(1.2, 2.2))
    if rng.random() < 0.2:
        outer |= ring(rng, size, centre, radius * 2)
    level = rng.uniform(0, 1)
    scene.paint(outer, level_beside(rng, level), rng.uniform(0, 1))
    if rng.random() < 0.25:
        return _lengthwise(rng, scene, centre, radius)
    core = (ellipse if rng.random() < 0.7 else blob)(
        rng, size, centre + rng.normal(0, radius * 0.15, 2), radius
    )
    scene.paint(core, level, rng.uniform(0, 1))
    add_parts(rng, scene, core, level, 1)
    return scene


def _lengthwise(rng: Generator, scene: Scene, centre: NDArray[np.floating], radius: float) -> Scene:
    """The cord cut along its length: a band with sleeves on both sides."""
    core = strip(rng, scene.size, centre, radius)
    rim = max(1, round(radius * rng.uniform(0.2, 0.8)))
    sleeve = cv2.dilate(core, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1,) * 2))
    level = rng.uniform(0, 1)
    scene.paint(sleeve, level_beside(rng, level), rng.uniform(0, 1))
    scene.paint(core, level, rng.uniform(0, 1))
    return scene


KINDS = (
    (organs, 0.28),
    (trunk, 0.2),
    (close_up, 0.23),
    (twins, 0.12),
    (cells, 0.04),
    (spine, 0.13),
)


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
        parts = [part for part in wholes if part is not whole and nested(part, whole)]
        if parts:
            own = whole & ~np.bitwise_or.reduce(parts) & 1
            if own.sum() > 0.4 * whole.sum():
                rest.append(own)
    return rest
