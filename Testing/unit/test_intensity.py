"""One normalisation per volume, whatever the scanner stores."""

from typing import Any

import numpy as np
import pytest

from MedSAGaSlicerLib.engine.intensity import Normalisation, ct_window, is_constant, measure
from MedSAGaSlicerLib.errors import InputError


@pytest.fixture
def ct() -> np.ndarray:
    """Air with a body of fat, soft tissue and some bone."""
    volume = np.full((4, 32, 32), -1000, np.int16)
    volume[:, 8:24, 8:24] = np.random.default_rng(0).normal(40, 20, (4, 16, 16))
    volume[:, 14:17, 14:17] = 700
    return volume


def test_ct_gets_the_soft_tissue_window(ct: np.ndarray) -> None:
    assert measure(ct) == Normalisation("window", -160, 240)
    assert measure(np.where(ct == -1000, -3024, ct)).kind == "window"


def test_what_dicom_says_of_the_modality_counts_more_than_the_values(ct: np.ndarray) -> None:
    inside = ct[:, 10:14, 10:14]
    assert measure(inside, "CT").kind == "window"
    assert measure(inside).kind == "percentile"
    assert measure(ct, "MR").kind == "percentile"


def test_mr_with_a_few_negative_values_is_no_ct() -> None:
    volume = np.random.default_rng(0).gamma(2, 200, (4, 32, 32)) - 50
    assert measure(volume).kind == "percentile"


def test_percentiles_leave_outliers_out_and_repeat_exactly() -> None:
    volume = np.linspace(0, 1000, 10_000).reshape(10, 20, 50)
    volume[0, 0, 0] = 1e9
    found = measure(volume)
    assert (found.low, found.high) == pytest.approx((5, 995), abs=0.5)
    assert measure(volume) == found


def test_a_large_volume_is_sampled() -> None:
    volume = np.tile(np.arange(256, dtype=np.int16), (130, 100, 1))
    found = measure(volume)
    assert (found.low, found.high) == pytest.approx((1, 254), abs=1.5)


def test_a_small_bright_object_on_plain_ground_is_seen() -> None:
    volume = np.zeros((4, 64, 64), np.float32)
    volume[2, 30:33, 30:33] = 5
    assert measure(volume) == Normalisation("percentile", 0, 5)


def test_eight_bit_colour_stays_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (1, 8, 8, 3), np.uint8)
    normalisation = measure(picture)
    assert normalisation.kind == "identity"
    assert (normalisation.apply(picture) == picture).all()


def test_deeper_colour_is_scaled_alike_in_all_channels() -> None:
    picture = np.zeros((1, 8, 8, 3), np.uint16)
    picture[..., 0], picture[..., 1] = 60_000, 30_000
    shown = measure(picture).apply(picture)
    assert shown.dtype == np.uint8
    assert shown[0, 0, 0].tolist() == [255, 128, 0]


def test_values_are_clipped_and_rounded() -> None:
    values = np.array([-5000, -160, 41, 240, 9000])
    assert ct_window("soft tissue").apply(values).tolist() == [0, 0, 128, 255, 255]


def test_nan_and_infinity_become_black_and_white() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 5.0], np.float32)
    assert Normalisation("percentile", 0, 10).apply(values).tolist() == [0, 255, 0, 128]


def test_nan_does_not_disturb_the_measure() -> None:
    volume = np.linspace(0, 1000, 10_000).reshape(10, 20, 50)
    clean = measure(volume)
    volume[:, :2] = np.nan
    holed = measure(volume)
    assert np.isfinite([holed.low, holed.high]).all()
    assert holed.high == pytest.approx(clean.high, abs=2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_volume_without_a_finite_value_is_refused(value: float) -> None:
    with pytest.raises(InputError, match="no finite number"):
        measure(np.full((1, 4, 4), value))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (1, 7, 1), (3, 5, 5)])
def test_a_constant_image_is_black_and_told(shape: tuple[int, ...]) -> None:
    volume = np.full(shape, 7.0)
    assert is_constant(volume)
    assert not measure(volume).apply(volume).any()


def test_it_survives_json() -> None:
    normalisation = Normalisation("percentile", 1.5, 300)
    assert Normalisation.from_dict(normalisation.to_dict()) == normalisation


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "window", "low": 0},
        {"kind": "window", "low": "a", "high": 1},
        {"kind": "window", "low": 2, "high": 1},
        {"kind": "window", "low": 0, "high": float("nan")},
        {"kind": "guess", "low": 0, "high": 1},
    ],
)
def test_what_describes_no_normalisation_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Normalisation.from_dict(values)


def test_an_unknown_window_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="soft tissue"):
        ct_window("liver")
