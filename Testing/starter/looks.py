"""How a scene looks through a scanner: CT, MR, ultrasound, X-ray, microscope, endoscope."""

import cv2
import numpy as np
from numpy.typing import NDArray
from painting import Scene
from shapes import Generator, smooth_noise

Picture = NDArray[np.float32]


def _blurred(picture: Picture, sigma: float) -> Picture:
    return cv2.GaussianBlur(picture, (0, 0), sigma) if sigma > 0.2 else picture


def _grain(rng: Generator, scene: Scene) -> Picture:
    """Texture of the regions: each takes its own share of three noise fields."""
    total = np.zeros((scene.size, scene.size), np.float32)
    grain = np.array(scene.texture, np.float32)
    for wavelength in (2, 6, 20):
        share = np.clip(rng.normal(0.4, 0.5, grain.size), 0, 1).astype(np.float32) * grain
        total += share[scene.labels] * smooth_noise(rng, scene.size, wavelength * scene.size / 128)
    return total


def rendered(rng: Generator, scene: Scene) -> Picture:
    """Region brightness with soft edges and texture, about 0 to 1."""
    picture = np.array(scene.level, np.float32)[scene.labels]
    picture = _blurred(picture, rng.choice([0.0, rng.uniform(0.3, 2.5)]) * scene.size / 128)
    return picture + np.exp(rng.uniform(np.log(0.01), np.log(0.1))) * _grain(rng, scene)


def _coarse(rng: Generator, picture: Picture, most: float) -> Picture:
    """Loses resolution as a small scan does that is enlarged for display."""
    factor = float(np.exp(rng.uniform(0, np.log(most))))
    size = picture.shape[0]
    small = max(12, round(size / factor))
    picture = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
    picture = picture + rng.normal(
        0, np.exp(rng.uniform(np.log(0.004), np.log(0.03))), picture.shape
    ).astype(np.float32)
    return cv2.resize(
        picture,
        (size, size),
        interpolation=rng.choice([cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_NEAREST]),
    )


def ct(rng: Generator, scene: Scene) -> Picture:
    """Flat regions, correlated noise, streaks, a window that saturates."""
    picture = rendered(rng, scene)
    noise = _blurred(rng.standard_normal(picture.shape, dtype=np.float32), rng.uniform(0, 1.2))
    picture = picture + noise / (noise.std() + 1e-6) * np.exp(
        rng.uniform(np.log(0.01), np.log(0.07))
    )
    if rng.random() < 0.2:
        angle = rng.uniform(0, np.pi)
        yy, xx = np.mgrid[: scene.size, : scene.size].astype(np.float32) / scene.size
        picture = picture + 0.06 * np.sin(
            rng.uniform(20, 90) * (xx * np.cos(angle) + yy * np.sin(angle))
        )
    low, high = rng.uniform(-0.2, 0.3), rng.uniform(0.7, 1.2)
    return _coarse(rng, (picture - low) / (high - low), 4)


def mr(rng: Generator, scene: Scene) -> Picture:
    """Bias field, Rician noise, low resolution."""
    picture = np.clip(rendered(rng, scene), 0, None)
    picture = picture * np.exp(
        rng.uniform(0, 0.5) * smooth_noise(rng, scene.size, scene.size * rng.uniform(0.6, 2))
    )
    sigma = np.exp(rng.uniform(np.log(0.008), np.log(0.06)))
    a, b = rng.normal(0, sigma, (2, *picture.shape)).astype(np.float32)
    return _coarse(rng, np.hypot(picture + a, b), 7)


