"""Every third-party package that the library imports is asked for in pyproject.toml."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DISTRIBUTION = {
    "cv2": "opencv-python-headless",
    "galore_torch": "galore-torch",
    "PIL": "pillow",
    "segment_anything": "segment-anything",
    "slicer": "slicer-core",
    "vtkmodules": "vtk",
}
FROM_THE_APPLICATION = {"ctk", "qt", "slicer", "vtk", "vtkmodules", "PyTorchUtils", "SampleData"}


def test_the_library_imports_only_declared_packages(
    checkout: Path, project: dict[str, Any]
) -> None:
    extras = project["optional-dependencies"]
    declared = _names(
        [*project["dependencies"], *extras["dask"], *extras["galore"], *extras["openvino"]]
    )
    library = checkout / "MedSAGaSlicer" / "MedSAGaSlicerLib"
    undeclared = {
        f"{path.relative_to(library)}: {package}"
        for path in library.rglob("*.py")
        for package in _imports(path)
        if package not in {"MedSAGaSlicerLib", *sys.stdlib_module_names, *FROM_THE_APPLICATION}
        and DISTRIBUTION.get(package, package).lower() not in declared
    }
    assert not undeclared


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~\[; ]", line, maxsplit=1)[0].lower() for line in requirements}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]
