"""Encoding in reduced precision: close, faster where it is chosen, never mixed up with exact."""

import numpy as np
import pytest
import torch
from small_models import bright_disc, small_model

from MedSAGaSlicerLib.engine import precision
from MedSAGaSlicerLib.engine.metrics import dice
from MedSAGaSlicerLib.engine.precision import choose_precision, lowered
from MedSAGaSlicerLib.engine.predictor import Predictor, load_predictor
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError

CPU = torch.device("cpu")
CENTRE = Prompts(points=((80.0, 70.0),), positive=(True,))


@pytest.fixture(scope="module")
def exact() -> Predictor:
    return load_predictor("starter", "cpu")


@pytest.fixture(scope="module")
def short() -> Predictor:
    return load_predictor("starter", "cpu", precision="bfloat16")


def test_the_starter_gives_nearly_the_same_embedding_and_mask(
    exact: Predictor, short: Predictor
) -> None:
    one, other = exact.encode(bright_disc()), short.encode(bright_disc())
    difference = np.linalg.norm(one.features - other.features) / np.linalg.norm(one.features)
    assert 0 < difference < 0.02
    masks = [p.predict(e, CENTRE).mask for p, e in ((exact, one), (short, other))]
    assert dice(*masks) > 0.99


def test_an_embedding_of_one_precision_is_refused_by_the_other(
    exact: Predictor, short: Predictor
) -> None:
    assert exact.encoder_key != short.encoder_key
    assert exact.encoder_fingerprint == short.encoder_fingerprint
    assert exact.fingerprint == short.fingerprint
    for maker, user in ((exact, short), (short, exact)):
        with pytest.raises(InputError, match="another encoder"):
            user.predict(maker.encode(bright_disc()), CENTRE)


def test_without_a_wish_it_is_exact(exact: Predictor) -> None:
    named = load_predictor("starter", "cpu", precision="float32")
    assert exact.precision == "float32"
    assert exact.encoder_key == named.encoder_key
    assert np.array_equal(
        exact.encode(bright_disc()).features, named.encode(bright_disc()).features
    )


def test_all_weights_stay_as_they_are_in_reduced_precision(short: Predictor) -> None:
    short.encode(bright_disc())
    assert all(weight.dtype == torch.float32 for weight in short.model.parameters())


@pytest.mark.parametrize("family", ["sam_vit_b", "sam_med2d_b", "lite_medsam"])
def test_every_kind_of_encoder_can_be_lowered(family: str) -> None:
    encoder = Predictor(small_model(family)).model.image_encoder
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        one, other = encoder(image), lowered(encoder)(image)
    assert other.dtype == torch.float32
    assert 0 < float((one - other).norm() / one.norm()) < 0.03


def test_an_unknown_precision_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="'int4' is unknown; choose auto, float32, bfloat16"):
        choose_precision("int4", CPU)


@pytest.mark.parametrize(("gain", "chosen"), [(1.1, "float32"), (2.0, "bfloat16")])
def test_auto_takes_what_is_faster_here(
    gain: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "gain_of_half", lambda: gain)
    monkeypatch.setattr(precision, "has_openvino", lambda: False)
    assert choose_precision("auto", CPU) == chosen
    assert choose_precision("auto", torch.device("cuda")) == "float32"
    assert choose_precision("bfloat16", CPU) == "bfloat16"


def test_the_gain_is_measured() -> None:
    assert precision.gain_of_half() > 0
