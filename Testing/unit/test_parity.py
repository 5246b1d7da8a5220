"""Our logits against those of the authors' own code, on the same seeded weights.

`parity/README.md` says where the authors' numbers are from.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent / "parity"))
import recipe

from MedSAGaSlicerLib.engine.families import (
    ARCHITECTURES,
    Architecture,
    SamModel,
    build,
    build_architecture,
)
from MedSAGaSlicerLib.engine.predictor import Predictor
from MedSAGaSlicerLib.engine.prompts import Prompts

FOLDER = Path(__file__).parent / "parity"
TOLERANCE = 1e-4
# Two blocks of a ViT, one of each kind: what deeper ones add is repetition.
SHALLOW = {"depth": 2, "global_blocks": (1,)}
VIT_B_NAMES = "2a326f8855d290e081116dbf100a235308e9f12b6c76b54759db0f806cc5ea48"
# Of the authors' models at full depth: sha256 over the sorted "name shape" lines.
NAMES = {
    "sam_vit_b": VIT_B_NAMES,
    "sam_vit_l": "872b3a587ece72dcfc9f14397c2dd2b79e3d589f9ef018cdf3a57c933bccee4e",
    "sam_vit_h": "903f3a74ff76f5c2dcd70b1f75adc2bc7e624c0c71361dcabba2b88eb62bd931",
    "medsam_vit_b": VIT_B_NAMES,
    "mobile_sam": "d794ba6abcfafd91e08aa7d88d0d262661527cf678468f1d83fc4ade45680356",
    "lite_medsam": "705d0648240419f92fe760af13d9865c6a254d0d93917a6e0302d495d2e7dd62",
    "sam_med2d_b": "6da7d9c1fdb28fba8ed904abb580744b69cc314491adb0eccb7d10e3337668be",
}


def relative_error(ours: np.ndarray, official: np.ndarray) -> float:
    return float(np.abs(ours - official).max() / np.abs(official).max())


def seeded(family: str, architecture: Architecture) -> SamModel:
    model = build_architecture(family, architecture, "meta")
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    drawn = recipe.draw_weights(shapes)
    weights = {name: torch.from_numpy(np.asarray(values)) for name, values in drawn.items()}
    model.load_state_dict(weights, strict=True, assign=True)
    return model


def prompt_sets(shape: tuple[int, ...]) -> Iterator[tuple[str, Prompts, str | None]]:
    """Name, prompts, and the set whose logits go in as the mask prompt."""
    points, positive, box = recipe.draw_prompts(shape)
    yield "point", Prompts(tuple(points[:1]), tuple(positive[:1])), None
    yield "points", Prompts(tuple(points), tuple(positive)), None
    yield "box", Prompts(box=box), None
    yield "box_points", Prompts(tuple(points[:2]), tuple(positive[:2]), box), None
    yield "corrected", Prompts(tuple(points), tuple(positive)), "points"


def compare(model: SamModel, file: str, shapes: list[str]) -> float:
    """Largest relative error over all shapes and the prompt sets the file holds."""
    official = np.load(FOLDER / f"{file}.npz")
    predictor = Predictor(model)
    errors = []
    for shape in shapes:
        embedding = predictor.encode(recipe.draw_slice(recipe.SHAPES[shape]))
        features = embedding.features.reshape(len(embedding.features), -1)
        places = recipe.sample_places(features.shape)
        errors.append(relative_error(features[places], official[f"{shape}/features"]))
        logits = {}
        for name, prompts, earlier in prompt_sets(recipe.SHAPES[shape]):
            if f"{shape}/{name}/logits" not in official:
                continue
            made = predictor.predict(embedding, prompts, logits.get(earlier))
            logits[name] = made.logits
            low = made.logits[recipe.sample_places(made.logits.shape)]
            errors.append(relative_error(low, official[f"{shape}/{name}/logits"]))
            assert abs(made.score - official[f"{shape}/{name}/score"]) < TOLERANCE
            check_mask(made.mask, official[f"{shape}/{name}/full"], file)
    return max(errors)


def check_mask(mask: np.ndarray, official: np.ndarray, file: str) -> None:
    """The mask agrees with the official map wherever that is not on the brink."""
    # MedSAM and LiteMedSAM end with probabilities, the others with logits.
    brink = 0.5 if file.startswith(("medsam", "lite")) else 0.0
    clear = np.abs(official - brink) > 1e-3
    assert clear.mean() > 0.9
    found = mask[recipe.sample_places(mask.shape)]
    np.testing.assert_array_equal(found[clear], official[clear] > brink)


@pytest.mark.parametrize("family", NAMES)
def test_every_tensor_is_named_and_shaped_as_in_the_authors_model(family: str) -> None:
    tensors = build(family, "meta").state_dict()
    lines = "\n".join(f"{name} {tuple(tensor.shape)}" for name, tensor in sorted(tensors.items()))

    assert hashlib.sha256(lines.encode()).hexdigest() == NAMES[family]


@pytest.mark.parametrize("family", ["mobile_sam", "lite_medsam"])
def test_small_models_give_the_authors_logits_and_masks(family: str) -> None:
    model = seeded(family, ARCHITECTURES[family])

    assert compare(model, family, list(recipe.SHAPES)) <= TOLERANCE


def test_sam_vit_b_gives_the_authors_logits_and_masks() -> None:
    model = seeded("sam_vit_b", ARCHITECTURES["sam_vit_b"])

    assert compare(model, "sam_vit_b", ["small"]) <= TOLERANCE


@pytest.mark.parametrize(
    ("family", "shapes"),
    [
        ("sam_vit_b", ["large", "colour"]),
        ("medsam_vit_b", list(recipe.SHAPES)),
        ("sam_med2d_b", list(recipe.SHAPES)),
        ("sam_vit_l", ["small"]),
        ("sam_vit_h", ["small"]),
    ],
)
def test_two_blocks_of_large_models_give_the_authors_logits_and_masks(
    family: str, shapes: list[str]
) -> None:
    model = seeded(family, replace(ARCHITECTURES[family], **SHALLOW))

    assert compare(model, f"{family}_depth2", shapes) <= TOLERANCE
