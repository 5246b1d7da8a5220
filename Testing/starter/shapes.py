"""Random shapes as 0/1 masks: blobs, bananas, rings, crescents, clusters, islands, tubes."""

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
Generator = np.random.Generator
SUBPIXEL_BITS = 4


def fill(size: int, outline: NDArray[np.floating]) -> Mask:
    """Fills a closed outline of (x, y) points given in pixels."""
    mask = np.zeros((size, size), np.uint8)
    fixed = np.round(outline * (1 << SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 1, lineType=cv2.LINE_8, shift=SUBPIXEL_BITS)
    return mask


def turned(points: NDArray[np.floating], angle: float) -> NDArray[np.floating]:
    """Points (n, 2) turned about the origin by `angle` radians."""
    c, s = np.cos(angle), np.sin(angle)
    return points @ np.array([[c, s], [-s, c]])


def blob(rng: Generator, size: int, centre: NDArray[np.floating], radius: float) -> Mask:
    """A star-shaped outline: a Fourier series in the angle, stretched and turned."""
    theta = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    wobble = rng.uniform(0, 0.35)
    r = np.ones_like(theta)
    for k in range(2, 8):
        r += wobble * rng.normal() / k**1.3 * np.cos(k * theta + rng.uniform(0, 2 * np.pi))
    r = np.clip(r, 0.25, 2.0) * radius
    stretch = np.exp(rng.normal(0, 0.35))
    points = np.stack([r * np.cos(theta) * stretch, r * np.sin(theta) / stretch], 1)
    return fill(size, turned(points, rng.uniform(0, np.pi)) + centre)


def ellipse(rng: Generator, size: int, centre: NDArray[np.floating], radius: float) -> Mask:
    """A superellipse, from diamond to rounded box."""
    theta = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    power = rng.choice([1.4, 2.0, 2.0, 2.0, 3.0, 5.0])
    stretch = np.exp(rng.normal(0, 0.3))
    c, s = np.cos(theta), np.sin(theta)
    x = np.sign(c) * np.abs(c) ** (2 / power) * radius * stretch
    y = np.sign(s) * np.abs(s) ** (2 / power) * radius / stretch
    return fill(size, turned(np.stack([x, y], 1), rng.uniform(0, np.pi)) + centre)


def banana(rng: Generator, size: int, centre: NDArray[np.floating], radius: float) -> Mask:
    """A bent bar whose width changes along its length: hippocampi, vertebral discs, ventricles."""
    t = np.linspace(-1, 1, 32)
    length = radius * rng.uniform(1.2, 2.0)
    bend = rng.uniform(-0.9, 0.9) * length
    spine = np.stack([t * length, bend * (t**2 - 0.4)], 1)
    ends = np.sqrt(np.clip(1 - np.abs(t) ** rng.uniform(1.5, 6), 0, 1))
    swell = 1 + rng.uniform(-0.5, 0.5) * t + rng.uniform(-0.3, 0.3) * np.cos(3 * t)
    half = radius * rng.uniform(0.22, 0.6) * ends * np.clip(swell, 0.3, 2)
    along = np.gradient(spine, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-6
    across = np.stack([-along[:, 1], along[:, 0]], 1) * half[:, None]
    outline = np.concatenate([spine + across, (spine - across)[::-1]])
    return fill(size, turned(outline, rng.uniform(0, 2 * np.pi)) + centre)


def ring(rng: Generator, size: int, centre: NDArray[np.floating], radius: float) -> Mask:
    """A wall around a lumen: gut, vessel, ventricle."""
    outer = blob(rng, size, centre, radius)
    wall = max(1, round(radius * rng.uniform(0.15, 0.5)))
    inner = cv2.erode(outer, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * wall + 1,) * 2))
    return outer - inner


def crescent(rng: Generator, size: int, centre: NDArray[np.floating], radius: float) -> Mask:
    """A blob with a bite taken out of its side."""
    outer = blob(rng, size, centre, radius)
    direction = turned(np.array([[1.0, 0.0]]), rng.uniform(0, 2 * np.pi))[0]
    bite = ellipse(
        rng,
        size,
        centre + direction * radius * rng.uniform(0.5, 1.0),
        radius * rng.uniform(0.6, 1.0),
    )
    return outer & ~bite & 1


