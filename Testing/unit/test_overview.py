"""What the panel says is there."""

from importlib import metadata
from pathlib import Path

import pytest

from MedSAGaSlicerLib.engine import registry
from MedSAGaSlicerLib.gui import overview


def test_a_downloaded_model_is_shown_as_present(tmp_path: Path) -> None:
    name = "sam_vit_b"
    before = _presence(name)
    folder = registry.model_folder()
    folder.mkdir(parents=True)
    (folder / registry.entry(name).file).touch()
    assert (before, _presence(name)) == ("↓ 375 MB", "present")


def test_a_model_that_nobody_may_hand_out_asks_for_a_local_file() -> None:
    assert _presence("lite_medsam") == "local file"


def test_an_absent_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    distribution = metadata.distribution

    def without_torch(name: str) -> metadata.Distribution:
        if name == "torch":
            raise metadata.PackageNotFoundError(name)
        return distribution(name)

    monkeypatch.setattr(metadata, "distribution", without_torch)
    assert overview.missing_packages() == ("torch",)


def _presence(name: str) -> str:
    return {row[0]: row[1] for row in overview.model_rows()}[name]
