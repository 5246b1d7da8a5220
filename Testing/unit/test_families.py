from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from MedSAGaSlicerLib.engine.families import (
    ARCHITECTURES,
    FAMILIES,
    architecture,
    build,
    build_architecture,
)
from MedSAGaSlicerLib.errors import InputError

PARAMETERS = {
    "sam_vit_b": 93_735_472,
    "sam_vit_l": 312_342_832,
    "sam_vit_h": 641_090_608,
    "medsam_vit_b": 93_735_472,
    "mobile_sam": 10_130_092,
    "lite_medsam": 9_791_300,
}


@pytest.mark.parametrize(("family", "count"), PARAMETERS.items())
def test_a_network_has_as_many_parameters_as_published(family: str, count: int) -> None:
    assert sum(parameter.numel() for parameter in build(family, "meta").parameters()) == count


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_built_in_evaluation_mode_and_knows_its_sizes(family: str) -> None:
    model = build(family, "meta")

    assert model.family == family
    assert not any(module.training for module in model.modules())
    names = {name.split(".")[0] for name in model.state_dict()}
    assert names == {"image_encoder", "prompt_encoder", "mask_decoder"}
    if family in ARCHITECTURES:
        assert model.input_size == architecture(family).image_size
        assert model.logits_size == 4 * architecture(family).grid


def test_a_smaller_relative_runs() -> None:
    tiny = replace(ARCHITECTURES["sam_med2d_b"], image_size=64, grid=4, dim=32, depth=2, heads=2)
    model = build_architecture("sam_med2d_b", tiny)
    with torch.inference_mode():
        assert model.image_encoder(torch.rand(1, 3, 64, 64)).shape == (1, 256, 4, 4)


def test_an_unknown_family_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="'sam_vit_x' is unknown; known are starter, sam_vit_b"):
        build("sam_vit_x")


def test_loading_a_model_leaves_torch_s_compiler_alone() -> None:
    program = (
        "import sys\n"
        "from MedSAGaSlicerLib.engine.families import FAMILIES, build\n"
        "from MedSAGaSlicerLib.engine.predictor import load_predictor\n"
        "load_predictor('starter', 'cpu')\n"
        "assert [build(family, 'meta').family for family in FAMILIES] == list(FAMILIES)\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
