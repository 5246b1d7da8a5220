"""Figures here were made with OpenCV 5.0 (the same in 4.14), scikit-image 0.26 and Pillow 13."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from MedSAGaSlicerLib.engine import resizing


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(1)).integers(0, 256, shape).astype(np.uint8)


def short(pixels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest()[:12]


@pytest.mark.parametrize(
    ("kind", "before", "after", "expected"),
    [
        ("area", (300, 421), (182, 256), "cbe58915efac"),
        ("area", (1024, 768, 3), (256, 192), "4b5325a90c57"),
        ("area", (512, 512), (256, 256), "f1fa5e8b370d"),
        ("area", (57, 90, 3), (162, 256), "818d9d63b6ab"),
        ("area", (1, 1), (256, 256), "0cf123b01261"),
        ("area", (700, 3), (256, 1), "d8a910df6705"),
        ("area", (1, 40), (6, 256), "5b0c514b0c61"),
        ("nearest", (300, 421), (256, 256), "87c7a1e362e6"),
        ("nearest", (57, 90, 3), (256, 256), "1812b15d21d5"),
        ("nearest", (1, 40), (256, 256), "9c8d9206b4c2"),
    ],
)
def test_resizing_gives_opencvs_bytes(
    kind: str, before: tuple[int, ...], after: tuple[int, int], expected: str
) -> None:
    resize = {"area": resizing.resize_area, "nearest": resizing.resize_nearest}[kind]
    resized = resize(noise(before), after)

    assert resized.shape == (*after, *before[2:])
    assert short(resized) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((300, 421), (128, 160), [153, 109, 149, 84, 129, 132, 93, 121, 150, 81, 149, 114]),
        ((57, 90, 3), (100, 100), [124, 174, 248, 187, 164, 145, 205, 123, 216, 225, 129, 111]),
        ((1, 40), (64, 64), [121, 210, 123, 73, 119, 68, 95, 50, 107, 125, 98, 198]),
    ],
)
def test_cubic_resizing_gives_scikit_images_levels(
    before: tuple[int, ...], after: tuple[int, int], expected: list[int]
) -> None:
    resized = resizing.resize_cubic(noise(before), after).reshape(-1)
    found = resized[:: resized.size // 12][:12]

    # One level: the result is cut to whole ones, and processors round differently before that.
    np.testing.assert_allclose(found.astype(int), expected, atol=1)


def test_a_slice_of_the_right_size_stays_as_it_is() -> None:
    pixels = noise((256, 100))
    for resize in (
        resizing.resize_area,
        resizing.resize_nearest,
        resizing.resize_bilinear,
        resizing.resize_cubic,
    ):
        np.testing.assert_array_equal(resize(pixels, (256, 100)), pixels)
