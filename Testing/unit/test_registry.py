from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from MedSAGaSlicerLib.engine import registry
from MedSAGaSlicerLib.engine.families import FAMILIES, build
from MedSAGaSlicerLib.engine.registry import Pin, entries, entry, identify, installed, model_folder
from MedSAGaSlicerLib.errors import InputError


def test_every_family_has_an_entry_that_says_its_input_size() -> None:
    assert [model.family for model in entries()] == list(FAMILIES)
    for model in entries():
        assert model.input_size == build(model.family, "meta").input_size


def test_what_can_be_downloaded_is_https_and_pinned() -> None:
    digits = {"sha256": 64, "md5": 32}
    for model in entries():
        assert model.licence == "Apache-2.0"
        if model.url is None:
            assert not model.downloadable
            continue
        assert model.downloadable
        assert model.url.startswith("https://")
        assert model.pin is not None
        assert re.fullmatch(rf"[0-9a-f]{{{digits[model.pin.algorithm]}}}", model.pin.digest)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="'sam_vit_x'; known are starter, sam_vit_b"):
        entry("sam_vit_x")


def test_the_model_folder_follows_the_environment_then_the_platform() -> None:
    home = Path.home()
    assert model_folder({"MEDSAGA_MODELS": "/models"}, "linux") == Path("/models")
    assert model_folder({}, "linux") == home / ".cache/MedSAGaSlicer/Models"
    assert model_folder({"XDG_CACHE_HOME": "/c"}, "linux") == Path("/c/MedSAGaSlicer/Models")
    assert model_folder({}, "darwin") == home / "Library/Caches/MedSAGaSlicer/Models"
    assert model_folder({"LOCALAPPDATA": "/l"}, "win32") == Path("/l/MedSAGaSlicer/Models")


def test_a_model_is_installed_once_its_file_is_in_the_folder(tmp_path: Path) -> None:
    model = entry("lite_medsam")
    assert installed(model, tmp_path) is None

    (tmp_path / "lite_medsam.pth").write_bytes(b"weights")

    assert installed(model, tmp_path) == tmp_path / "lite_medsam.pth"


def test_a_file_is_identified_by_its_hash_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "renamed.bin"
    file.write_bytes(b"weights")
    pin = Pin("md5", hashlib.md5(b"weights", usedforsecurity=False).hexdigest())
    known = replace(entry("medsam_vit_b"), size=7, pin=pin)
    monkeypatch.setattr(registry, "entries", lambda: (entry_b, known))
    assert identify(file) == known

    file.write_bytes(b"weighty")
    assert identify(file) is None


entry_b = entry("sam_vit_b")
