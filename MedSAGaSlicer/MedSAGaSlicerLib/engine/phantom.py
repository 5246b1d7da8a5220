"""A made CT of a trunk, with the truth about its organs: the demonstration needs no patient."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from MedSAGaSlicerLib.engine.geometry import Geometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Field = NDArray[np.float32]

_SHAPE_KJI: Final = (48, 144, 192)
_SPACING_KJI: Final = (5.0, 2.0, 2.0)
_PERIOD: Final = 36.0
"""Height of a vertebra with its disc, in mm."""


@dataclass(frozen=True, eq=False)
class Phantom:
    """A CT in Hounsfield units, int16 (k, j, i), and its organs as masks of the same grid.

    The liver's mask holds its tumour, the other organs do not overlap.
    """

    ct_kji: NDArray[np.int16]
    organs: dict[str, Mask]
    geometry: Geometry


class _Trunk:
    """Paints one organ after the other; what is painted later lies in front.

    x runs to the patient's left, y to the back and z upwards, in mm from the middle of the lowest
    slice. A smooth random field bends all shapes, so that none is a plain ellipsoid.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        k, j, i = _SHAPE_KJI
        dz, dy, dx = _SPACING_KJI
        z, y, x = np.meshgrid(
            np.arange(k, dtype=np.float32) * dz,
            (np.arange(j, dtype=np.float32) - (j - 1) / 2) * dy,
            (np.arange(i, dtype=np.float32) - (i - 1) / 2) * dx,
            indexing="ij",
        )
        self.straight = z, y, x
        self.z, self.y, self.x = (axis + self.noise(25.0, 4.5) for axis in (z, y, x))
        self.ct: Field = np.full(_SHAPE_KJI, -1000, np.float32)
        self.organs: dict[str, Mask] = {}

    def noise(self, scale_mm: float, amplitude: float) -> Field:
        """A smooth random field with a given grain and standard deviation."""
        sigma = [scale_mm / step for step in _SPACING_KJI]
        field = self._random.standard_normal(_SHAPE_KJI, np.float32)
        # Wrapped round, the field varies as much at the borders as in the middle.
        field = ndimage.gaussian_filter(field, sigma, mode="wrap")
        return np.asarray(field * (amplitude / field.std()), np.float32)

    def ellipsoid(
        self, center_xyz: Sequence[float], radii_xyz: Sequence[float], turn: float = 0.0
    ) -> Field:
        """Distance outwards from an ellipsoid's surface in mm, roughly; turned about z (radian)."""
        dx, dy = self.x - center_xyz[0], self.y - center_xyz[1]
        u = np.cos(turn) * dx + np.sin(turn) * dy
        v = np.cos(turn) * dy - np.sin(turn) * dx
        w = self.z - center_xyz[2]
        a, b, c = radii_xyz
        radius = np.sqrt((u / a) ** 2 + (v / b) ** 2 + (w / c) ** 2)
        return np.asarray((radius - 1) * min(radii_xyz), np.float32)

    def tube(self, path_xyz: Sequence[Sequence[float]], radius_mm: float) -> Field:
        """Distance outwards from a tube around a chain of points, in mm."""
        points = np.stack([self.x, self.y, self.z], axis=-1)
        nearest = np.full(_SHAPE_KJI, np.inf, np.float32)
        for start, end in pairwise(path_xyz):
            a, b = np.asarray(start, np.float32), np.asarray(end, np.float32)
            along = np.clip(((points - a) @ (b - a)) / float((b - a) @ (b - a)), 0, 1)
            gap = np.linalg.norm(points - a - along[..., None] * (b - a), axis=-1)
            nearest = np.minimum(nearest, gap)
        return nearest - radius_mm

    def paint(self, where: Mask, value: float | Field, name: str | None = None) -> None:
        """Fill a region; an organ's name takes the region from organs painted before."""
        self.ct[where] = value[where] if isinstance(value, np.ndarray) else value
        if name is not None:
            for other in self.organs.values():
                other &= ~where
            self.organs[name] = where.copy()


def make_phantom(seed: int = 0) -> Phantom:
    """Make the phantom of a seed: the same everywhere, up to rounding."""
    trunk = _Trunk(seed)
    cavity = _wall(trunk)
    _chest(trunk)
    _bowel(trunk, cavity)
    _spine(trunk)
    _vessels(trunk)
    _hollow_organs(trunk)
    tumour = _solid_organs(trunk)
    trunk.organs["liver"] |= tumour
    j, i = _SHAPE_KJI[1:]
    geometry = Geometry(
        (i, j, _SHAPE_KJI[0]),
        (_SPACING_KJI[2], _SPACING_KJI[1], _SPACING_KJI[0]),
        (-(i - 1) / 2 * _SPACING_KJI[2], -(j - 1) / 2 * _SPACING_KJI[1], 0.0),
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    )
    return Phantom(_scan(trunk), trunk.organs, geometry)


