"""`--depth` of the command line: taught among neighbours, measured, segmented and finished so."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lessons import QUICK, deep_example, teach, tiny_predictor
from many_volumes import run, write_case
from PIL import Image

from MedSAGaSlicerLib.engine.examples import ExampleSet
from MedSAGaSlicerLib.engine.finishing import orders
from MedSAGaSlicerLib.engine.predictor import Predictor
from MedSAGaSlicerLib.engine.teaching import adapters


@pytest.fixture(autouse=True)
def base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "load_predictor", lambda *_: tiny_predictor())
    orders.loaded.cache_clear()


def labelled(tmp_path: Path) -> list[Any]:
    for number, name in enumerate(("anna", "ben", "cleo")):
        write_case(tmp_path, name, number)
    return ["--images", tmp_path / "images", "--labels", tmp_path / "labels", "--label", 3]


def test_it_teaches_measures_segments_and_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []
    encode = adapters.TaughtPredictor.encode

    def noted(self: Predictor, pixels: np.ndarray) -> Any:
        shapes.append(pixels.shape)
        return encode(self, pixels)

    monkeypatch.setattr(adapters.TaughtPredictor, "encode", noted)
    given, adapter = labelled(tmp_path), tmp_path / "adapter"
    more = ["--method", "adapter", "--depth", 3, "--steps", 4, "--shots", 9, "--empty", 2]
    assert run("teach", *given, *more, "--output", adapter) == 0
    assert json.loads((adapter / "report.json").read_text())["depth"] == 3
    for kind in ("box", "none"):
        more = ["--prompts", kind, "--report", tmp_path / "r.json", "--allow-seen"]
        assert run("evaluate", *given, *more, "--adapter", adapter) == 0
    prompts = tmp_path / "p.json"
    spot = {"axis": "k", "index": 2, "points": [{"at": [18, 14], "positive": True}]}
    for name in ("label 3", "of the base"):
        segments = [{"name": name, "prompts": [spot]}]
        prompts.write_text(json.dumps({"format": 1, "segments": segments}))
        for propagate in ([], ["--propagate"]):
            command = ["segment", tmp_path / "images" / "anna.nii.gz", "--prompts", prompts]
            output = tmp_path / "s.seg.nrrd"
            assert run(*command, "--output", output, "--adapter", adapter, *propagate) == 0
    volume = tmp_path / "images" / "ben.nii.gz"
    more = ["--adapter", adapter, "--output", tmp_path / "out", "--flips"]
    assert run("finish", volume, *more) == 0
    assert set(shapes) == {(3, 40, 48, 1)}


def test_a_picture_is_its_own_neighbour(tmp_path: Path) -> None:
    config, taught = replace(QUICK, method="adapter", depth=3), tmp_path / "adapter"
    examples = ExampleSet(("disc",), tuple(deep_example(n) for n in range(3)))
    teach(taught, examples, config, tiny_predictor())
    Image.fromarray(deep_example(1).pixels).save(tmp_path / "picture.png")
    spot = {"axis": "k", "index": 0, "points": [{"at": [18, 14], "positive": True}]}
    segments = [{"name": "disc", "prompts": [spot]}]
    (tmp_path / "p.json").write_text(json.dumps({"format": 1, "segments": segments}))
    command = ["segment", tmp_path / "picture.png", "--prompts", tmp_path / "p.json"]
    assert run(*command, "--output", tmp_path / "s.seg.nrrd", "--adapter", taught) == 0


@pytest.mark.parametrize("more", [["--depth", 3], ["--method", "adapter", "--depth", 4]])
def test_what_is_wrong_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[Any]
) -> None:
    given = labelled(tmp_path)
    assert run("teach", *given, *more, "--output", tmp_path / "adapter") == 2
    assert "The setting depth of a lesson is" in capsys.readouterr().err
