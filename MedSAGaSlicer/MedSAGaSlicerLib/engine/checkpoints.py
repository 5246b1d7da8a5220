"""Models from weight files: recognised by their tensors, loaded strictly."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from MedSAGaSlicerLib.engine import registry
from MedSAGaSlicerLib.engine.families import ARCHITECTURES, FAMILIES, STARTER, SamModel, build
from MedSAGaSlicerLib.engine.weight_files import declared_family, read_tensors, write_tensors
from MedSAGaSlicerLib.errors import CheckpointError

_SHOWN = 3
_SAM_PATCH = 16


def load_model(path: Path, family: str | None = None) -> SamModel:
    """Read weights and build the model they belong to, in evaluation mode, fp32, on the CPU.

    Args:
        path: `.pth`, `.pt` or `.safetensors`.
        family: the family, where the person or the registry knows it. Otherwise it follows from the
            tensors; where these fit several families, from the file's pinned hash.

    Raises:
        CheckpointError: the file is no checkpoint, is damaged, fits no family or another than the
            given one, or fits several and nothing says which.
    """
    tensors = read_tensors(path)
    candidates = recognise(tensors)
    if not candidates:
        msg = f"{path} {_what_else(tensors)}"
        raise CheckpointError(msg)
    if family is None:
        family = _decide(path, candidates)
    elif family not in candidates:
        msg = (
            f"{path} was to be loaded as {family}, but its tensors are those of "
            f"{' or '.join(candidates)}; name that family, or another file"
        )
        raise CheckpointError(msg)
    return model_of(tensors, family, path)


def model_of(tensors: Mapping[str, Tensor], family: str, path: Path) -> SamModel:
    """Build a family's model from tensors under its names, strictly; `path` is for messages.

    Raises:
        CheckpointError: names are missing or unknown, or a tensor has another shape.
    """
    model = build(family, "meta")
    _check_fit(tensors, model.state_dict(), family, path)
    # Kept as they are read: no second copy of the weights, no time spent on random ones.
    owned = {name: _owned(tensor) for name, tensor in tensors.items()}
    model.load_state_dict(owned, strict=True, assign=True)
    return model.eval()


def save_model(model: SamModel, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write all weights as safetensors that name their family; beside first, then renamed.

    Args:
        model: any family's.
        path: the file, usually `.safetensors`.
        dtype: of the floating-point tensors in the file.

    Raises:
        InputError: the folder cannot be written.
    """
    tensors = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }
    write_tensors(tensors, path, model.family)


def encoder_fingerprint(model: SamModel) -> str:
    """SHA-256 in hex over the image encoder's tensors, sorted by name: names, shapes and values.

    Equal for equal weights wherever they lie; prompt encoder and mask decoder are not in it.
    """
    state = hashlib.sha256()
    for name, tensor in sorted(model.image_encoder.state_dict().items()):
        state.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        state.update(tensor.detach().cpu().contiguous().numpy())
    return state.hexdigest()


def model_fingerprint(model: SamModel, encoder: str) -> str:
    """SHA-256 in hex over all weights of a model, `encoder` being its encoder's fingerprint."""
    state = hashlib.sha256(encoder.encode())
    for part in (model.prompt_encoder, model.mask_decoder):
        for name, tensor in sorted(part.state_dict().items()):
            state.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
            state.update(tensor.detach().cpu().contiguous().numpy())
    return state.hexdigest()


def recognise(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Families to which tensors of these names and shapes can belong; empty if to none.

    Only what distinguishes the families is looked at; loading checks the rest.
    """
    stem = tensors.get("image_encoder.patch_embed.seq.0.c.weight")
    if stem is not None:
        return ("lite_medsam",) if stem.shape[-1] == 1 else ("mobile_sam",)
    patches = tensors.get("image_encoder.patch_embed.proj.weight")
    positions = tensors.get("image_encoder.pos_embed")
    if patches is None or positions is None or patches.ndim != 4 or positions.ndim != 4:
        return ()
    kind = "med2d" if any(".Adapter." in name for name in tensors) else "vit"
    found = {
        "encoder": kind,
        "dim": patches.shape[0],
        "depth": 1 + max((_block(name) for name in tensors), default=-1),
        "grid": positions.shape[1],
        "image_size": positions.shape[1] * patches.shape[-1],
    }
    fitting = tuple(
        family
        for family, known in ARCHITECTURES.items()
        if all(getattr(known, field) == value for field, value in found.items())
    )
    if not fitting and kind == "vit" and patches.shape[-1] < _SAM_PATCH:
        return (STARTER,)
    return fitting


def _decide(path: Path, candidates: tuple[str, ...]) -> str:
    if len(candidates) == 1:
        return candidates[0]
    declared = declared_family(path)
    if declared is not None and declared in candidates:
        return declared
    known = registry.identify(path)
    if known is not None and known.family in candidates:
        return known.family
    msg = (
        f"{path} fits {' and '.join(candidates)}: their tensors have the same names and shapes, "
        f"but their images are prepared differently. Say which, as in {candidates[0]}:{path}"
    )
    raise CheckpointError(msg)


def _block(name: str) -> int:
    words = name.removeprefix("image_encoder.blocks.").split(".", 1)
    named = name.startswith("image_encoder.blocks.") and words[0].isdecimal()
    return int(words[0]) if named else -1


def _what_else(tensors: Mapping[str, Tensor]) -> str:
    names = sorted(tensors)
    if any(name.startswith(("vision_encoder.", "shared_image_embedding.")) for name in names):
        return (
            "holds weights in the format of Hugging Face transformers, whose names differ; get the "
            "authors' own checkpoint (see the model's page in `medsaga models`)"
        )
    if any(name.startswith(("image_encoder.trunk.", "memory_encoder.")) for name in names):
        return "holds weights of SAM 2, which is another kind of model; get one of the first SAM"
    shown = ", ".join(names[:_SHOWN])
    return f"fits no known family ({', '.join(FAMILIES)}); its tensors are called {shown}, ..."


def _check_fit(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], family: str, path: Path
) -> None:
    problems = [
        *_listed("lacks", sorted(expected.keys() - tensors.keys())),
        *_listed("has the unknown", sorted(tensors.keys() - expected.keys())),
        *_listed(
            "has another shape for",
            [
                f"{name} {tuple(tensors[name].shape)} instead of {tuple(tensor.shape)}"
                for name, tensor in expected.items()
                if name in tensors and tensors[name].shape != tensor.shape
            ],
        ),
    ]
    if problems:
        msg = f"{path} does not fit {family}: it {'; it '.join(problems)}. Get the right file"
        raise CheckpointError(msg)


def _listed(what: str, items: list[str]) -> list[str]:
    if not items:
        return []
    rest = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return [f"{what} {', '.join(items[:_SHOWN])}{rest}"]


def _owned(tensor: Tensor) -> Tensor:
    # A copy also where fp32 was read: tensors of safetensors are windows into the file.
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to(dtype, copy=True)