def _wall(trunk: _Trunk) -> Mask:
    """Skin, fat, muscle and ribs; returns the room inside."""
    # The outside is smoother than what lies in it.
    x, y = (trunk.x + trunk.straight[2]) / 2, (trunk.y + trunk.straight[1]) / 2
    z = trunk.z
    body = (np.abs(x) / 165) ** 2.4 + (np.abs(y) / 112) ** 2.4
    inner = (np.abs(x) / 138) ** 2.2 + (np.abs(y + 8) / 82) ** 2.2
    trunk.paint(body < 1, 20.0)
    trunk.paint(body < 0.96, -105 + trunk.noise(6, 8))
    muscle = (np.abs(x) / 150) ** 2.2 + (np.abs(y) / 97) ** 2.2
    trunk.paint(muscle < 1, 58 + trunk.noise(8, 6))
    cavity = np.asarray(inner < 1)
    trunk.paint(cavity, -98 + trunk.noise(6, 8))
    for side in (-1, 1):
        trunk.paint(trunk.ellipsoid((side * 36, 78, 120), (27, 19, 400)) < 0, 56.0)
        trunk.paint(trunk.ellipsoid((side * 33, 48, 10), (17, 19, 95)) < 0, 62.0)
    # Ribs fall forwards: a band round the wall, cut into strips that tilt with y.
    strip = np.mod(z + 0.45 * (y - 60), 29.0)
    ribs = (muscle < 0.97) & (muscle > 0.82) & (strip < 10) & (z > 60) & (y > -85)
    trunk.paint(np.asarray(ribs), 330.0)
    trunk.paint(np.asarray(ribs & (muscle < 0.93) & (muscle > 0.86) & (strip < 8)), 160.0)
    return cavity


def _chest(trunk: _Trunk) -> None:
    texture = -860 + trunk.noise(5, 35)
    for side, name in ((-1, "right lung"), (1, "left lung")):
        lung = trunk.ellipsoid((side * 72, 6, 285), (60, 74, 105)) < 0
        trunk.paint(lung, np.maximum(texture, trunk.noise(3, 60) - 800), name)
    trunk.paint(trunk.ellipsoid((14, -45, 262), (52, 40, 46)) < 0, 150 + trunk.noise(10, 8))


def _bowel(trunk: _Trunk, cavity: Mask) -> None:
    """Loops with a wall, their content or gas, and vessels in the fat between them."""
    random = np.random.default_rng(7)
    strands = (np.abs(trunk.noise(9, 1)) < 0.12) & (np.abs(trunk.noise(9, 1)) < 0.3)
    trunk.paint(cavity & strands & (trunk.ct < -60), 90.0)
    grain = trunk.noise(4, 22)
    for _ in range(44):
        center = random.uniform((-110, -72, -10), (110, 15, 88)).tolist()
        loop = trunk.ellipsoid(center, random.uniform((15, 13, 14), (34, 22, 26)).tolist())
        content = random.choice([25.0, 40.0, 120.0])
        trunk.paint(cavity & (loop < 0), 75.0)
        trunk.paint(cavity & (loop < -3.5), content + grain)
        if random.random() < 0.4:
            trunk.paint(cavity & (loop < -4) & (trunk.straight[1] < center[1] - 3), -920.0)


def _spine(trunk: _Trunk) -> None:
    level = np.mod(trunk.z, _PERIOD)
    body = trunk.ellipsoid((0, 62, 120), (23, 18, 4000))
    trunk.paint(body < 0, 90.0)
    bone = (body < 0) & (level < 27)
    trunk.paint(bone, 420.0, "vertebrae")
    trunk.paint(bone & (body < -3.5) & (level > 3) & (level < 24), 190 + trunk.noise(4, 30))
    arch = trunk.ellipsoid((0, 89, 120), (17, 14, 4000))
    trunk.paint((arch < 0) & (level < 22), 380.0)
    trunk.paint((np.abs(trunk.x) < 4) & (trunk.y > 95) & (trunk.y < 107) & (level < 20), 400.0)
    for side in (-1, 1):
        process = trunk.ellipsoid((side * 30, 84, 120), (20, 6, 4000), side * 0.3)
        trunk.paint((process < 0) & (level < 13), 330.0)
    trunk.paint(trunk.ellipsoid((0, 88, 120), (9, 8, 4000)) < 0, 22.0)


