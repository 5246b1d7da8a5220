import json
from pathlib import Path

import pytest
from lessons import tiny_predictor
from many_volumes import NAMES, run, write_case

from MedSAGaSlicerLib.engine import segment_orders
from MedSAGaSlicerLib.engine.finishing import orders
from MedSAGaSlicerLib.engine.teaching import adapters


@pytest.fixture(autouse=True)
def base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "load_predictor", lambda *_: tiny_predictor())
    orders.loaded.cache_clear()
    segment_orders.loaded.cache_clear()


@pytest.fixture
def volumes(tmp_path: Path) -> list[Path]:
    return [write_case(tmp_path, name, number + 1) for number, name in enumerate(NAMES)]


class TestSegmentMany:
    @pytest.fixture
    def prompts(self, tmp_path: Path) -> Path:
        folder = tmp_path / "prompts"
        folder.mkdir()
        for name in NAMES:
            point = {"axis": "k", "index": 2, "points": [{"at": [18, 15], "positive": True}]}
            segment = {"name": "disc", "prompts": [point]}
            (folder / f"{name}.json").write_text(json.dumps({"format": 1, "segments": [segment]}))
        return folder

    def test_each_volume_has_its_own_prompts(
        self, prompts: Path, volumes: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        given = ["--prompts", prompts, "--output", tmp_path / "results"]
        assert run("segment", *volumes, *given) == 0
        assert len(list((tmp_path / "results").glob("*.seg.nrrd"))) == 3
        single = tmp_path / "anna.seg.nrrd"
        assert (
            run("segment", volumes[0], "--prompts", prompts / "anna.json", "--output", single) == 0
        )
        assert single.read_bytes() == (tmp_path / "results" / "anna.seg.nrrd").read_bytes()
        capsys.readouterr()
        changed = json.loads((prompts / "ben.json").read_text())
        changed["segments"][0]["name"] = "other"
        (prompts / "ben.json").write_text(json.dumps(changed))
        assert run("segment", *volumes, *given) == 0
        told = capsys.readouterr().out
        assert told.count("present") == 2
        assert "other: " in told

    def test_the_encoder_computes_in_the_precision_asked_for(
        self,
        prompts: Path,
        volumes: list[Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        asked = []
        monkeypatch.setattr(
            adapters, "load_predictor", lambda *given: asked.append(given[-1]) or tiny_predictor()
        )
        given = ["--prompts", prompts, "--output", tmp_path / "many", "--precision", "bfloat16"]
        assert run("segment", *volumes, *given) == 0
        single = [prompts / "anna.json", "--output", tmp_path / "one.seg.nrrd"]
        assert run("segment", volumes[0], "--prompts", *single) == 0
        assert asked == ["bfloat16", "float32"]

    def test_results_may_lie_beside_the_prompts(
        self, prompts: Path, volumes: list[Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = [path.read_text() for path in sorted(prompts.iterdir())]
        given = ["--prompts", prompts, "--output", prompts]
        assert run("segment", *volumes, *given) == 0
        capsys.readouterr()
        assert run("segment", *volumes, *given) == 0
        assert capsys.readouterr().out.count("present") == 3
        assert [(prompts / f"{name}.json").read_text() for name in NAMES] == before

    def test_wrong_prompts_of_one_volume_do_not_stop_the_rest(
        self, prompts: Path, volumes: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (prompts / "ben.json").write_text("{}")
        given = ["--prompts", prompts, "--output", tmp_path / "results"]
        assert run("segment", *volumes, *given) == 2
        assert "1 of 3 volumes failed: ben" in capsys.readouterr().err
        assert len(list((tmp_path / "results").glob("*.seg.nrrd"))) == 2

    def test_missing_prompts_are_named_before_any_work(
        self, prompts: Path, volumes: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (prompts / "ben.json").unlink()
        given = ["--output", tmp_path / "results"]
        assert run("segment", *volumes, "--prompts", prompts, *given) == 2
        assert "no prompt file for ben.nii.gz" in capsys.readouterr().err
        assert run("segment", *volumes, "--prompts", prompts / "anna.json", *given) == 2
        assert "a folder with a file for each" in capsys.readouterr().err
        assert not (tmp_path / "results").exists()