def ultrasound(rng: Generator, scene: Scene) -> Picture:
    """Speckle, depth gain, layers, shadows and a dark border."""
    size = scene.size
    picture = np.clip(_blurred(rendered(rng, scene), rng.uniform(0.3, 2.0) * size / 128), 0, None)
    layers = cv2.resize(
        rng.standard_normal((rng.integers(4, 16), 3)).astype(np.float32),
        (size, size),
        interpolation=cv2.INTER_CUBIC,
    )
    picture = picture * np.exp(0.25 * rng.random() * layers)
    blur = rng.uniform(0.4, 1.6) * size / 128
    real, imaginary = (
        cv2.GaussianBlur(
            rng.standard_normal(picture.shape, dtype=np.float32),
            (0, 0),
            sigmaX=blur * 1.6,
            sigmaY=blur * 0.7,
        )
        for _ in range(2)
    )
    speckle = np.hypot(real, imaginary)
    picture = picture * (1 + rng.uniform(0.4, 1.0) * (speckle / speckle.mean() - 1))
    depth = np.linspace(0, 1, size, dtype=np.float32)[:, None]
    picture = picture * np.exp(-rng.uniform(-0.3, 1.2) * depth)
    for _ in range(rng.integers(0, 3)):
        at, width, top = rng.integers(size), rng.uniform(0.03, 0.12) * size, rng.integers(size)
        fall = np.exp(-(((np.arange(size) - at) / width) ** 2)) * rng.uniform(-0.4, 0.8)
        picture[top:] *= 1 - fall.astype(np.float32)
    picture = np.clip(picture, 0, None) ** rng.uniform(0.4, 1.0)
    if rng.random() < 0.3:
        yy, xx = np.mgrid[:size, :size]
        tip = np.array([size * rng.uniform(0.4, 0.6), -size * rng.uniform(0.05, 0.4)])
        picture[np.abs(np.arctan2(xx - tip[0], yy - tip[1])) > rng.uniform(0.5, 0.9)] = 0
    return picture


def x_ray(rng: Generator, scene: Scene) -> Picture:
    """Shadows that add up: soft organs, ribs over all."""
    size = scene.size
    picture = _blurred(rendered(rng, scene), rng.uniform(0.4, 2.5) * size / 128)
    yy, xx = np.mgrid[:size, :size].astype(np.float32) / size
    bow = rng.uniform(-1.2, 1.2) * (xx - 0.5) ** 2
    ribs = np.clip(np.sin(2 * np.pi * (rng.uniform(4, 11) * (yy + bow) + rng.random())), 0, 1)
    picture = picture + rng.uniform(0, 0.15) * ribs
    picture = picture + rng.uniform(0, 0.5) * smooth_noise(rng, size, size * 1.2) * 0.3
    picture = picture + rng.uniform(0, 0.3) * np.exp(-(((xx - 0.5) / 0.06) ** 2))
    return picture + rng.normal(0, rng.uniform(0.005, 0.05), picture.shape).astype(np.float32)


def stained(rng: Generator, scene: Scene) -> Picture:
    """Colour: a stain, hues of the regions around it, light that falls off, gloss."""
    size = scene.size
    grey = rendered(rng, scene)
    stain = rng.uniform(0.2, 1.0, 3).astype(np.float32)
    hues = rng.normal(0, rng.uniform(0.0, 0.2), (len(scene.level), 3)).astype(np.float32)
    picture = grey[..., None] * stain + _blurred(hues[scene.labels], 0.7)
    fall = 1 - rng.uniform(0, 0.6) * (
        np.hypot(*(np.mgrid[:size, :size] / size - rng.uniform(0.3, 0.7))) ** 2
    )
    picture = picture * fall[..., None].astype(np.float32)
    for _ in range(rng.integers(0, 8)):
        at = tuple(int(v) for v in rng.integers(0, size, 2))
        cv2.circle(picture, at, int(rng.integers(1, 1 + size // 40)), (1.0, 1.0, 1.0), -1)
    return picture + rng.normal(0, rng.uniform(0.005, 0.05), picture.shape).astype(np.float32)


LOOKS = ((ct, 0.25), (mr, 0.33), (ultrasound, 0.2), (x_ray, 0.12), (stained, 0.1))


def photographed(rng: Generator, scene: Scene) -> NDArray[np.uint8]:
    """The scene as one of the scanners shows it.

    Returns:
        (size, size, 3) uint8, stretched between outer percentiles as volumes are.
    """
    likely = [4.0 if look.__name__ == scene.like else 1.0 for look, _ in LOOKS]
    weights = np.array([w for _, w in LOOKS]) * likely
    picture = LOOKS[rng.choice(len(LOOKS), p=weights / weights.sum())][0](rng, scene)
    low, high = np.percentile(picture[::2, ::2], [rng.uniform(0, 1.0), rng.uniform(99, 100)])
    grey = (np.clip((picture - low) / max(high - low, 1e-3), 0, 1) * 255).astype(np.uint8)
    return grey if grey.ndim == 3 else np.repeat(grey[..., None], 3, 2)
