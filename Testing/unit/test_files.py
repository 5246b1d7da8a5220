"""Outputs appear whole or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from MedSAGaSlicerLib.engine.files import atomic_path, check_writable
from MedSAGaSlicerLib.engine.resources import resource_path
from MedSAGaSlicerLib.errors import InputError


class StoppedError(Exception):
    """Stands for whatever ends a run half-way."""


def test_a_finished_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "mask.seg.nrrd"
    target.write_text("old")
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["mask.seg.nrrd"]


def test_the_temporary_name_keeps_the_suffixes_that_writers_look_at(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "mask.seg.nrrd") as temporary:
        assert temporary.name.endswith(".seg.nrrd")
        assert temporary.parent == tmp_path
        temporary.touch()


def test_a_failed_run_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")

    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("ha")
            raise StoppedError

    with pytest.raises(StoppedError):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_finished_folder_takes_the_place_of_a_filled_one(tmp_path: Path) -> None:
    target = tmp_path / "adapter"
    target.mkdir()
    (target / "old.txt").touch()
    with atomic_path(target) as temporary:
        temporary.mkdir()
        (temporary / "new.txt").touch()
    assert [path.name for path in target.iterdir()] == ["new.txt"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    def write_half() -> None:
        with atomic_path(tmp_path / "adapter") as temporary:
            temporary.mkdir()
            (temporary / "half.txt").touch()
            raise StoppedError

    with pytest.raises(StoppedError):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_no_file_of_the_wanted_name(tmp_path: Path) -> None:
    target = tmp_path / "mask.nrrd"
    code = (
        "import sys, time\n"
        "from MedSAGaSlicerLib.engine.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_bytes(b'half')\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(600)\n"
    )
    module_folder = Path(sys.modules[atomic_path.__module__].__file__ or "").parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(target)],
        env={"PYTHONPATH": str(module_folder)},
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        process.kill()
    assert not target.exists()


def test_a_missing_folder_is_named_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere does not exist.*Create the folder"):
        check_writable(tmp_path / "nowhere" / "mask.nrrd")


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is not a folder"):
        check_writable(tmp_path / "file" / "mask.nrrd")


def test_a_resource_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"Models/nothing\.json is missing"):
        resource_path("Models", "nothing.json")
