from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK
from made_images import save_image
from seeing_predictor import SeeingPredictor, ball, box, dice, volume_of

from MedSAGaSlicerLib import cli


@pytest.fixture
def model():
    return SeeingPredictor()


@pytest.fixture
def files(tmp_path, model, monkeypatch):
    """A made volume and its prompt file; the command line gets the stand-in for a network."""
    monkeypatch.setattr(cli, "_predictor", lambda *_: model)
    truth = ball()
    save_image(tmp_path / "v.nrrd", volume_of(truth).array_kji.astype(np.int16))
    given = {"axis": "k", "index": 8, "box": list(box(truth, 8).prompts.box)}
    segments = [{"name": "thing", "prompts": [given]}]
    (tmp_path / "P.json").write_text(json.dumps({"format": 1, "segments": segments}))
    return tmp_path, truth


def run(folder, *options):
    arguments = ["segment", folder / "v.nrrd", "--prompts", folder / "P.json"]
    arguments += ["--output", folder / "S.seg.nrrd", *options]
    return cli.main([str(argument) for argument in arguments])


def test_the_command_line_carries_prompts_through_the_volume(files):
    folder, truth = files
    assert run(folder) == 0
    image = SimpleITK.ReadImage(str(folder / "S.seg.nrrd"))
    assert np.flatnonzero(SimpleITK.GetArrayFromImage(image).any(axis=(1, 2))).tolist() == [8]
    assert run(folder, "--propagate") == 0
    image = SimpleITK.ReadImage(str(folder / "S.seg.nrrd"))
    assert dice(SimpleITK.GetArrayFromImage(image) > 0, truth) > 0.9


def test_the_command_line_refuses_a_strategy_without_propagating(files, capsys):
    folder, _ = files
    assert run(folder, "--strategy", "box-interpolation") == 2
    assert "give --propagate as well" in capsys.readouterr().err
    assert run(folder, "--propagate", "--strategy", "box-interpolation") == 0
