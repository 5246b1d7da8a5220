"""The command line with real networks: a random one for the wiring, the shipped one for results."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from made_images import save_image

from MedSAGaSlicerLib import cli
from MedSAGaSlicerLib.engine.checkpoints import save_model
from MedSAGaSlicerLib.engine.families import build
from MedSAGaSlicerLib.engine.phantom import Phantom, make_phantom


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "random.safetensors"
    save_model(build("starter"), path)
    return f"starter:{path}"


@pytest.fixture(scope="module")
def starter() -> str:
    return "starter"


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom()


def prompt_file(path: Path, *entries: dict[str, object]) -> Path:
    content = {"format": 1, "segments": [{"name": "liver", "prompts": list(entries)}]}
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6 * 20 * 30, dtype=np.int16).reshape(6, 20, 30),
        np.arange(20 * 30, dtype=np.uint8).reshape(1, 20, 30),
        np.arange(30, dtype=np.float32).reshape(1, 1, 30),
        np.arange(2 * 9 * 8 * 3, dtype=np.uint8).reshape(2, 9, 8, 3),
    ],
    ids=["volume", "single slice", "line", "colour"],
)
def test_any_kind_of_image_goes_through_a_real_network(
    array: np.ndarray, random_model: str, tmp_path: Path
) -> None:
    volume = save_image(tmp_path / "a.nrrd", array)
    point = {"axis": "k", "index": 0, "points": [{"at": [4, 0], "positive": True}]}
    prompts = prompt_file(tmp_path / "P.json", point)
    output = tmp_path / "S.seg.nrrd"
    given = ["segment", str(volume), "--prompts", str(prompts), "--output", str(output)]
    assert cli.main([*given, "--model", random_model, "--device", "cpu"]) == 0
    assert SimpleITK.ReadImage(str(output)).GetSize() == array.shape[2::-1]


def test_nothing_but_the_weights_is_asked_for_when_a_model_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = save_image(tmp_path / "a.nrrd", np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    prompts = prompt_file(tmp_path / "P.json", {"axis": "k", "index": 0, "box": [1, 1, 3, 2]})
    output = tmp_path / "S.seg.nrrd"
    given = ["segment", str(volume), "--prompts", str(prompts), "--output", str(output)]
    for model, said in [
        ("sam_vit_b", "not on this machine"),
        ("sam_vit_x", "No model is called"),
        (str(prompts), "P.json"),
    ]:
        assert cli.main([*given, "--model", model]) == 2
        assert said in capsys.readouterr().err
    assert cli.main([*given, "--device", "tpu"]) == 2
    assert not output.exists()


def test_the_starter_segments_organs_of_the_made_volume_and_learns_one(
    starter: str, tmp_path: Path
) -> None:
    given = ["demo", "--steps", "120", "--output", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "MedSAGaSlicerLib.cli", *given],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    by_box = [row["dice"] for row in report["slices"] if row["prompt"] == "box"]
    # What a person would believe: no organ missed by its box, the others mostly found.
    assert min(by_box) > 0.6
    assert report["mean_dice"] > 0.65
    lesson = report["lesson"]
    assert lesson["after"] > lesson["before"] + 0.1
    assert lesson["unprompted"] > 0.6
    assert (tmp_path / "out" / "lesson.png").exists()


def test_more_clicks_help_the_starter(starter: str, phantom: Phantom, tmp_path: Path) -> None:
    kept = slice(28, 34)
    save_image(tmp_path / "images" / "a.nrrd", phantom.ct_kji[kept])
    spleen = phantom.organs["spleen"][kept].astype(np.uint8)
    save_image(tmp_path / "labels" / "a.nrrd", spleen)
    report = tmp_path / "R.json"
    folders = ["--images", str(tmp_path / "images"), "--labels", str(tmp_path / "labels")]
    given = ["--label", "1", "--prompts", "clicks", "--report", str(report), "--model", starter]
    assert cli.main(["evaluate", *folders, *given]) == 0
    dice_at = json.loads(report.read_text())["dice_at"]
    assert dice_at["5"] >= dice_at["1"] - 0.02
    assert dice_at["10"] > 0.7
