"""`medsaga finish`, and `segment` on several volumes: batches of made volumes, a tiny model."""

import errno
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from lessons import disc, slice_with, tiny_predictor
from made_images import save_image
from many_volumes import NAMES, masks, run, write_case

from MedSAGaSlicerLib.engine import segment_orders
from MedSAGaSlicerLib.engine.finishing import orders
from MedSAGaSlicerLib.engine.teaching import adapters


@pytest.fixture(autouse=True)
def base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "load_predictor", lambda *_: tiny_predictor())
    orders.loaded.cache_clear()
    segment_orders.loaded.cache_clear()


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taught")
    for number, name in enumerate(NAMES):
        write_case(folder, name, number)
    given = ["--images", folder / "images", "--labels", folder / "labels", "--label", 3]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapters, "load_predictor", lambda *_: tiny_predictor())
        more = ["--shots", 9, "--empty", 2, "--steps", 40, "--output", folder / "adapter"]
        assert run("teach", *given, *more) == 0
    return folder / "adapter"


@pytest.fixture
def volumes(tmp_path: Path) -> list[Path]:
    return [write_case(tmp_path, name, number + 1) for number, name in enumerate(NAMES)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


def labels(path: Path) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def report(folder: Path, name: str) -> dict:
    return json.loads((folder / f"{name}.seg.json").read_text())


class TestFinish:
    def test_each_volume_gets_its_segmentation_and_a_report(
        self, taught: Path, volumes: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output = tmp_path / "results"
        assert run("finish", *volumes, "--adapter", taught, "--output", output) == 0
        names = sorted(path.name for path in output.iterdir())
        assert names == sorted([f"{n}.seg.json" for n in NAMES] + [f"{n}.seg.nrrd" for n in NAMES])
        assert labels(output / "anna.seg.nrrd").shape == (6, 40, 48)
        told = capsys.readouterr().out
        assert all(f"{name}: least sure on the slices k " in told for name in NAMES)
        facts = report(output, "ben")["facts"]
        assert facts["segments"] == ["label 3"]
        assert [entry["index"] for entry in facts["slices"]] == list(range(6))
        assert all(0 <= entry["uncertainty"] <= 1 for entry in facts["slices"])
        assert len(set(facts["next"])) == 5
        assert facts["voxels"]["label 3"] == (labels(output / "ben.seg.nrrd") == 1).sum()

    def test_the_same_command_again_does_only_what_is_missing(
        self, taught: Path, volumes: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output = tmp_path / "results"
        given = ["--adapter", taught, "--output", output, "--json"]
        assert run("finish", *volumes[:1], *given) == 0
        before = (output / "anna.seg.nrrd").stat().st_mtime_ns
        (output / "ben.seg.nrrd").write_bytes(b"of somebody else")
        capsys.readouterr()
        assert run("finish", *volumes, *given) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        status = {line["name"]: line["status"] for line in lines if line["event"] == "volume"}
        assert status == {"anna": "present", "ben": "done", "cleo": "done"}
        assert lines[-1]["event"] == "finished"
        assert (lines[-1]["done"], lines[-1]["present"]) == (2, 1)
        assert (output / "anna.seg.nrrd").stat().st_mtime_ns == before

    def test_other_settings_or_another_image_are_other_work(
        self, taught: Path, volumes: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output = tmp_path / "results"
        given = ["finish", volumes[0], "--adapter", taught, "--output", output]
        assert run(*given) == 0
        assert run(*given, "--no-smooth") == 0
        assert "present" not in capsys.readouterr().out
        write_case(tmp_path, "anna", 3)
        assert run(*given, "--no-smooth") == 0
        assert "present" not in capsys.readouterr().out
        assert run(*given, "--no-smooth") == 0
        assert "present" in capsys.readouterr().out

    def test_one_unreadable_volume_does_not_stop_the_rest(
        self, taught: Path, volumes: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output = tmp_path / "results"
        volumes[1].write_bytes(volumes[1].read_bytes()[:-900])
        missing = tmp_path / "images" / "dora.nii.gz"
        more = ["--adapter", taught, "--output", output]
        assert run("finish", *volumes, missing, *more) == 2
        told = capsys.readouterr()
        rows = {line.split()[0]: line.split()[1] for line in told.out.splitlines()[-5:-1]}
        assert rows == {"anna": "done", "ben": "failed", "cleo": "done", "dora": "failed"}
        assert "2 of 4 volumes failed: ben, dora" in told.err
        assert told.err.count("\n") == 1
        assert sorted(path.name for path in output.glob("*.seg.nrrd")) == [
            "anna.seg.nrrd",
            "cleo.seg.nrrd",
        ]

    def test_a_full_disk_leaves_no_half_file_and_the_rest_is_not_begun(
        self,
        taught: Path,
        volumes: list[Path],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        output = tmp_path / "results"
        given = ["finish", *volumes, "--adapter", taught, "--output", output]
        write = orders.write_label_map

        def write_once(path: Path, *rest: object) -> None:
            if path.name.startswith("ben"):
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            write(path, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(orders, "write_label_map", write_once)
            assert run(*given) == 1
        told = capsys.readouterr()
        assert "No space left" in told.err
        assert "1 not begun" in told.err
        assert sorted(path.name for path in output.iterdir()) == ["anna.seg.json", "anna.seg.nrrd"]
        assert run(*given) == 0
        assert len(list(output.glob("*.seg.nrrd"))) == 3

    def test_an_adapter_of_another_base_is_refused_before_any_work(
        self,
        taught: Path,
        volumes: list[Path],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(adapters, "load_predictor", lambda *_: tiny_predictor(1))
        given = ["--adapter", taught, "--output", tmp_path / "results"]
        assert run("finish", *volumes, *given) == 2
        told = capsys.readouterr().err
        assert "other weights" in told
        assert "2 not begun" in told
        assert not list((tmp_path / "results").iterdir())

    def test_what_is_no_adapter_is_refused(
        self, volumes: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        given = ["--adapter", tmp_path, "--output", tmp_path / "results"]
        assert run("finish", *volumes, *given) == 2
        assert "no taught model" in capsys.readouterr().err
        assert not (tmp_path / "results").exists()

    def test_two_volumes_of_one_name_are_refused(
        self, taught: Path, volumes: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        twin = tmp_path / "anna.nii.gz"
        shutil.copy(volumes[0], twin)
        given = ["--adapter", taught, "--output", tmp_path / "results"]
        assert run("finish", volumes[0], twin, *given) == 2
        assert "2 volumes are called 'anna'" in capsys.readouterr().err

    def test_a_slice_of_nan_in_the_middle_is_bridged_and_doubted(
        self, taught: Path, tmp_path: Path
    ) -> None:
        image = np.stack([slice_with(mask, n) for n, mask in enumerate(masks(1))])
        image = image.astype(np.float32)
        image[3] = np.nan
        volume = save_image(tmp_path / "hole.nrrd", image, spacing=(0.5, 0.5, 0.5))
        given = ["--adapter", taught, "--output", tmp_path / "results"]
        assert run("finish", volume, *given) == 0
        slices = report(tmp_path / "results", "hole")["facts"]["slices"]
        assert slices[3]["doubts"]["label 3"]["margin"] > 0.9
        found = labels(tmp_path / "results" / "hole.seg.nrrd")
        assert bool(found[3].any()) == bool(found[2].any() and found[4].any())

    def test_pictures_are_finished_as_they_are(self, taught: Path, tmp_path: Path) -> None:
        picture = save_image(tmp_path / "picture.png", slice_with(disc(14, 16, 7), 0))
        given = ["--adapter", taught, "--output", tmp_path / "results", "--flips"]
        assert run("finish", picture, *given) == 0
        doubts = report(tmp_path / "results", "picture")["facts"]["slices"][0]["doubts"]
        assert "flip" in doubts["label 3"]
        assert "step" not in doubts["label 3"]

    def test_another_axis_can_be_asked_for(
        self, taught: Path, volumes: list[Path], tmp_path: Path
    ) -> None:
        given = ["--adapter", taught, "--output", tmp_path / "results", "--axis", "j"]
        assert run("finish", volumes[0], *given) == 0
        facts = report(tmp_path / "results", "anna")["facts"]
        assert (facts["axis"], len(facts["slices"])) == ("j", 40)


class TestCluster:
    def test_a_cluster_does_the_same(
        self,
        cluster: str,
        taught: Path,
        volumes: list[Path],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        given = ["finish", *volumes, "--adapter", taught]
        assert run(*given, "--output", tmp_path / "here") == 0
        assert run(*given, "--output", tmp_path / "there", "--dask", cluster) == 0
        for name in NAMES:
            here, there = (
                (tmp_path / folder / f"{name}.seg.nrrd").read_bytes()
                for folder in ("here", "there")
            )
            assert here == there
        capsys.readouterr()
        assert run(*given, "--output", tmp_path / "there", "--dask", cluster) == 0
        assert capsys.readouterr().out.count("present") == 3

    def test_failures_there_are_told_here(
        self,
        cluster: str,
        taught: Path,
        volumes: list[Path],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        volumes[0].write_bytes(b"no image")
        given = ["--adapter", taught, "--output", tmp_path / "there", "--dask", cluster]
        assert run("finish", *volumes, *given) == 2
        assert "1 of 3 volumes failed: anna" in capsys.readouterr().err
        assert len(list((tmp_path / "there").glob("*.seg.nrrd"))) == 2

    def test_an_adapter_of_another_base_ends_the_batch(
        self,
        cluster: str,
        taught: Path,
        volumes: list[Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(adapters, "load_predictor", lambda *_: tiny_predictor(1))
        given = ["--adapter", taught, "--output", tmp_path / "there", "--dask", cluster]
        assert run("finish", *volumes, *given) == 2
        assert not list((tmp_path / "there").iterdir())

    def test_an_address_where_nobody_answers(
        self, taught: Path, volumes: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pytest.importorskip("distributed", reason="the extra dask is not installed")
        given = ["--adapter", taught, "--output", tmp_path / "there", "--dask", "nonsense://x"]
        assert run("finish", *volumes, *given) == 2
        assert "No Dask scheduler answers" in capsys.readouterr().err
