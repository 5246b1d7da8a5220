"""What the module's CMakeLists.txt does not name, or a wheel does not pack, is not installed."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def module_folder(checkout: Path) -> Path:
    return checkout / "MedSAGaSlicer"


def test_cmake_names_every_script_of_the_module(module_folder: Path) -> None:
    present = ["MedSAGaSlicer.py", *_relative(module_folder, "MedSAGaSlicerLib/**/*.py")]
    _compare(_cmake_list(module_folder, "MODULE_PYTHON_SCRIPTS"), present)


def test_cmake_names_every_resource_of_the_module(module_folder: Path) -> None:
    present = _relative(module_folder, "Resources/**/*")
    _compare(_cmake_list(module_folder, "MODULE_PYTHON_RESOURCES"), present)


def test_only_the_module_file_lies_where_slicer_looks_for_modules(module_folder: Path) -> None:
    assert [path.name for path in module_folder.glob("*.py")] == ["MedSAGaSlicer.py"]


@pytest.fixture(scope="module")
def wheel_folder(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout, unpacked; built from a copy, for building leaves files about."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE.txt"):
        shutil.copy(checkout / name, source)
    shutil.copytree(
        checkout / "MedSAGaSlicer",
        source / "MedSAGaSlicer",
        ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", ".*"),
    )
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(source), "."]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    target = tmp_path_factory.mktemp("site-packages")
    (wheel,) = source.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def test_a_wheel_carries_the_whole_library(wheel_folder: Path, module_folder: Path) -> None:
    pattern = "MedSAGaSlicerLib/**/*.py"
    _compare(_relative(wheel_folder, pattern), _relative(module_folder, pattern))
    assert (wheel_folder / "MedSAGaSlicerLib/py.typed").is_file()


def test_an_installed_wheel_finds_every_model_resource(
    wheel_folder: Path, module_folder: Path
) -> None:
    models = _relative(module_folder / "Resources", "Models/*")
    assert models
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from MedSAGaSlicerLib.engine.resources import resource_path\n"
        "for name in sys.argv[2:]: print(resource_path(*name.split('/')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(wheel_folder), *models],
        capture_output=True,
        text=True,
        check=True,
    )
    found = [Path(line) for line in done.stdout.splitlines()]
    assert [path.relative_to(wheel_folder.resolve()).as_posix() for path in found] == [
        f"MedSAGaSlicerLib/Resources/{name}" for name in models
    ]
    assert all(path.is_file() for path in found)


def test_slicers_requirements_agree_with_the_package(
    checkout: Path, project: dict[str, Any]
) -> None:
    brought_by_slicer = {"numpy", "pillow", "scipy", "SimpleITK"}
    through_the_pytorch_extension = {"torch"}
    for_the_command_line_alone = {"monai"}
    lines = (checkout / "MedSAGaSlicer/Resources/requirements.txt").read_text(encoding="utf-8")
    listed = [line for line in lines.splitlines() if line and not line.startswith("#")]
    elsewhere = brought_by_slicer | through_the_pytorch_extension | for_the_command_line_alone
    needed = [line for line in project["dependencies"] if _name(line) not in elsewhere]
    assert sorted(listed) == sorted(needed)
    assert elsewhere <= {_name(line) for line in project["dependencies"]}


def _name(requirement: str) -> str:
    return re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0]


def _relative(folder: Path, pattern: str) -> list[str]:
    files = (path for path in folder.glob(pattern) if path.is_file())
    names = (path.relative_to(folder).as_posix() for path in files)
    return sorted(name for name in names if not re.search(r"(^|/)(\.|__pycache__)", name))


def _cmake_list(module_folder: Path, variable: str) -> list[str]:
    text = (module_folder / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(rf"set\({variable}\s+([^)]*)\)", text)
    assert found, f"CMakeLists.txt sets no {variable}"
    return found[1].split()


def _compare(listed: list[str], present: list[str]) -> None:
    missing = sorted(set(present) - set(listed))
    gone = sorted(set(listed) - set(present))
    assert not missing, "add these lines to the list:\n  " + "\n  ".join(missing)
    assert not gone, "remove these lines from the list, there is no such file:\n  " + "\n  ".join(
        gone
    )
    assert len(listed) == len(set(listed)), "a file is named twice"
