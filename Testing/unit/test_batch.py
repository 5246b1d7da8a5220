"""What a batch tells at its end, and how its single volumes are carried out."""

import errno
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from MedSAGaSlicerLib.engine.batch import (
    Order,
    Outcome,
    carry_out,
    check_names,
    make_folder,
    output_for,
    refuse_failures,
    run_here,
    table,
)
from MedSAGaSlicerLib.engine.dask_batch import run_on_cluster
from MedSAGaSlicerLib.errors import CheckpointError, DependencyError, InputError, MedSAGaError


@dataclass(frozen=True)
class Copy(Order):
    """Writes a file, or fails as it is told."""

    error: Exception | None = None
    setting: int = 0

    def settings(self) -> dict[str, Any]:
        return {"setting": self.setting}

    def work(self, progress: Any) -> dict[str, Any]:
        progress(0, 1, "copying")
        if self.error is not None:
            raise self.error
        self.output.write_text("segmentation")
        return {"voxels": {"tumour": 7}}


def orders(folder: Path, *errors: Exception | None) -> list[Copy]:
    made = []
    for number, error in enumerate(errors):
        volume = folder / f"v{number}.nrrd"
        volume.write_text("image")
        made.append(Copy(volume, output_for(volume, folder), error))
    return made


def test_what_is_done_is_present_until_image_or_settings_change(tmp_path: Path) -> None:
    (order,) = orders(tmp_path, None)
    assert carry_out(order).status == "done"
    again = carry_out(order)
    assert (again.status, again.facts) == ("present", {"voxels": {"tumour": 7}})
    assert carry_out(Copy(order.volume, order.output, setting=1)).status == "done"
    assert carry_out(order).status == "done"
    order.volume.write_text("another image")
    assert carry_out(order).status == "done"
    order.report.write_text("{")
    assert carry_out(order).status == "done"
    order.output.unlink()
    assert carry_out(order).status == "done"


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (InputError("bad"), "input"),
        (CheckpointError("bad"), "model"),
        (DependencyError("bad"), "package"),
        (OSError(errno.ENOSPC, "full"), "disk"),
        (OSError(errno.EIO, "bad"), "other"),
        (RuntimeError("CUDA out of memory"), "other"),
        (MemoryError(), "other"),
    ],
)
def test_whatever_goes_wrong_is_an_outcome(tmp_path: Path, error: Exception, fault: str) -> None:
    outcome = carry_out(orders(tmp_path, error)[0])
    assert (outcome.status, outcome.fault) == ("failed", fault)
    assert outcome.message


def test_the_rest_goes_on_unless_it_would_fail_as_well(tmp_path: Path) -> None:
    def statuses(*errors: Exception | None) -> list[str]:
        for path in tmp_path.iterdir():
            path.unlink()
        return [outcome.status for outcome in run_here(orders(tmp_path, *errors))]

    assert statuses(None, InputError("bad"), None) == ["done", "failed", "done"]
    assert statuses(None, RuntimeError("bad"), None) == ["done", "failed", "done"]
    full = OSError(errno.ENOSPC, "full")
    assert statuses(None, full, None, None) == ["done", "failed", "left", "left"]
    assert statuses(CheckpointError("bad"), None) == ["failed", "left"]


def test_progress_says_which_of_how_many(tmp_path: Path) -> None:
    told: list[str] = []
    list(run_here(orders(tmp_path, None, None), lambda *step: told.append(step[2])))
    assert told == ["v0 (1 of 2), copying", "v1 (2 of 2), copying"]


@pytest.mark.parametrize(
    ("faults", "kind"),
    [
        (("input",), InputError),
        (("input", "input"), InputError),
        (("input", "other"), MedSAGaError),
        (("disk",), MedSAGaError),
        (("input", "model"), CheckpointError),
        (("package",), DependencyError),
    ],
)
def test_the_end_is_the_fault_of_what_failed(faults: tuple[str, ...], kind: type) -> None:
    failed = [Outcome(f"v{n}", "failed", 1.0, {}, "bad", fault) for n, fault in enumerate(faults)]
    with pytest.raises(kind) as raised:
        refuse_failures([*failed, Outcome("good", "done"), Outcome("rest", "left")])
    assert type(raised.value) is kind
    assert f"{len(failed)} of {len(failed) + 2} volumes failed, and 1 not begun" in str(
        raised.value
    )


def test_a_single_volume_fails_with_its_own_words() -> None:
    with pytest.raises(InputError, match=r"^It is empty\.$"):
        refuse_failures([Outcome("v", "failed", 0.0, {}, "It is empty.", "input")])
    refuse_failures([Outcome("v", "done")])


def test_the_table_has_a_line_for_each_volume() -> None:
    outcomes = [
        Outcome("anna", "done", 3.21, {"voxels": {"liver": 12, "spleen": 3}}),
        Outcome("ben", "failed", 0.5, {}, "It is cut off."),
        Outcome("c", "left"),
    ]
    assert table(outcomes) == [
        "anna  done         3.2 s  liver: 12 voxels, spleen: 3 voxels",
        "ben   failed       0.5 s  It is cut off.",
        "c     left",
    ]
    assert table([]) == []


def test_folders_are_made_and_names_are_checked(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Cannot make the folder"):
        make_folder(tmp_path / "file" / "b")
    with pytest.raises(InputError, match="2 volumes are called 'a'"):
        check_names([Path("x/a.nii"), Path("y/a.nrrd")])


def test_without_the_package_a_cluster_is_out_of_reach(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(DependencyError, match="needs the package distributed"):
        list(run_on_cluster("tcp://nowhere:1", orders(tmp_path, None)))
