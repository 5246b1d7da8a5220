"""`medsaga teach` and `evaluate --adapter`: a small model taught from files and measured."""

import json
from pathlib import Path

import numpy as np
import pytest
from lessons import disc, slice_with, tiny_predictor
from made_images import save_image

from MedSAGaSlicerLib import cli
from MedSAGaSlicerLib.engine.teaching import adapters
from MedSAGaSlicerLib.errors import DependencyError


@pytest.fixture(autouse=True)
def base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "load_predictor", lambda *_: tiny_predictor())


def write_case(folder: Path, name: str, seed: int) -> None:
    """Six slices: the disc, of value 3, is on all but the first and the last."""
    masks = np.stack([disc(14 + seed, 16 + n, 7 if 0 < n < 5 else 0.5) for n in range(6)])
    masks[[0, 5]] = False
    image = np.stack([slice_with(mask, seed * 10 + n) for n, mask in enumerate(masks)])
    save_image(folder / "images" / f"{name}.nii.gz", image, spacing=(0.5, 0.5, 2.0))
    save_image(
        folder / "labels" / f"{name}.nii.gz", (masks * 3).astype(np.uint8), spacing=(0.5, 0.5, 2.0)
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for number, name in enumerate(("anna", "ben", "cleo")):
        write_case(folder, name, number)
    write_case(folder / "others", "dora", 5)
    return folder


def run(*arguments: object) -> int:
    return cli.main([str(part) for part in arguments])


def teach(data: Path, output: Path, *more: object) -> int:
    given = ["teach", "--images", data / "images", "--labels", data / "labels", "--label", 3]
    return run(*given, "--steps", 4, "--output", output, *more)


def evaluate(data: Path, report: Path, prompts: str, *more: object) -> int:
    given = ["evaluate", "--images", data / "images", "--labels", data / "labels", "--label", 3]
    return run(*given, "--prompts", prompts, "--report", report, *more)


@pytest.fixture(scope="module")
def taught(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("taught") / "adapter"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapters, "load_predictor", lambda *_: tiny_predictor())
        assert teach(data, output, "--shots", 9, "--empty", 2) == 0
    return output


class TestTeach:
    def test_it_leaves_a_folder_and_says_before_and_after(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert teach(data, tmp_path / "a", "--shots", 9, "--empty", 2) == 0
        told = capsys.readouterr().out
        assert "9 slices, 4 steps" in told
        assert "on 2 slices kept aside" in told
        assert "before" in told
        assert "2 slices are few" in told
        assert [path.name for path in tmp_path.iterdir()] == ["a"]
        report = json.loads((tmp_path / "a" / "report.json").read_text())
        assert {"before", "after", "n", "seconds", "peak_bytes"} <= set(report)
        model = json.loads((tmp_path / "a" / "model.json").read_text())
        assert model["segments"] == ["label 3"]
        slices = [part for case in model["cases"] for part in case["slices"]]
        assert len(slices) == 9
        assert sum(part["index"] in (0, 5) for part in slices) == 2

    def test_the_seed_decides_what_is_drawn(self, data: Path, tmp_path: Path) -> None:
        cases = []
        for name, seed in (("a", 0), ("b", 0), ("c", 1)):
            assert teach(data, tmp_path / name, "--shots", 8, "--empty", 1, "--seed", seed) == 0
            cases.append(json.loads((tmp_path / name / "model.json").read_text())["cases"])
        assert cases[0] == cases[1]
        assert cases[0] != cases[2]

    def test_few_slices_are_not_measured(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert teach(data, tmp_path / "a", "--shots", 1, "--empty", 0) == 0
        assert "Not measured" in capsys.readouterr().out

    def test_progress_can_be_read_by_a_program(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert teach(data, tmp_path / "a", "--shots", 8, "--json") == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert lines[-1]["event"] == "finished"
        assert lines[-1]["n"] == 2
        steps = [line["done"] for line in lines if str(line.get("doing")).startswith("learning")]
        assert steps == [1, 2, 3, 4]

    def test_only_listed_cases_are_used(self, data: Path, tmp_path: Path) -> None:
        (tmp_path / "cases.txt").write_text("# mine\nben\n\nanna\n")
        more = ("--cases", tmp_path / "cases.txt", "--shots", 8, "--empty", 2)
        assert teach(data, tmp_path / "a", *more) == 0
        model = json.loads((tmp_path / "a" / "model.json").read_text())
        assert {case["case"] for case in model["cases"]} == {"anna", "ben"}

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            (("--label", 7), "No slice of the 3 cases has 20 pixels of label 7. Values there: 3"),
            (("--label", 0), "0, which is the background"),
            (("--shots", 16), "13 slices with label 3 were asked for, but the 3 cases have 12"),
            (("--shots", 40, "--empty", 9), "34 slices with label 3 were asked for"),
            (("--shots", 0), "0 slices with 3 empty"),
            (("--shots", 3, "--empty", 3), "at least one has to show the label"),
            (("--steps", 0), "steps of a lesson is 0"),
            (("--cases", "nowhere.txt"), "cannot be read"),
            (("--method", "magic"), "invalid choice"),
            (("--images", "nowhere"), "nowhere"),
        ],
    )
    def test_what_is_wrong_is_said_in_one_line(
        self,
        data: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        more: tuple[object, ...],
        said: str,
    ) -> None:
        try:
            code = teach(data, tmp_path / "a", *more)
        except SystemExit as stopped:
            code = int(str(stopped.code))
        assert code == 2
        error = capsys.readouterr().err
        assert said in error
        assert "Traceback" not in error
        assert not (tmp_path / "a").exists()

    def test_an_unknown_case_is_named(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "cases.txt").write_text("ben\nzoe\n")
        assert teach(data, tmp_path / "a", "--cases", tmp_path / "cases.txt") == 2
        assert "names 'zoe'" in capsys.readouterr().err

    def test_a_mask_of_another_geometry_is_refused(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_case(tmp_path, "anna", 0)
        masks = np.full((6, 40, 48), 3, np.uint8)
        save_image(tmp_path / "labels" / "anna.nii.gz", masks, spacing=(0.5, 0.5, 3.0))
        assert teach(tmp_path, tmp_path / "a") == 2
        assert "lies elsewhere in space" in capsys.readouterr().err

    def test_a_folder_of_something_else_is_not_overwritten(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert teach(data, data / "others") == 2
        assert "no taught model" in capsys.readouterr().err
        assert (data / "others" / "images").is_dir()


class TestEvaluate:
    @pytest.fixture(autouse=True)
    def _without_surfaces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What they are is tested elsewhere, and they take long to import."""
        from MedSAGaSlicerLib.engine import evaluation, evaluation_report

        monkeypatch.setattr(evaluation, "nsd", lambda *_: 0.5)
        for module in (evaluation, evaluation_report):
            monkeypatch.setattr(module, "check_nsd_available", lambda: None)

    def test_a_taught_model_is_evaluated_with_prompts_and_without(
        self, data: Path, taught: Path, tmp_path: Path
    ) -> None:
        for prompts in ("point", "box", "none"):
            report = tmp_path / f"{prompts}.json"
            assert evaluate(data / "others", report, prompts, "--adapter", taught) == 0
            found = json.loads(report.read_text())
            assert found["adapter"] == str(taught)
            assert 0 <= found["mean_dice"] <= 1
            # Without prompts the two slices without the label count as well.
            assert found["cases"][0]["slices"] == (6 if prompts == "none" else 4)

    def test_the_adapter_changes_the_answer(self, data: Path, taught: Path, tmp_path: Path) -> None:
        evaluate(data / "others", tmp_path / "base.json", "point")
        evaluate(data / "others", tmp_path / "taught.json", "point", "--adapter", taught)
        scores = [
            json.loads((tmp_path / name).read_text())["mean_dice"]
            for name in ("base.json", "taught.json")
        ]
        assert scores[0] != scores[1]

    def test_cases_it_learned_from_are_refused_also_under_another_name(
        self, data: Path, taught: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert evaluate(data, tmp_path / "r.json", "none", "--adapter", taught) == 2
        error = capsys.readouterr().err
        assert "was taught on anna, ben, cleo" in error
        assert "--allow-seen" in error
        for kind in ("images", "labels"):
            (tmp_path / kind).mkdir()
            source = data / kind / "ben.nii.gz"
            (tmp_path / kind / "zoe.nii.gz").write_bytes(source.read_bytes())
        assert evaluate(tmp_path, tmp_path / "r.json", "none", "--adapter", taught) == 2
        assert "was taught on zoe" in capsys.readouterr().err
        allowed = ("--adapter", taught, "--allow-seen")
        assert evaluate(tmp_path, tmp_path / "r.json", "none", *allowed) == 0

    def test_without_prompts_something_must_have_been_taught(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert evaluate(data, tmp_path / "r.json", "none") == 2
        assert "--adapter" in capsys.readouterr().err

    @pytest.mark.parametrize("more", [("--adapter", "nowhere"), ("--segment", "liver")])
    def test_a_wrong_adapter_or_segment_is_refused(
        self, data: Path, taught: Path, tmp_path: Path, more: tuple[str, str]
    ) -> None:
        given = more if "--adapter" in more else ("--adapter", str(taught), *more)
        assert evaluate(data / "others", tmp_path / "r.json", "point", *given) == 2
        assert not (tmp_path / "r.json").exists()


def test_a_missing_package_is_told_apart(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        msg = "torch is missing"
        raise DependencyError(msg)

    monkeypatch.setattr(adapters, "load_predictor", fail)
    assert teach(data, tmp_path / "a", "--shots", 8) == 3
