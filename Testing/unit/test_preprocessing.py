from __future__ import annotations

import numpy as np
import pytest
import torch

from MedSAGaSlicerLib.engine.families import FAMILIES
from MedSAGaSlicerLib.engine.preprocessing import SliceFrame, preprocess, preprocessing_of
from MedSAGaSlicerLib.errors import InputError


def picture(rows: int, columns: int, channels: int = 1) -> np.ndarray:
    image = np.random.default_rng(0).integers(10, 200, (rows, columns, channels), dtype=np.uint8)
    return image if channels > 1 else image[:, :, 0]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3000, 2), (40, 60)])
def test_slices_of_any_size_become_finite_square_inputs(family: str, size: tuple[int, int]) -> None:
    image, frame = preprocess(picture(*size), family)
    side = preprocessing_of(family).input_size

    assert image.shape == (3, side, side)
    assert image.dtype == torch.float32
    assert torch.isfinite(image).all()
    assert frame.size == size
    assert min(frame.scaled) >= 1
    assert max(frame.scaled) == side


@pytest.mark.parametrize("family", FAMILIES)
def test_grey_is_colour_with_three_equal_channels(family: str) -> None:
    grey = picture(30, 40)
    from_grey, _ = preprocess(grey, family)
    from_colour, _ = preprocess(np.stack([grey] * 3, axis=-1), family)

    assert torch.equal(from_grey, from_colour)


@pytest.mark.parametrize("family", FAMILIES)
def test_constant_slices_stay_finite(family: str) -> None:
    for value in (0, 77, 255):
        image, _ = preprocess(np.full((20, 30), value, np.uint8), family)
        assert torch.isfinite(image).all()


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((8, 8), np.float32),
        np.full((8, 8), np.nan),
        np.zeros((8, 8), np.int16),
        np.zeros((8, 8), bool),
        np.zeros((0, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((2, 8, 8), np.uint8),
        np.zeros(8, np.uint8),
    ],
    ids=["float", "nan", "int16", "bool", "empty", "four channels", "volume", "line"],
)
def test_what_is_no_normalised_slice_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(InputError, match="Normalise the slice first"):
        preprocess(pixels, "starter")


def test_a_slice_with_turned_axes_is_read_in_its_own_order() -> None:
    turned = picture(40, 30).T
    assert not turned.flags.c_contiguous
    from_view, _ = preprocess(turned, "sam_med2d_b")
    from_copy, _ = preprocess(np.ascontiguousarray(turned), "sam_med2d_b")

    assert torch.equal(from_view, from_copy)


def test_sam_pads_with_zeros_after_normalising() -> None:
    image, frame = preprocess(np.full((100, 50), 255, np.uint8), "sam_vit_b")

    assert frame == SliceFrame((100, 50), (1024, 512))
    assert image[0, 0, 0] == pytest.approx((255 - 123.675) / 58.395)
    assert (image[:, :, 512:] == 0).all()


def test_the_starter_maps_grey_levels_around_zero() -> None:
    bright, _ = preprocess(np.full((10, 20), 255, np.uint8), "starter")
    dark, _ = preprocess(np.zeros((10, 20), np.uint8), "starter")

    assert bright[:, 0, 0].tolist() == pytest.approx([2, 2, 2])
    assert dark[:, 0, 0].tolist() == pytest.approx([-2, -2, -2])
    assert (dark[:, -1] == 0).all()


@pytest.mark.parametrize("family", ["medsam_vit_b", "lite_medsam"])
def test_medsam_stretches_the_slice_to_its_own_range(family: str) -> None:
    pixels = np.full((64, 64), 50, np.uint8)
    pixels[:, 32:] = 90
    image, _ = preprocess(pixels, family)

    assert image.min() == 0
    assert image.max() == 1


def test_points_and_boxes_follow_the_slice_into_the_input() -> None:
    points, box = np.array([[10.0, 20.0]]), np.array([10.0, 20, 33, 45])
    sam = preprocessing_of("sam_vit_b")
    frame = sam.frame((200, 100))
    assert sam.points(points, frame).tolist() == [pytest.approx([51.2, 102.4])]
    assert sam.box(box, frame).tolist() == pytest.approx([51.2, 102.4, 168.96, 230.4])

    medsam = preprocessing_of("medsam_vit_b")
    stretched = medsam.frame((200, 100))
    assert medsam.points(points, stretched).tolist() == [pytest.approx([102.4, 102.4])]

    lite = preprocessing_of("lite_medsam")
    assert lite.box(box, lite.frame((200, 100))).tolist() == [12, 25, 42, 57]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(120, 80), (500, 700), (3, 90)])
def test_a_mask_comes_back_where_it_lay_in_the_slice(family: str, size: tuple[int, int]) -> None:
    rules = preprocessing_of(family)
    frame = rules.frame(size)
    # Logits that are positive on the left half of the slice's picture.
    side = 256
    logits = torch.full((side, side), -8.0)
    logits[:, : round(frame.scaled[1] * side / rules.input_size / 2)] = 8.0

    mask = rules.mask(logits, frame)

    assert mask.shape == size
    assert mask.dtype == np.bool_
    expected = np.zeros(size, bool)
    expected[:, : size[1] // 2] = True
    assert (mask != expected).mean() < 0.02


def test_an_unknown_family_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="known are starter"):
        preprocessing_of("sam_vit_x")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_mask_is_where_the_slices_logits_are_positive(family: str) -> None:
    rules = preprocessing_of(family)
    frame = rules.frame((37, 53))
    logits = torch.randn(64, 64, generator=torch.Generator().manual_seed(0)) * 4
    slice_logits = rules.logits(logits, frame)
    assert slice_logits.shape == (37, 53)
    assert slice_logits.dtype == np.float32
    np.testing.assert_array_equal(slice_logits > 0, rules.mask(logits, frame))


@pytest.mark.parametrize(
    ("family", "side"), [("starter", 820), ("medsam_vit_b", 3072), ("lite_medsam", 820)]
)
def test_what_is_finer_than_the_input_becomes_grey_and_not_a_pattern(
    family: str, side: int
) -> None:
    stripes = np.zeros((side, side), np.uint8)
    stripes[:, ::2] = 255
    # A pixel of each grey level, lest the stripes' own grey is stretched to the full range.
    stripes[0, 0], stripes[-8:, -8:] = 0, 255
    stripes[-8:, :8] = 0
    shown = preprocess(stripes, family)[0][0].numpy()
    inner = shown[2:-8, 2:-8]
    assert inner.std() < 0.1 * (shown.max() - shown.min())
