"""Reading tensors from weight files, safely, and writing them.

Files of torch are read with `weights_only=True`, which runs nothing that lies in them; safetensors
can hold nothing but tensors. What a file is, is decided by its content, not by its name.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from MedSAGaSlicerLib.engine.files import atomic_path
from MedSAGaSlicerLib.errors import CheckpointError

_WRAPPERS = ("model", "model_state", "model_state_dict", "state_dict")
_PREFIXES = ("module.", "sam.")
_HEAD_BYTES = 1024
_LONGEST_CHARACTER = 4
_LARGEST_HEADER = 1 << 32
_METADATA_KEY = "medsaga_family"
# What torch raises on damaged or hostile files, version by version.
_READ_ERRORS = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    zipfile.BadZipFile,
)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a file's tensors, unwrapped, under the names that this library's models use.

    Training checkpoints that hold the weights under `model`, `model_state`, `model_state_dict` or
    `state_dict` are unwrapped; prefixes `module.` and `sam.` are taken off.

    Raises:
        CheckpointError: the file is missing, empty, truncated, no checkpoint, or holds Python
            objects.
    """
    head = _head(path)
    content = _read_safetensors(path) if _is_safetensors(head) else _read_torch(path, head)
    return _named_tensors(_unwrapped(content), path)


def declared_family(path: Path) -> str | None:
    """The family that a file of `write_tensors` names; None for every other file.

    Raises:
        CheckpointError: the file cannot be read.
    """
    if not _is_safetensors(_head(path)):
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get(_METADATA_KEY)
    except safetensors.SafetensorError as error:
        msg = f"{path} is a damaged safetensors file ({error}); get the file again"
        raise CheckpointError(msg) from error


def write_tensors(tensors: Mapping[str, Tensor], path: Path, family: str) -> None:
    """Write tensors as safetensors that name their family; beside first, then renamed.

    Raises:
        InputError: the folder cannot be written.
    """
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        safetensors.torch.save_file(whole, temporary, metadata={_METADATA_KEY: family})


def _head(path: Path) -> bytes:
    if not path.is_file():
        msg = f"{path} is not a file; check the name"
        raise CheckpointError(msg)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise CheckpointError(msg) from error
    if not head:
        msg = f"{path} is empty; get the file again"
        raise CheckpointError(msg)
    return head


def _is_safetensors(head: bytes) -> bool:
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < _LARGEST_HEADER


def _read_safetensors(path: Path) -> Any:
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        msg = f"{path} is a damaged safetensors file ({error}); get the file again"
        raise CheckpointError(msg) from error


def _read_torch(path: Path, head: bytes) -> Any:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        msg = f"{path} is a web page, not a checkpoint: the download went wrong; get the file again"
        raise CheckpointError(msg)
    if start.startswith(b"version https://git-lfs"):
        msg = f"{path} is a pointer of Git LFS, not the checkpoint; get the file with git lfs"
        raise CheckpointError(msg)
    if _is_text(head):
        msg = f"{path} is a text file, not a checkpoint; get the right file"
        raise CheckpointError(msg)
    try:
        with warnings.catch_warnings():
            # Of pickles it does not know; whether it could read them is all that matters.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except _READ_ERRORS as error:
        raise CheckpointError(_torch_message(path, head, error)) from error


def _is_text(head: bytes) -> bool:
    # A character may be cut at the end of what was read.
    text = head.decode("utf-8", errors="ignore")
    cut = len(head) - len(text.encode()) < _LONGEST_CHARACTER
    return cut and all(letter.isprintable() or letter.isspace() for letter in text)


def _torch_message(path: Path, head: bytes, error: Exception) -> str:
    archive, pickled = head.startswith(b"PK\x03\x04"), head.startswith(b"\x80")
    if not archive and not pickled:
        return f"{path} is neither a torch checkpoint nor safetensors; get the right file"
    cut = isinstance(error, EOFError) or "truncated" in str(error)
    if not cut and isinstance(error, pickle.UnpicklingError):
        return (
            f"{path} holds Python objects besides tensors. They could run code, so they are not "
            "loaded. Get a file that holds the weights alone"
        )
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return f"{path} is damaged or truncated ({reason}); get the file again"


def _unwrapped(content: Any) -> Any:
    for _ in _WRAPPERS:
        inner = [content[key] for key in _WRAPPERS if isinstance(content, dict) and key in content]
        if not inner or not isinstance(inner[0], dict):
            break
        content = inner[0]
    return content


def _named_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(content, dict):
        msg = f"{path} holds a {type(content).__name__}, not tensors with names; get the right file"
        raise CheckpointError(msg)
    # Notes beside the tensors (an epoch, a version) are no weights.
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        msg = f"{path} holds no tensors; get the right file"
        raise CheckpointError(msg)
    while prefix := next((p for p in _PREFIXES if all(n.startswith(p) for n in tensors)), None):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors
