"""Which published models there are, where they come from, and which of them are on this machine.

The entries are a resource, `Resources/Models/registry.json`. No torch here: the panel lists models,
too.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from MedSAGaSlicerLib.engine.resources import resource_path
from MedSAGaSlicerLib.errors import InputError

FOLDER_VARIABLE = "MEDSAGA_MODELS"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Pin:
    """A hash that a file must have: `algorithm` as in `hashlib`, `digest` in lower-case hex."""

    algorithm: str
    digest: str


@dataclass(frozen=True)
class ModelEntry:
    """One published model.

    Attributes:
        name: what a person calls it, and `load_predictor` too.
        family: the network and preprocessing, one of `engine.families`.
        file: its file name in the model folder.
        url: where it can be downloaded, https; None if it must be fetched by hand from `source`.
        size: bytes, None if not known.
        pin: the file's hash, None if its authors' file has none that is known.
        licence: of the weights, as an SPDX identifier.
        preprocessing: one line for people.
        input_size: side of the encoder's input in pixels.
        source: page of its authors.
        shipped: whether it comes with this library.
    """

    name: str
    family: str
    file: str
    url: str | None
    size: int | None
    pin: Pin | None
    licence: str
    preprocessing: str
    input_size: int
    source: str
    shipped: bool

    @property
    def downloadable(self) -> bool:
        """Whether it can be downloaded and checked: it has an address and a pinned hash."""
        return self.url is not None and self.pin is not None


@lru_cache(maxsize=1)
def entries() -> tuple[ModelEntry, ...]:
    """All registered models, the shipped one first."""
    path = resource_path("Models", "registry.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    return tuple(
        ModelEntry(**{**fields, "pin": Pin(**fields["pin"]) if fields["pin"] else None})
        for fields in content["models"]
    )


def entry(name: str) -> ModelEntry:
    """The entry of that name.

    Raises:
        InputError: no model has that name.
    """
    for candidate in entries():
        if candidate.name == name:
            return candidate
    known = ", ".join(candidate.name for candidate in entries())
    msg = f"No model is called {name!r}; known are {known}, or give the path of a file"
    raise InputError(msg)


def model_folder(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """The folder for downloaded models; it need not exist yet.

    It is what the environment variable MEDSAGA_MODELS says, else a folder in the person's cache.
    """
    if environment.get(FOLDER_VARIABLE):
        return Path(environment[FOLDER_VARIABLE]).expanduser()
    home = Path.home()
    if platform == "win32":
        cache = Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif platform == "darwin":
        cache = home / "Library" / "Caches"
    else:
        cache = Path(environment.get("XDG_CACHE_HOME") or home / ".cache")
    return cache / "MedSAGaSlicer" / "Models"


def path_of(wanted: ModelEntry, folder: Path | None = None) -> Path:
    """Where the model's file lies or would lie; `folder` is by default `model_folder()`.

    Raises:
        InputError: the entry's file name would leave the folder.
    """
    if Path(wanted.file).name != wanted.file or wanted.file in ("", ".", ".."):
        msg = f"The model {wanted.name!r} has the file {wanted.file!r}; it must be a plain name"
        raise InputError(msg)
    if wanted.shipped:
        return resource_path("Models") / wanted.file
    return (folder or model_folder()) / wanted.file


def installed(wanted: ModelEntry, folder: Path | None = None) -> Path | None:
    """The model's file if it is on this machine, otherwise None."""
    path = path_of(wanted, folder)
    return path if path.is_file() else None


def present(wanted: ModelEntry, folder: Path | None = None) -> Path:
    """The model's file.

    Raises:
        InputError: it is not on this machine yet; says how to get it.
    """
    path = installed(wanted, folder)
    if path is not None:
        return path
    remedy = (
        "download it first; `medsaga models` lists what is there"
        if wanted.downloadable
        else f"get it from {wanted.source} and put it there"
    )
    msg = f"The model {wanted.name} is not on this machine ({path_of(wanted, folder)}): {remedy}"
    raise InputError(msg)


def identify(path: Path) -> ModelEntry | None:
    """The entry whose pinned hash the file has, whatever it is called; None if there is none."""
    size = path.stat().st_size
    digests: dict[str, str] = {}
    for candidate in entries():
        pin = candidate.pin
        if pin is None or (candidate.size is not None and candidate.size != size):
            continue
        if pin.algorithm not in digests:
            digests[pin.algorithm] = digest(path, pin.algorithm)
        if digests[pin.algorithm] == pin.digest:
            return candidate
    return None


def digest(path: Path, algorithm: str) -> str:
    """Hash of a file in lower-case hex; `algorithm` as in `hashlib`."""
    state = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()