def cluster(rng: Generator, size: int, centre: NDArray[np.floating], radius: float) -> Mask:
    """A few discs melted together."""
    mask = np.zeros((size, size), np.float32)
    at = centre.copy()
    for _ in range(rng.integers(2, 6)):
        cv2.circle(
            mask,
            (round(at[0]), round(at[1])),
            max(1, round(radius * rng.uniform(0.3, 0.6))),
            1.0,
            -1,
        )
        at = at + rng.normal(0, radius * 0.5, 2)
    return (cv2.GaussianBlur(mask, (0, 0), max(0.6, radius * 0.12)) > 0.45).astype(np.uint8)


def smooth_noise(rng: Generator, size: int, wavelength: float) -> NDArray[np.float32]:
    """Noise of zero mean and unit deviation with structures about `wavelength` pixels long."""
    coarse = int(np.clip(2.5 * size / max(wavelength, 1.0), 4, size))
    field = rng.standard_normal((coarse, coarse), dtype=np.float32)
    if coarse < size:
        field = cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC)
    return (field - field.mean()) / (field.std() + 1e-6)


def island(rng: Generator, size: int, centre: NDArray[np.floating], radius: float) -> Mask:
    """The part of a smooth noise field above a level: organic outlines, sometimes in pieces."""
    yy, xx = np.mgrid[:size, :size].astype(np.float32)
    hill = 1.3 - np.hypot(xx - centre[0], yy - centre[1]) / radius
    return (hill + 0.45 * smooth_noise(rng, size, radius * rng.uniform(0.5, 1.5)) > 0.3).astype(
        np.uint8
    )


def polygon(rng: Generator, size: int, centre: NDArray[np.floating], radius: float) -> Mask:
    """A straight-edged shape with a few corners."""
    theta = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
    r = radius * rng.uniform(0.6, 1.2, theta.size)
    return fill(size, np.stack([r * np.cos(theta), r * np.sin(theta)], 1) + centre)


def tube(rng: Generator, size: int, centre: NDArray[np.floating], radius: float) -> Mask:
    """A winding vessel of slowly changing width."""
    mask = np.zeros((size, size), np.uint8)
    steps = 24
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.25, steps))
    path = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1), 0)
    path = (path - path.mean(0)) * (radius * 2.5 / steps) + centre
    width = radius * rng.uniform(0.08, 0.3)
    for a, b in pairwise(path):
        width *= np.exp(rng.normal(0, 0.06))
        cv2.line(mask, tuple(map(round, a)), tuple(map(round, b)), 1, max(1, round(width)))
    return mask


def strip(rng: Generator, size: int, centre: NDArray[np.floating], radius: float) -> Mask:
    """A gently bent band from one side of the picture to another: cords, bones, layers, vessels."""
    t = np.linspace(-1.5, 1.5, 40)
    bend = rng.normal(0, 0.08, 3)
    middle = size * (bend[0] * t**2 + bend[1] * np.sin(2 * t + rng.uniform(0, 6)) * 0.5)
    half = radius * rng.uniform(0.25, 0.8) * np.exp(0.15 * np.sin(3 * t + rng.uniform(0, 6)))
    upper, lower = (np.stack([t * size, middle + sign * half], 1) for sign in (1, -1))
    angle = rng.uniform(0, np.pi) if rng.random() < 0.4 else rng.choice([0, np.pi / 2])
    outline = np.concatenate([upper, lower[::-1]])
    return fill(size, turned(outline, angle + rng.normal(0, 0.1)) + centre)


SHAPES: tuple[tuple[Callable[[Generator, int, NDArray[np.floating], float], Mask], float], ...] = (
    (blob, 0.30),
    (ellipse, 0.17),
    (banana, 0.13),
    (ring, 0.07),
    (crescent, 0.09),
    (cluster, 0.07),
    (island, 0.08),
    (polygon, 0.04),
    (tube, 0.05),
    (strip, 0.05),
)


def random_shape(rng: Generator, size: int, centre: NDArray[np.floating], radius: float) -> Mask:
    """One of the shapes above, as a (size, size) 0/1 mask; may lie outside the picture."""
    weights = np.array([w for _, w in SHAPES])
    draw = SHAPES[rng.choice(len(SHAPES), p=weights / weights.sum())][0]
    return draw(rng, size, np.asarray(centre, float), float(radius))
