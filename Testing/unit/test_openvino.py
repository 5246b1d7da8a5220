"""Encoding by OpenVINO: the same embeddings, never mixed up, and clear words where it cannot."""

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from encoder_lessons import config_of
from lessons import QUICK, deep_example, discs, example, finished, teach, tiny_predictor
from small_models import bright_disc, small_model
from torch import Tensor, nn

from MedSAGaSlicerLib.engine import openvino_encoder, precision
from MedSAGaSlicerLib.engine.examples import ExampleSet
from MedSAGaSlicerLib.engine.families import SamModel
from MedSAGaSlicerLib.engine.metrics import dice
from MedSAGaSlicerLib.engine.precision import choose_precision
from MedSAGaSlicerLib.engine.predictor import Predictor, load_predictor
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.teaching.adapters import load_adapter
from MedSAGaSlicerLib.errors import DependencyError, InputError

CPU = torch.device("cpu")
CLICK = Prompts(points=((80.0, 70.0),), positive=(True,))
needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed"
)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(one))


def by_openvino(base: Predictor) -> Predictor:
    """The same model, encoded by OpenVINO."""
    return Predictor(base.model, precision="openvino")


@pytest.fixture(scope="module")
def exact() -> Predictor:
    return load_predictor("starter", "cpu")


@needs_openvino
class TestTheStarter:
    def test_in_float32_it_is_the_same_to_rounding(self, exact: Predictor) -> None:
        other = load_predictor("starter", "cpu", precision="openvino")
        found = other.encode(bright_disc())
        assert apart(exact.encode(bright_disc()).features, found.features) < 1e-4
        assert other.encoder_key == exact.encoder_key
        assert np.array_equal(exact.predict(found, CLICK).mask, other.predict(found, CLICK).mask)

    def test_in_bfloat16_it_is_close_and_another_precision(self, exact: Predictor) -> None:
        other = load_predictor("starter", "cpu", precision="openvino-bfloat16")
        torchs = load_predictor("starter", "cpu", precision="bfloat16")
        found = other.encode(bright_disc())
        assert 1e-4 < apart(exact.encode(bright_disc()).features, found.features) < 0.03
        masks = [p.predict(p.encode(bright_disc()), CLICK).mask for p in (exact, other)]
        assert dice(*masks) > 0.99
        for user in (exact, torchs):
            with pytest.raises(InputError, match="another encoder"):
                user.predict(found, CLICK)

    def test_slices_encoded_together_are_those_encoded_alone(self, exact: Predictor) -> None:
        other = by_openvino(exact)
        slices = [bright_disc(), bright_disc(90), np.rot90(bright_disc())]
        for together, pixels in zip(other.encode_batch(slices), slices, strict=True):
            np.testing.assert_array_equal(together.features, other.encode(pixels).features)

    def test_nothing_is_told_over_the_network(self, checkout: Path, tmp_path: Path) -> None:
        """OpenVINO reports imports and conversions unless it is hindered; it counts them first."""
        code = (
            "import sys, numpy\n"
            "from MedSAGaSlicerLib.engine.predictor import load_predictor\n"
            "predictor = load_predictor('starter', 'cpu', precision='openvino')\n"
            "predictor.encode(numpy.zeros((20, 20), numpy.uint8))\n"
            "print('openvino' in sys.modules, sys.modules['openvino_telemetry'])\n"
        )
        home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
        library = {"PYTHONPATH": str(checkout / "MedSAGaSlicer")}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **home, **library},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == ["True", "None"]
        assert not (tmp_path / "intel").exists()

    def test_torch_goes_on_as_before(self, exact: Predictor) -> None:
        before = exact.encode(bright_disc()).features
        by_openvino(exact).encode(bright_disc())
        np.testing.assert_array_equal(exact.encode(bright_disc()).features, before)
        assert not torch.is_inference_mode_enabled()


