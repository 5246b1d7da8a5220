"""What is offered in Slicer's module Sample Data."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import slicer

from MedSAGaSlicerLib.gui.sample_data import NAME, SHA256


class OlderLogic:
    """As in Slicer 5.10: a category is there with its first source."""

    sources: list[dict[str, Any]]
    categories: list[tuple[str, str]]

    @classmethod
    def registerCustomSampleDataSource(cls, **source: Any) -> None:
        cls.sources.append(source)


class Logic(OlderLogic):
    """As since Slicer 5.12."""

    @classmethod
    def registerCustomSampleDataCategory(cls, name: str, title: str) -> None:
        cls.categories.append((name, title))


@pytest.mark.parametrize("kind", [OlderLogic, Logic])
def test_a_volume_is_offered_once_slicer_has_started(
    kind: type[OlderLogic], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind.sources, kind.categories = [], []
    module = ModuleType("SampleData")
    monkeypatch.setattr(module, "SampleDataLogic", kind, raising=False)
    monkeypatch.setitem(sys.modules, "SampleData", module)
    slicer.app.startupCompleted.emit()
    # Modules of other tests may still listen.
    source = kind.sources[-1]
    assert source["category"] == "MedSAGaSlicer"
    assert set(kind.categories) == ({("MedSAGaSlicer",) * 2} if kind is Logic else set())
    assert source["uris"].startswith("https://")
    assert source["uris"].endswith(SHA256)
    assert source["checksums"] == f"SHA256:{SHA256}"
    assert re.fullmatch("[0-9a-f]{64}", SHA256)
    assert Path(source["thumbnailFileName"]).is_file()
    assert source["nodeNames"] == NAME
