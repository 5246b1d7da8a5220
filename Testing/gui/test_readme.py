"""What the README tells people to type."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import slicer

from MedSAGaSlicerLib.engine import registry
from MedSAGaSlicerLib.worker import client

FAKES = Path(__file__).resolve().parent.parent / "fakes"


@pytest.fixture(autouse=True)
def _fake_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The lines are tested here and not the model: it is made up unless the code names another."""
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(FAKES), os.environ.get("PYTHONPATH", "")])
    )
    fake = partial(
        client.InferenceClient,
        predictor="fake_predictor:load",
        cache_folder=str(tmp_path / "cache"),
    )
    monkeypatch.setattr(client, "InferenceClient", fake)


def test_the_lines_for_slicers_console_work(readme_code: Callable[[str], str]) -> None:
    code = readme_code("getModuleLogic")
    logic = slicer.util.getModuleLogic("MedSAGaSlicer")
    folder = registry.model_folder()
    folder.mkdir(parents=True)
    (folder / registry.entry("sam_vit_b").file).touch()
    logic.annotators.make_client = lambda model: client.InferenceClient(model=model)
    names = {
        "slicer": slicer,
        "volumeNode": slicer.util.addVolumeFromArray(np.zeros((50, 40, 60), np.int16)),
        "segmentationNode": slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode"),
        "ras": (20.0, 12.0, 42.0),
        "ras_a": (30.0, 12.0, 42.0),
        "ras_b": (40.0, 22.0, 42.0),
    }
    exec(code, names)  # noqa: S102 - the README's own
    annotator = names["annotator"]
    assert [str(prompt.position.axis) for prompt in annotator.prompts("tumour")] == ["k", "k"]
    assert annotator.undo_names()[1] == "Confirm slice k 42"
    assert not annotator.confirmed()
    logic.annotators.close()


def test_the_lines_without_the_application_work(
    readme_code: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    image = SimpleITK.GetImageFromArray(np.zeros((10, 40, 50), np.int16))
    SimpleITK.WriteImage(image, "ct.nrrd")
    exec(readme_code("ct.nrrd"), {})  # noqa: S102 - the README's own
    (segment,) = (SimpleITK.ReadImage("tumour.seg.nrrd"),)
    voxels = SimpleITK.GetArrayFromImage(segment)
    assert voxels.sum() == 11 * 14
    assert voxels[3, 12:26, 10:21].all()
