from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from MedSAGaSlicerLib.engine import sam_modules
from MedSAGaSlicerLib.errors import DependencyError

PROBE = """
import sys
sys.path.insert(0, sys.argv[1])
from MedSAGaSlicerLib.engine.sam_modules import PromptEncoder
print(PromptEncoder.__name__, *sorted({"torchvision", "segment_anything"} & set(sys.modules)))
"""


def test_the_modules_come_without_torchvision_and_leave_the_package_alone(checkout: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(checkout / "MedSAGaSlicer")],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["PromptEncoder"]


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, sam_modules._NAME)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="pip install segment-anything"):
        sam_modules._load_modeling()
