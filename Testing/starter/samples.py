"""One training sample: a picture in the model's frame and four objects in it."""

from pathlib import Path

import cv2
import numpy as np
import torch
from looks import photographed
from numpy.typing import NDArray
from painting import SMALLEST
from real_images import SHARES, RealImage, load
from scenes import random_scene
from shapes import Generator, Mask

OBJECTS = 4
MEAN, DEVIATION = 127.5, 63.75


def _window(rng: Generator, shape: tuple[int, int], objects: list[Mask]) -> NDArray[np.float64]:
    """A turned, zoomed rectangle of the picture: the map from a unit square to its pixels."""
    rows, columns = shape
    side = max(rows, columns)
    zoom = float(np.exp(rng.uniform(np.log(0.45), np.log(1.05))))
    if objects and rng.random() < 0.7:
        y, x = (np.mean(v) for v in np.nonzero(objects[rng.integers(len(objects))]))
        centre = np.array([x, y]) + rng.normal(0, 0.15 * side * zoom, 2)
    else:
        centre = np.array([columns, rows]) * rng.uniform(0.4, 0.6, 2)
    if rng.random() < 0.25:
        zoom, centre = 1.0, np.array([columns, rows]) / 2
    angle = rng.normal(0, 0.25) if rng.random() < 0.7 else 0.0
    stretch = np.exp(rng.normal(0, 0.1))
    turn = np.array(
        [[np.cos(angle) * stretch, -np.sin(angle)], [np.sin(angle), np.cos(angle) / stretch]]
    )
    turn = turn @ np.diag(rng.choice([-1, 1], 2)) * side * zoom
    if rng.random() < 0.3:
        turn = turn[:, ::-1]
    return np.concatenate([turn, centre[:, None]], 1)


def _framed(
    rng: Generator, image: NDArray[np.uint8], objects: list[Mask], size: int, *, warp: bool
) -> tuple[NDArray[np.uint8], list[Mask], tuple[int, int]]:
    """The picture and its objects scaled so that the longer side is `size`, often not square."""
    aspect = 1.0 if rng.random() < 0.4 else float(np.exp(rng.uniform(-0.5, 0.5)))
    width, height = round(size * min(1.0, aspect)), round(size * min(1.0, 1 / aspect))
    if warp:
        window = _window(rng, image.shape[:2], objects)
        grid = np.array([[1 / size, 0, -width / 2 / size], [0, 1 / size, -height / 2 / size]])
        matrix = np.concatenate(
            [window[:, :2] @ grid[:, :2], (window[:, :2] @ grid[:, 2:]) + window[:, 2:]], 1
        )
        flags = cv2.WARP_INVERSE_MAP
        image = cv2.warpAffine(image, matrix, (width, height), flags=flags | cv2.INTER_LINEAR)
        objects = [
            cv2.warpAffine(m, matrix, (width, height), flags=flags | cv2.INTER_NEAREST)
            for m in objects
        ]
    else:
        top, left = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
        part = (slice(top, top + height), slice(left, left + width))
        image, objects = image[part], [np.ascontiguousarray(m[part]) for m in objects]
    return image, objects, (height, width)


def _recoloured(rng: Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Gamma, inversion, a little blur and noise."""
    x = image.astype(np.float32) / 255
    if rng.random() < 0.15:
        x = 1 - x
    x = x ** np.exp(rng.normal(0, 0.3))
    if rng.random() < 0.2:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.3, 1.5))
    if rng.random() < 0.3:
        x = x + rng.normal(0, rng.uniform(0, 0.05), x.shape[:2]).astype(np.float32)[..., None]
    return (np.clip(x, 0, 1) * 255).astype(np.uint8)


def _visible(grey: NDArray[np.float32], mask: Mask) -> bool:
    """True if the mean brightness of the object differs from that of its surroundings."""
    reach = max(2, round(np.sqrt(mask.sum()) * 0.15))
    around = cv2.dilate(mask, np.ones((2 * reach + 1,) * 2, np.uint8)) - mask
    if not around.any():
        return False
    inner, outer = grey[mask > 0], grey[around > 0]
    return abs(inner.mean() - outer.mean()) > 3 + 0.25 * min(inner.std(), outer.std())


def _chosen(rng: Generator, image: NDArray[np.uint8], objects: list[Mask]) -> list[Mask]:
    """Four visible objects, larger ones more often; fewer than four are repeated."""
    areas = np.array([int(m.sum()) for m in objects])
    usable = np.flatnonzero((areas >= SMALLEST) & (areas <= 0.8 * image.shape[0] * image.shape[1]))
    grey = cv2.GaussianBlur(image.mean(-1).astype(np.float32), (0, 0), 1.0)
    taken: list[Mask] = []
    while usable.size and len(taken) < OBJECTS:
        weights = np.clip(areas[usable], 30, 3000) ** 0.25
        pick = rng.choice(usable.size, p=weights / weights.sum())
        mask = objects[usable[pick]]
        usable = np.delete(usable, pick)
        if _visible(grey, mask):
            taken.append(mask)
    return [taken[n % len(taken)] for n in range(OBJECTS)] if taken else []


class Samples(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Sample number n is the same at every run: its randomness is seeded by (seed, n).

    Items: image (3, size, size) float32 normalised, zero-padded right and bottom;
    objects (4, size, size) uint8.
    """

    def __init__(
        self, size: int, seed: int, real_folder: Path | None, real_share: float, length: int
    ) -> None:
        # OpenCV's threads do not survive the fork of the loader's process.
        cv2.setNumThreads(0)
        self.size, self.seed, self.length = size, seed, length
        self.sets: dict[str, list[RealImage]] = load(real_folder) if real_folder else {}
        self.real_share = real_share if real_folder else 0.0

    def __len__(self) -> int:
        return self.length

    def _raw(self, rng: Generator) -> tuple[NDArray[np.uint8], list[Mask], bool]:
        if rng.random() >= self.real_share:
            scene, objects = random_scene(rng, self.size)
            return photographed(rng, scene), objects, bool(rng.random() < 0.15)
        images = self.sets[rng.choice(list(SHARES), p=list(SHARES.values()))]
        real = images[rng.integers(len(images))]
        use_regions = real.regions and (not real.objects or rng.random() < 0.4)
        objects = list(real.regions if use_regions else real.objects)
        return real.shown(rng), objects, True

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        attempt = 0
        while True:
            rng = np.random.default_rng([self.seed, self.size, number, attempt])
            attempt += 1
            image, objects, warp = self._raw(rng)
            if not objects:
                continue
            image, objects, (height, width) = _framed(rng, image, objects, self.size, warp=warp)
            image = _recoloured(rng, image)
            objects = _chosen(rng, image, objects)
            if not objects:
                continue
            frame = np.zeros((3, self.size, self.size), np.float32)
            frame[:, :height, :width] = ((image.astype(np.float32) - MEAN) / DEVIATION).transpose(
                2, 0, 1
            )
            masks = np.zeros((OBJECTS, self.size, self.size), np.uint8)
            masks[:, :height, :width] = objects
            return {"image": torch.from_numpy(frame), "objects": torch.from_numpy(masks)}
