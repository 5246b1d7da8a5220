"""The command line: exit codes, one clear line for what is wrong, whole files or none."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from brick import run
from region_predictor import RegionPredictor

from MedSAGaSlicerLib import cli
from MedSAGaSlicerLib.errors import CheckpointError, DependencyError

pytestmark = pytest.mark.usefixtures("model")


class TestSegment:
    def test_it_writes_the_segmentation_and_says_where(
        self, brick: Path, prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output = tmp_path / "S.seg.nrrd"
        assert run("segment", brick, "--prompts", prompts, "--output", output) == 0
        image = SimpleITK.ReadImage(str(output))
        assert image.GetSpacing() == pytest.approx((0.5, 0.5, 2.0))
        found = SimpleITK.GetArrayFromImage(image)
        assert found.sum(axis=(1, 2)).tolist() == [0, 0, 36, 36, 0, 0]
        assert capsys.readouterr().out == f"brick: 72 voxels\nWritten: {output}\n"

    def test_a_program_reads_one_json_object_a_line(
        self, brick: Path, prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output = tmp_path / "S.seg.nrrd"
        assert run("segment", brick, "--prompts", prompts, "--output", output, "--json") == 0
        events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [event["event"] for event in events] == ["progress"] * 3 + ["finished"]
        assert [event["done"] for event in events[:3]] == [0, 1, 2]
        assert events[-1] == {
            "event": "finished",
            "output": str(output),
            "voxels": {"brick": 72},
        }

    def test_a_frame_of_a_4d_image_is_segmented(self, prompts: Path, tmp_path: Path) -> None:
        frames = [np.full((6, 10, 12), 10, np.int16) for _ in range(2)]
        frames[1][1:5, 2:8, 3:9] = 500
        movie = SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(frame) for frame in frames])
        SimpleITK.WriteImage(movie, str(tmp_path / "movie.nrrd"))
        output = tmp_path / "S.seg.nrrd"
        given = ("segment", tmp_path / "movie.nrrd", "--prompts", prompts, "--output", output)
        assert run(*given) == 2
        assert run(*given, "--frame", 1) == 0
        assert SimpleITK.ReadImage(str(output)).GetSize() == (12, 10, 6)

    def test_bad_input_ends_with_2_and_one_line_and_no_file(
        self,
        brick: Path,
        prompts: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        model: RegionPredictor,
    ) -> None:
        outside = tmp_path / "outside.json"
        outside.write_text(prompts.read_text().replace('"index": 3', '"index": 6'))
        text = tmp_path / "text.nii.gz"
        text.write_text("hello")
        output = tmp_path / "S.seg.nrrd"
        before = set(tmp_path.iterdir())
        for volume, given, target, said in [
            (tmp_path / "none.nii", prompts, output, "no file or folder"),
            (text, prompts, output, "Cannot read"),
            (tmp_path, prompts, output, "no DICOM image series"),
            (brick, tmp_path / "none.json", output, "Cannot read the prompt file"),
            (brick, brick, output, "not valid JSON"),
            (brick, outside, output, "last index"),
            (brick, prompts, tmp_path / "S.nii.gz", "must end in .seg.nrrd"),
            (brick, prompts, tmp_path / "none" / "S.seg.nrrd", "does not exist"),
        ]:
            assert run("segment", volume, "--prompts", given, "--output", target) == 2
            captured = capsys.readouterr()
            assert said in captured.err
            assert captured.err.startswith("medsaga: ")
            assert captured.err.count("\n") == 1
            assert captured.out == ""
        assert set(tmp_path.iterdir()) == before
        assert model.encoded == 0

    def test_a_program_is_told_of_a_failure_too(
        self, brick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        given = ("--prompts", tmp_path / "none.json", "--output", tmp_path / "S.seg.nrrd")
        assert run("segment", brick, *given, "--json") == 2
        event = json.loads(capsys.readouterr().out)
        assert event["event"] == "failed"
        assert "none.json" in event["message"]

    @pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
    def test_a_folder_without_permission_is_refused(
        self, brick: Path, prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # /proc takes no files from anyone, root included.
        target = Path("/proc/S.seg.nrrd")
        if not target.parent.is_dir():
            pytest.skip("no /proc here")
        assert run("segment", brick, "--prompts", prompts, "--output", target) == 2
        assert "Cannot write" in capsys.readouterr().err


class TestExitCodes:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (CheckpointError("bad weights"), 2),
            (DependencyError("no torch"), 3),
            (ModuleNotFoundError("No module named 'torch'", name="torch"), 3),
            (OSError(28, "No space left on device"), 1),
            (KeyboardInterrupt(), 1),
        ],
    )
    def test_each_kind_of_trouble_has_its_own(
        self,
        error: BaseException,
        code: int,
        brick: Path,
        prompts: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def fail(*_: Any) -> None:
            raise error

        monkeypatch.setattr(cli, "_predictor", fail)
        output = tmp_path / "S.seg.nrrd"
        assert run("segment", brick, "--prompts", prompts, "--output", output) == code
        assert capsys.readouterr().err.count("\n") == 1
        assert not output.exists()

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["paint"],
            ["segment"],
            ["segment", "a.nrrd", "--prompts", "P.json", "--output", "S", "--frame", "x"],
            ["segment", "a.nrrd", "--prompts", "P.json", "--output", "S", "--colour"],
            ["evaluate", "--prompts", "scribbles"],
        ],
    )
    def test_a_wrong_call_ends_with_2_and_one_line(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as raised:
            cli.main(arguments)
        assert raised.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1

    def test_what_a_command_needs_is_asked_for(self) -> None:
        for arguments in (["teach"], ["finish"], ["segment", "--propagate"]):
            with pytest.raises(SystemExit) as raised:
                cli.main(arguments)
            assert raised.value.code == 2

    def test_help_is_no_failure(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as raised:
            cli.main(["evaluate", "--help"])
        assert raised.value.code == 0
        assert "--components" in capsys.readouterr().out
