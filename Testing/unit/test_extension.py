"""What the Extensions Index and the Extensions Manager want to know, in agreement with itself."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def cmake(checkout: Path) -> dict[str, str]:
    """The values that the top CMakeLists.txt sets on one line each, and the project's name."""
    text = (checkout / "CMakeLists.txt").read_text(encoding="utf-8")
    values = dict(re.findall(r'^set\((EXTENSION_\w+) "([^"\n]*)"\)$', text, re.MULTILINE))
    (values["project"],) = re.findall(r"^project\((\w+)\)$", text, re.MULTILINE)
    return values


@pytest.fixture(scope="module")
def entry(checkout: Path, cmake: dict[str, str]) -> dict[str, Any]:
    """The entry of the Extensions Index; its file is named after the project."""
    path = checkout / "Resources" / f"{cmake['project']}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_index_entry_has_what_its_schema_asks_for_and_nothing_else(
    entry: dict[str, Any],
) -> None:
    required = {"$schema", "category", "scm_url"}
    optional = {"build_dependencies", "build_subdirectory", "scm_revision", "tier", "enabled"}
    assert required <= set(entry) <= required | optional
    assert entry["tier"] in range(1, 6)
    assert entry["scm_url"].startswith("https://")
    # The Index wants the repository's name to begin with Slicer.
    assert re.search(r"/Slicer\w+\.git$", entry["scm_url"])


def test_the_index_entry_and_cmake_say_the_same(
    entry: dict[str, Any], cmake: dict[str, str]
) -> None:
    assert entry["category"] == cmake["EXTENSION_CATEGORY"]
    assert entry["build_dependencies"] == cmake["EXTENSION_DEPENDS"].split()
    assert not cmake["project"].startswith("Slicer")


def test_icon_and_screenshots_are_in_the_checkout(checkout: Path, cmake: dict[str, str]) -> None:
    urls = [cmake["EXTENSION_ICONURL"], *cmake["EXTENSION_SCREENSHOTURLS"].split()]
    assert len(urls) >= 2
    for url in urls:
        path = checkout / "Resources" / url.partition("/Resources/")[2]
        assert path.read_bytes().startswith(b"\x89PNG"), url


def test_pictures_of_the_readme_are_in_the_checkout(checkout: Path) -> None:
    text = (checkout / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert named
    assert not [name for name in named if not (checkout / name).is_file()]


def test_the_repository_is_well_below_what_the_index_takes(checkout: Path) -> None:
    command = ["git", "-C", str(checkout), "count-objects", "-v"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("no git repository here")
    sizes = dict(line.split(": ") for line in done.stdout.splitlines())
    assert (int(sizes["size"]) + int(sizes["size-pack"])) / 1024 < 80
