from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from MedSAGaSlicerLib.engine import checkpoints, registry
from MedSAGaSlicerLib.engine.checkpoints import (
    encoder_fingerprint,
    load_model,
    recognise,
    save_model,
)
from MedSAGaSlicerLib.engine.families import ARCHITECTURES, SamModel, build
from MedSAGaSlicerLib.engine.registry import Pin
from MedSAGaSlicerLib.engine.weight_files import read_tensors
from MedSAGaSlicerLib.errors import CheckpointError

FAMILY = "lite_medsam"  # the smallest of the published ones


@pytest.fixture(scope="module")
def model() -> SamModel:
    torch.manual_seed(0)
    return build(FAMILY)


@pytest.fixture(scope="module")
def weights(model: SamModel) -> dict[str, Tensor]:
    return dict(model.state_dict())


@pytest.fixture(scope="module")
def vit_b() -> dict[str, Tensor]:
    """Names and shapes of SAM ViT-B, next to no bytes."""
    shapes = build("sam_vit_b", "meta").state_dict()
    return {name: torch.zeros(()).expand(tensor.shape) for name, tensor in shapes.items()}


def equal(left: SamModel, right: SamModel) -> bool:
    theirs = right.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in left.state_dict().items())


WRAPPINGS: dict[str, Callable[[dict[str, Tensor]], object]] = {
    "plain": lambda weights: weights,
    "training checkpoint": lambda weights: {"model": weights, "optimizer": {}, "epoch": 3},
    "model_state": lambda weights: {
        "model_state": {f"sam.{name}": tensor for name, tensor in weights.items()}
    },
    "parallel": lambda weights: {
        "state_dict": {f"module.{name}": tensor for name, tensor in weights.items()}
    },
    "nested": lambda weights: {"model": {"model_state_dict": weights}},
    "half": lambda weights: {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
    },
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_weights_load_however_they_are_wrapped(
    tmp_path: Path, model: SamModel, weights: dict[str, Tensor], wrapping: str
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(WRAPPINGS[wrapping](weights), path)

    loaded = load_model(path)

    assert loaded.family == FAMILY
    assert not loaded.training
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}
    if wrapping != "half":
        assert equal(loaded, model)


def test_the_old_format_of_torch_loads(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    path = tmp_path / "weights.pt"
    torch.save(weights, path, _use_new_zipfile_serialization=False)

    assert load_model(path).family == FAMILY


def test_a_saved_model_loads_equal_and_its_file_can_be_replaced(
    tmp_path: Path, model: SamModel
) -> None:
    path = tmp_path / "weights.safetensors"
    save_model(model, path)
    loaded = load_model(path)
    save_model(build(FAMILY), path)

    assert equal(loaded, model)
    assert [file.name for file in tmp_path.iterdir()] == ["weights.safetensors"]


def test_a_loaded_model_can_be_trained_and_has_its_tables(tmp_path: Path, model: SamModel) -> None:
    path = tmp_path / "weights.safetensors"
    save_model(model, path)
    loaded = load_model(path)

    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert not any(tensor.is_meta for tensor in (*loaded.parameters(), *loaded.buffers()))


def test_each_family_is_recognised_by_its_tensors() -> None:
    twins = ("sam_vit_b", "medsam_vit_b")
    for family in (*ARCHITECTURES, "starter"):
        expected = twins if family in twins else (family,)
        assert recognise(build(family, "meta").state_dict()) == expected


def test_twins_are_not_guessed(tmp_path: Path, vit_b: dict[str, Tensor]) -> None:
    path = tmp_path / "weights.pth"
    torch.save(vit_b, path)
    with pytest.raises(CheckpointError, match=r"fits sam_vit_b and medsam_vit_b.*sam_vit_b:"):
        load_model(path)

    assert load_model(path, "medsam_vit_b").family == "medsam_vit_b"


def test_a_known_hash_tells_twins_apart(
    tmp_path: Path, vit_b: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(vit_b, path)
    pin = Pin("md5", hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest())
    known = replace(registry.entry("medsam_vit_b"), size=path.stat().st_size, pin=pin)
    monkeypatch.setattr(registry, "entries", lambda: (known,))

    assert load_model(path).family == "medsam_vit_b"


def test_our_own_file_says_which_twin_it_is(tmp_path: Path, vit_b: dict[str, Tensor]) -> None:
    path = tmp_path / "weights.safetensors"
    whole = {name: tensor.contiguous() for name, tensor in vit_b.items()}
    safetensors.torch.save_file(whole, path, metadata={"medsaga_family": "medsam_vit_b"})

    assert load_model(path).family == "medsam_vit_b"


def test_a_wrong_family_is_refused_with_the_right_one(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(weights, path)
    with pytest.raises(CheckpointError, match=r"loaded as sam_vit_b.*those of lite_medsam"):
        load_model(path, "sam_vit_b")


class Bomb:
    """Creates a file as soon as it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(
    tmp_path: Path, weights: dict[str, Tensor], zipped: bool
) -> None:
    path, target = tmp_path / "weights.pth", tmp_path / "executed"
    content = {**weights, "extra": Bomb(target)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="could run code"):
        load_model(path)

    assert not target.exists()


def test_a_bare_pickle_bomb_is_refused_and_does_not_run(tmp_path: Path) -> None:
    path, target = tmp_path / "weights.pth", tmp_path / "executed"
    for protocol in (0, 2, 5):
        path.write_bytes(pickle.dumps(Bomb(target), protocol))
        with pytest.raises(CheckpointError):
            load_model(path)

    assert not target.exists()


@pytest.mark.parametrize("name", ["weights.pth", "old.pth", "weights.safetensors"])
@pytest.mark.parametrize("kept", [0.9, 0.5, 0.0001])
def test_a_truncated_file_is_called_damaged(
    tmp_path: Path, model: SamModel, weights: dict[str, Tensor], name: str, kept: float
) -> None:
    path = tmp_path / name
    if path.suffix == ".safetensors":
        save_model(model, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=name != "old.pth")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(CheckpointError, match=r"damaged.*get the file again"):
        load_model(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; get the file again"),
        (b"\n<!DOCTYPE html><html><body>Quota exceeded</body></html>", "is a web page"),
        (b"<HTML><head>", "is a web page"),
        ("Größe unbekannt, siehe README\n".encode() * 50, "is a text file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "pointer of Git LFS"),
        (bytes(range(1, 255)) * 20, "neither a torch checkpoint nor safetensors"),
    ],
    ids=["empty", "web page", "short web page", "text", "git lfs", "noise"],
)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load_model(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nothing.pth is not a file"):
        load_model(tmp_path / "nothing.pth")
    with pytest.raises(CheckpointError, match="is not a file"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list"),
        ({}, "holds no tensors"),
        ({"epoch": 3}, "holds no tensors"),
        ({"weight": torch.zeros(3)}, "fits no known family .* weight"),
        ({"vision_encoder.layers.0.bias": torch.zeros(3)}, "Hugging Face transformers"),
        ({"image_encoder.trunk.blocks.0.bias": torch.zeros(3)}, "SAM 2"),
    ],
    ids=["list", "empty", "no tensors", "another network", "transformers", "sam 2"],
)
def test_other_contents_are_named(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=message):
        load_model(path)


def test_right_names_with_wrong_shapes_are_refused(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    path = tmp_path / "weights.pth"
    torch.save({**weights, "image_encoder.neck.1.bias": torch.zeros(255)}, path)
    with pytest.raises(CheckpointError, match=r"neck.1.bias \(255,\) instead of \(256,\)"):
        load_model(path)


def test_missing_and_unknown_names_are_listed(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    path = tmp_path / "weights.pth"
    short = {n: t for n, t in weights.items() if not n.startswith("mask_decoder.iou_prediction")}
    torch.save({**short, "mask_decoder.extra": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError) as raised:
        load_model(path)

    message = str(raised.value)
    assert "lacks mask_decoder.iou_prediction_head.layers.0.bias" in message
    assert "and 3 more" in message
    assert "has the unknown mask_decoder.extra" in message


def test_a_nameless_checkpoint_of_tensors_only_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"module.sam.a": torch.ones(2), "module.sam.b": torch.zeros(1)}, path)

    assert read_tensors(path).keys() == {"a", "b"}


def test_the_fingerprint_covers_the_encoder_alone(model: SamModel) -> None:
    same = checkpoints.model_of(model.state_dict(), FAMILY, Path("copy"))
    assert encoder_fingerprint(same) == encoder_fingerprint(model)
    with torch.no_grad():
        same.mask_decoder.iou_token.weight.add_(1)
    assert encoder_fingerprint(same) == encoder_fingerprint(model)
    with torch.no_grad():
        same.image_encoder.neck[1].bias[0] += 1e-6
    assert encoder_fingerprint(same) != encoder_fingerprint(model)
