import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brick import run
from made_images import save_image

from MedSAGaSlicerLib.engine import downloads, registry

pytestmark = pytest.mark.usefixtures("model")


@pytest.fixture
def pairs(tmp_path: Path) -> list[str]:
    label = np.zeros((6, 10, 12), np.uint8)
    label[1:5, 2:8, 3:9] = 1
    save_image(tmp_path / "labels" / "a.nrrd", label)
    save_image(tmp_path / "images" / "a.nrrd", label * np.int16(300))
    return ["--images", str(tmp_path / "images"), "--labels", str(tmp_path / "labels")]


class TestEvaluate:
    def test_the_report_has_what_was_asked_and_what_came_out(
        self, pairs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "R.json"
        assert run("evaluate", *pairs, "--label", "1", "--prompts", "clicks", "--report", path) == 0
        report = json.loads(path.read_text())
        assert report["mean_dice"] == report["dice_3d"] == report["mean_nsd"] == 1
        assert report["noc80"] == report["noc90"] == 1
        assert len(report["dice_at"]) == 20
        assert [case["name"] for case in report["cases"]] == ["a"]
        assert report["seconds"] > 0
        assert (report["label"], report["prompts"], report["model"]) == ("1", "clicks", "starter")
        assert "Dice 1.000" in capsys.readouterr().out

    def test_bad_folders_and_labels_end_with_2(
        self, pairs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        good = {"--label": "1", "--prompts": "box", "--report": tmp_path / "R.json"}
        for option, value, said in [
            ("--label", "5", "Values there: 1"),
            ("--label", "liver", "unclear"),
            ("--images", tmp_path / "none", "does not exist"),
            ("--report", tmp_path / "none" / "R.json", "does not exist"),
            ("--report", tmp_path, "is a folder"),
        ]:
            given = dict(zip(pairs[::2], pairs[1::2], strict=True)) | good | {option: value}
            assert run("evaluate", *[part for pair in given.items() for part in pair]) == 2
            assert said in capsys.readouterr().err
        assert not (tmp_path / "R.json").exists()


class TestModels:
    def test_the_table_names_every_model(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("models") == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["NAME", "HERE", "SIZE", "LICENCE", "FROM"]
        assert lines[1].startswith("starter ")
        assert any(line.startswith("sam_vit_b ") and "to download" in line for line in lines)

    def test_a_program_gets_one_list(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("models", "--json") == 0
        rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
        assert rows["sam_vit_b"]["present"] is False
        assert rows["sam_vit_b"]["licence"] == "Apache-2.0"
        assert rows["sam_vit_b"]["url"].startswith("https://")

    def test_a_download_shows_how_far_it_is_and_lands_in_the_folder(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def download(entry: Any, folder: Path, progress: Any) -> Path:
            progress(20_000_000, 41_000_000)
            return folder / entry.file

        monkeypatch.setattr(downloads, "download", download)
        assert run("models", "--download", "mobile_sam", "--json") == 0
        events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert (events[0]["done"], events[0]["total"]) == (20, 41)
        assert events[1]["output"].endswith("mobile_sam.pt")

    def test_a_downloaded_model_is_deleted_on_demand(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = registry.path_of(registry.entry("mobile_sam"))
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(2_000_000))
        assert run("models", "--delete", "mobile_sam") == 0
        assert not path.exists()
        assert "2.0 MB freed" in capsys.readouterr().out

    def test_a_model_that_is_not_known_or_has_no_address_is_refused(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for arguments, said in [
            (("--download", "sam"), "No model is called 'sam'"),
            (("--download", "lite_medsam"), "cannot be downloaded"),
            (("--delete", "starter"), "cannot be deleted"),
        ]:
            assert run("models", *arguments) == 2
            assert said in capsys.readouterr().err


class TestDemo:
    def test_an_own_volume_gives_pictures_and_a_report(
        self, brick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output = tmp_path / "new" / "demo"
        assert run("demo", "--volume", brick, "--output", output) == 0
        assert {path.name for path in output.iterdir()} == {
            "overview.png",
            "prompts.json",
            "report.json",
            "report.md",
            "segmentation.seg.nrrd",
        }
        assert str(output / "overview.png") in capsys.readouterr().out

    def test_an_output_that_is_a_file_is_refused(
        self, brick: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("demo", "--volume", brick, "--output", brick) == 2
        assert "Cannot make the folder" in capsys.readouterr().err


SLOW_RUN = """
import signal
import sys
from region_predictor import RegionPredictor
from MedSAGaSlicerLib import cli
from MedSAGaSlicerLib.engine import downloads, registry

class Slow(RegionPredictor):
    def predict(self, *arguments):
        sys.stdout.write("predicting\\n")
        sys.stdout.flush()
        sys.stdin.read()

cli._predictor = lambda *_: Slow()
# What a shell starts in the background, these tests for instance, is deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_leaves_no_file(
    number: int, brick: Path, prompts: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    given = ("segment", brick, "--prompts", prompts, "--output", output / "S.seg.nrrd")
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_RUN, *given],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "predicting\n"
        process.send_signal(number)
        _, errors = process.communicate()
    assert not list(output.iterdir())
    if number != signal.SIGKILL:
        assert process.returncode == 1
        assert errors.startswith("medsaga: Stopped.")
        assert errors.count("\n") == 1