def _vessels(trunk: _Trunk) -> None:
    cava = trunk.tube([(-22, 33, -20), (-24, 30, 120), (-20, 12, 260)], 11.5)
    trunk.paint(cava < 0, 128.0)
    aorta = trunk.tube([(9, 34, -20), (16, 30, 110), (13, 36, 260)], 11.0)
    trunk.paint(aorta < 0, 195.0, "aorta")


def _hollow_organs(trunk: _Trunk) -> None:
    gall = trunk.ellipsoid((-48, -52, 112), (15, 21, 26), 0.5)
    trunk.paint(gall < 2, 60.0)
    trunk.paint(gall < 0, 9.0, "gallbladder")
    stomach = trunk.ellipsoid((62, -38, 168), (42, 31, 40), 0.5)
    trunk.paint(stomach < 0, 85.0, "stomach")
    trunk.paint(stomach < -5, 28 + trunk.noise(4, 14))
    # Gas rises, and the patient lies on the back.
    trunk.paint((stomach < -5) & (trunk.straight[1] < -50), -940.0)
    pancreas = trunk.tube([(-30, -2, 112), (0, -14, 124), (38, -2, 134), (78, 18, 142)], 11.0)
    trunk.paint(pancreas + trunk.noise(5, 2.5) < 0, 96 + trunk.noise(4, 14), "pancreas")


def _solid_organs(trunk: _Trunk) -> Mask:
    """Spleen, kidneys and liver; returns the liver's tumour."""
    trunk.paint(trunk.ellipsoid((100, 36, 170), (27, 42, 46), -0.5) < 0, 124.0, "spleen")
    for side, height, name in ((-1, 92, "right kidney"), (1, 104, "left kidney")):
        kidney = trunk.ellipsoid((side * 66, 40, height), (25, 30, 54), side * 0.5)
        hilum = trunk.ellipsoid((side * 46, 28, height), (17, 14, 27), side * 0.5)
        where = (kidney < 0) & (hilum > 0)
        trunk.paint(where, 182.0, name)
        trunk.paint(where & (kidney < -7) & (trunk.noise(5, 1) > 0.1), 140.0)
        trunk.paint((kidney < -2) & (hilum < 0), -60.0)
    right = trunk.ellipsoid((-78, -4, 150), (64, 76, 76))
    left = trunk.ellipsoid((-8, -46, 172), (66, 26, 34), -0.15)
    inside = np.asarray((np.minimum(right, left) < 0) & (trunk.ct > -600) | (right < -6))
    inside &= ~(trunk.organs["gallbladder"] | trunk.organs["right kidney"])
    inside &= ~(trunk.organs["aorta"] | trunk.organs["stomach"] | trunk.organs["vertebrae"])
    inside &= np.abs(trunk.x) < 136
    trunk.paint(inside, 108 + trunk.noise(9, 3), "liver")
    # Vessels are where a smooth field crosses zero, thin in one direction, long in the others.
    branches = (np.abs(trunk.noise(14, 1)) < 0.09) & (np.abs(trunk.noise(14, 1)) < 0.5)
    trunk.paint(inside & (right < -8) & branches, 150.0)
    lump = trunk.ellipsoid((-88, -14, 148), (21, 19, 22)) + trunk.noise(6, 3.0)
    tumour = np.asarray(inside & (lump < 0))
    trunk.paint(tumour, 62 + trunk.noise(5, 8), "liver tumour")
    return tumour


def _scan(trunk: _Trunk) -> NDArray[np.int16]:
    """What a scanner makes of it: the couch, partial volumes, grainy noise."""
    _, y, x = trunk.straight
    couch = np.abs(y - 128 + (x / 60) ** 2) < 2.5
    trunk.ct[couch & (trunk.ct < -900)] = -350
    blurred = ndimage.gaussian_filter(trunk.ct, (0.35, 0.6, 0.6))
    inside = ndimage.gaussian_filter((blurred > -300).astype(np.float32), (0, 20, 20))
    noisy = blurred + trunk.noise(1.6, 9) * (0.4 + 1.2 * inside) + trunk.noise(40, 3)
    stored: NDArray[np.int16] = np.rint(noisy).clip(-1024, 3071).astype(np.int16)
    return stored
