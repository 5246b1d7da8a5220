"""Importing the library must stay cheap: Slicer does it while the person waits."""

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT_TORCH = [
    "MedSAGaSlicerLib",
    "MedSAGaSlicerLib.cli",
    "MedSAGaSlicerLib.errors",
    "MedSAGaSlicerLib.engine.downloads",
    "MedSAGaSlicerLib.engine.files",
    "MedSAGaSlicerLib.engine.geometry",
    "MedSAGaSlicerLib.engine.images",
    "MedSAGaSlicerLib.engine.intensity",
    "MedSAGaSlicerLib.engine.prompt_file",
    "MedSAGaSlicerLib.engine.prompts",
    "MedSAGaSlicerLib.engine.registry",
    "MedSAGaSlicerLib.engine.resources",
    "MedSAGaSlicerLib.gui.overview",
    "MedSAGaSlicerLib.scene",
    "MedSAGaSlicerLib.worker.client",
    "MedSAGaSlicerLib.worker.protocol",
    "MedSAGaSlicerLib.worker.teach_client",
]
HEAVY = ["torch", "safetensors", "segment_anything", "slicer", "vtk", "qt", "PySide6"]

PROBE = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
importlib.import_module(sys.argv[2])
print(*sorted(set(sys.argv[3].split(",")) & set(sys.modules)))
"""


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_a_light_module_leaves_torch_and_slicer_unimported(module: str, checkout: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(checkout / "MedSAGaSlicer"), module, ",".join(HEAVY)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_the_package_itself_imports_nothing(checkout: Path) -> None:
    source = (checkout / "MedSAGaSlicer/MedSAGaSlicerLib/__init__.py").read_text(encoding="utf-8")
    assert "import " not in source


def test_no_file_is_longer_than_can_be_overlooked(checkout: Path) -> None:
    found = [
        path for part in ("MedSAGaSlicer", "Testing") for path in (checkout / part).rglob("*.py")
    ]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in found}
    assert not {str(path): length for path, length in lengths.items() if length > 300}