@needs_openvino
@pytest.mark.parametrize("family", ["sam_vit_b", "sam_med2d_b", "lite_medsam"])
def test_every_kind_of_encoder_can_be_computed(family: str) -> None:
    model = small_model(family)
    for name, weights in model.named_parameters():
        if "rel_pos" in name:
            nn.init.normal_(weights, std=0.1)
    one, other = (
        Predictor(model).encode(bright_disc()),
        by_openvino(Predictor(model)).encode(bright_disc()),
    )
    assert apart(one.features, other.features) < 1e-4


@needs_openvino
@pytest.mark.parametrize("method", ["decoder", "late", "lora", "adapter"])
def test_what_was_taught_encodes_alike(tmp_path: Path, method: str) -> None:
    teach(tmp_path / "taught", config=config_of(method))
    pixels = example(3).pixels
    one, other = (
        load_adapter(tmp_path / "taught", base)
        for base in (tiny_predictor(), by_openvino(tiny_predictor()))
    )
    assert one.encoder_key == other.encoder_key
    assert apart(one.encode(pixels).features, other.encode(pixels).features) < 1e-3


@needs_openvino
def test_an_encoder_that_looks_at_neighbours_can_be_computed(tmp_path: Path) -> None:
    slices = tuple(deep_example(number) for number in range(9))
    config = replace(config_of("adapter"), depth=3)
    teach(tmp_path / "taught", ExampleSet(("disc",), slices), config)
    shown = slices[0].shown(3)
    one, other = (
        load_adapter(tmp_path / "taught", base).encode(shown).features
        for base in (tiny_predictor(), by_openvino(tiny_predictor()))
    )
    assert apart(one, other) < 1e-3


@needs_openvino
def test_a_lesson_learns_from_its_embeddings(tmp_path: Path) -> None:
    events = teach(tmp_path / "taught", discs(9), QUICK, by_openvino(tiny_predictor()))
    assert finished(events).report["steps"] == QUICK.steps


class Wayward(nn.Module):
    """Takes its way by what it sees: that cannot be written down as operations."""

    def forward(self, images: Tensor) -> Tensor:
        return images * 2 if float(images.mean()) > 0 else images


@needs_openvino
def test_an_encoder_that_it_cannot_compute_is_refused_with_a_way_out() -> None:
    model = tiny_predictor().model
    wayward = SamModel("starter", model.image_encoder, model.prompt_encoder, model.mask_decoder)
    predictor = Predictor(wayward, precision="openvino")
    wayward.image_encoder.patch_embed = nn.Sequential(wayward.image_encoder.patch_embed, Wayward())
    with pytest.raises(DependencyError, match=r"cannot compute.*float32 or bfloat16"):
        predictor.encode(bright_disc())


def test_where_it_is_missing_it_is_said_and_nothing_is_lost(
    exact: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_encoder, "has_openvino", lambda: False)
    predictor = Predictor(exact.model, precision="openvino")
    with pytest.raises(DependencyError, match="pip install openvino"):
        predictor.encode(bright_disc())
    exact.encode(bright_disc())


@pytest.mark.parametrize(
    ("here", "gain", "chosen"),
    [
        (True, 2.0, "openvino-bfloat16"),
        (True, 1.0, "openvino"),
        (False, 2.0, "bfloat16"),
        (False, 1.0, "float32"),
    ],
)
def test_auto_takes_it_where_it_is(
    here: bool, gain: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "gain_of_half", lambda: gain)
    monkeypatch.setattr(precision, "has_openvino", lambda: here)
    assert choose_precision("auto", CPU) == chosen


@pytest.mark.parametrize(
    ("name", "chosen"), [("openvino", "float32"), ("openvino-bfloat16", "bfloat16")]
)
def test_on_other_devices_torch_computes(name: str, chosen: str) -> None:
    assert choose_precision(name, torch.device("cuda")) == chosen
    assert choose_precision(name, CPU) == name
