"""The library of earlier scenes' examples: listed, deletable, and never anything else."""

import os
import stat
from pathlib import Path

import pytest
from lessons import discs

from MedSAGaSlicerLib.engine.example_library import ExampleLibrary, default_library
from MedSAGaSlicerLib.errors import InputError


@pytest.fixture
def library(tmp_path: Path) -> ExampleLibrary:
    return ExampleLibrary(tmp_path / "library")


def test_what_was_added_is_listed_and_read(library: ExampleLibrary) -> None:
    assert library.entries() == ()
    name = library.add(discs(4, 1))
    (entry,) = library.entries()
    assert (entry.name, entry.segments, entry.slices, entry.problem) == (name, ("disc",), 4, None)
    assert entry.size > 1000
    assert len(library.read(name).examples) == 4


def test_one_is_deleted_and_then_all(library: ExampleLibrary) -> None:
    names = [library.add(discs(2)) for _ in range(3)]
    size = library.entries()[0].size
    assert library.delete(names[1]) == size
    assert {entry.name for entry in library.entries()} == {names[0], names[2]}
    assert library.delete_all() == 2 * size
    assert library.entries() == ()
    assert list(library.folder.iterdir()) == []


def test_deleting_all_spares_what_is_no_example(library: ExampleLibrary) -> None:
    library.add(discs(2))
    (library.folder / "thesis").mkdir()
    (library.folder / "notes.txt").write_text("x")
    library.delete_all()
    assert {path.name for path in library.folder.iterdir()} == {"thesis", "notes.txt"}


def test_damaged_examples_are_listed_with_the_reason_and_can_be_deleted(
    library: ExampleLibrary,
) -> None:
    name = library.add(discs(2))
    (library.folder / name / "examples.json").write_text("{")
    (entry,) = library.entries()
    assert entry.problem is not None
    assert "examples.json is damaged" in entry.problem
    library.delete(name)
    assert library.entries() == ()


@pytest.mark.parametrize("name", ["..", "../library", "", "thesis", "20260101-000000-00000000"])
def test_a_name_cannot_leave_the_folder(library: ExampleLibrary, name: str) -> None:
    library.add(discs(2))
    (library.folder / "thesis").mkdir()
    for action in (library.read, library.delete):
        with pytest.raises(InputError, match="no examples"):
            action(name)
    assert library.folder.is_dir()


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_nobody_else_may_read_it(library: ExampleLibrary) -> None:
    name = library.add(discs(2))
    for folder in (library.folder, library.folder / name):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_it_lies_among_the_persons_own_data() -> None:
    chosen = default_library({"MEDSAGA_EXAMPLES": "/data/mine"}, "linux")
    assert chosen == Path("/data/mine")
    assert default_library({"XDG_DATA_HOME": "/own"}, "linux") == Path(
        "/own/MedSAGaSlicer/Examples"
    )
    assert "Application Support" in str(default_library({}, "darwin"))
    assert default_library({"LOCALAPPDATA": "/local"}, "win32").parts[-2:] == (
        "MedSAGaSlicer",
        "Examples",
    )


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="Cannot make the folder"):
        ExampleLibrary(tmp_path / "file" / "library").add(discs(1))
