"""Real pictures for the starter: sets whose licences allow derivatives and commercial use."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import SimpleITK
from numpy.typing import NDArray
from shapes import Generator, Mask

VOLUMES = ("brain_tumour_mr", "sarcoma_ct", "sarcoma_mr_t1", "sarcoma_pet")
PICTURES = ("nuclei_microscopy", "polyp_endoscopy")
SHARES = {
    "brain_tumour_mr": 0.22,
    "sarcoma_ct": 0.24,
    "sarcoma_mr_t1": 0.26,
    "sarcoma_pet": 0.05,
    "nuclei_microscopy": 0.08,
    "polyp_endoscopy": 0.15,
}
"""How often a real sample comes from each set."""

LARGEST_SIDE = 320


@dataclass(frozen=True)
class RealImage:
    """One slice or picture.

    Attributes:
        intensity: (rows, columns) float32 in its own unit, or (rows, columns, 3) uint8 colour.
        objects: 0/1 masks drawn by people.
        regions: 0/1 masks of visible regions found by thresholds: more things to click on.
        low, high: Intensity bounds of the whole volume (0.5 and 99.5 percentiles).
    """

    intensity: NDArray[np.generic]
    objects: tuple[Mask, ...]
    regions: tuple[Mask, ...]
    low: float
    high: float

    def shown(self, rng: Generator) -> NDArray[np.uint8]:
        """(rows, columns, 3) uint8 with a window drawn around the volume's own bounds."""
        if self.intensity.ndim == 3:
            return self.intensity.astype(np.uint8)
        low, high = self.low, self.high
        if low < -500:
            level, width = rng.choice(
                [(40, 400), (40, 400), (50, 350), (300, 1500), (-100, 800), (0, 2000)]
            )
            low, high = level - width / 2, level + width / 2
        span = high - low
        low, high = low + span * rng.uniform(-0.05, 0.15), high + span * rng.uniform(-0.3, 0.1)
        grey = np.clip((self.intensity - low) / max(high - low, 1e-6), 0, 1)
        return np.repeat((grey * 255).astype(np.uint8)[..., None], 3, 2)


def _regions(grey: NDArray[np.float32]) -> tuple[Mask, ...]:
    """Compact connected parts between grey levels of the smoothed picture."""
    found: list[Mask] = []
    area = grey.size
    for sigma, levels in ((1.0, 4), (2.5, 5)):
        smooth = cv2.GaussianBlur(grey, (0, 0), sigma)
        bounds = np.quantile(smooth, np.linspace(0, 1, levels + 1)[1:-1])
        bands = np.digitize(smooth, np.unique(bounds))
        for band in range(levels):
            count, parts, stats, _ = cv2.connectedComponentsWithStats(
                (bands == band).astype(np.uint8), connectivity=4
            )
            for part in range(1, count):
                size, box = (
                    stats[part, cv2.CC_STAT_AREA],
                    stats[part, cv2.CC_STAT_WIDTH] * stats[part, cv2.CC_STAT_HEIGHT],
                )
                if 0.004 * area <= size <= 0.35 * area and size > 0.45 * box:
                    found.append((parts == part).astype(np.uint8))
    return tuple(found[:24])


def _volume_slices(image_file: Path, label_file: Path) -> Iterator[RealImage]:
    image = SimpleITK.ReadImage(str(image_file), SimpleITK.sitkFloat32)
    volume = SimpleITK.GetArrayFromImage(image)
    labels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(label_file)))
    low, high = (float(v) for v in np.percentile(volume, [0.5, 99.5]))
    for slice_intensity, slice_labels in zip(volume, labels, strict=True):
        grey = np.clip((slice_intensity - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
        mask = (slice_labels > 0).astype(np.uint8)
        objects = (mask,) if mask.sum() >= 12 else ()
        yield RealImage(slice_intensity, objects, _regions(grey), low, high)


def _picture(image_file: Path, label_file: Path, instance_file: Path) -> RealImage:
    colour = cv2.cvtColor(cv2.imread(str(image_file), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    numbers = cv2.imread(
        str(instance_file if instance_file.is_file() else label_file), cv2.IMREAD_UNCHANGED
    )
    factor = min(1.0, LARGEST_SIDE / max(colour.shape[:2]))
    size = (round(colour.shape[1] * factor), round(colour.shape[0] * factor))
    colour = cv2.resize(colour, size, interpolation=cv2.INTER_AREA)
    numbers = cv2.resize(numbers, size, interpolation=cv2.INTER_NEAREST)
    masks = ((numbers == n).astype(np.uint8) for n in np.unique(numbers) if n)
    objects = tuple(m for m in masks if m.sum() >= 24)[:60]
    regions = () if instance_file.is_file() else _regions(colour.mean(-1).astype(np.float32) / 255)
    return RealImage(colour, objects, regions, 0.0, 255.0)


def _matching(folder: Path, image_file: Path) -> Path:
    stem = image_file.name.split(".")[0]
    return next(f for f in sorted(folder.iterdir()) if f.name.split(".")[0] == stem)


def load(folder: Path) -> dict[str, list[RealImage]]:
    """Reads the permitted sets below `folder` (3d/<set>, 2d/<set> with images/ and labels/)."""
    sets: dict[str, list[RealImage]] = {}
    for name in VOLUMES:
        root = folder / "3d" / name
        files = sorted((root / "images").iterdir())
        sets[name] = [
            s
            for f in files
            for s in _volume_slices(f, _matching(root / "labels", f))
            if s.objects or s.regions
        ]
    for name in PICTURES:
        root = folder / "2d" / name
        files = sorted((root / "images").iterdir())
        sets[name] = [
            _picture(f, _matching(root / "labels", f), root / "instances" / f"{f.stem}.png")
            for f in files
        ]
    return sets
