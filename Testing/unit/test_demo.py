"""The demonstration: a believable volume, masks, pictures, and figures that hold."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from made_images import save_image
from PIL import Image
from region_predictor import RegionPredictor
from scipy import ndimage

from MedSAGaSlicerLib.engine.demo import run_demo
from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.images import read_image
from MedSAGaSlicerLib.engine.intensity import measure
from MedSAGaSlicerLib.engine.metrics import dice
from MedSAGaSlicerLib.engine.phantom import Phantom, make_phantom
from MedSAGaSlicerLib.engine.prompt_file import read_prompt_file
from MedSAGaSlicerLib.engine.proposals import propose_objects
from MedSAGaSlicerLib.errors import InputError


class Coarse(RegionPredictor):
    """Sees greys only roughly, so that it copes with noise."""

    def encode(self, pixels: np.ndarray) -> Embedding:
        return super().encode(ndimage.median_filter(pixels, 5) // 40)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom()


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    run_demo(folder, Coarse(), model="coarse")
    return folder


def test_the_made_volume_is_a_ct_of_a_trunk(phantom: Phantom) -> None:
    assert measure(phantom.ct_kji).kind == "window"
    assert phantom.ct_kji.shape == phantom.geometry.shape_kji
    grey = {name: float(np.median(phantom.ct_kji[mask])) for name, mask in phantom.organs.items()}
    assert grey["left lung"] < -600 < grey["gallbladder"] < grey["liver tumour"]
    assert grey["liver tumour"] < grey["liver"] < grey["aorta"] < grey["vertebrae"]


def test_organs_lie_apart_but_for_the_tumour_in_the_liver(phantom: Phantom) -> None:
    organs = dict(phantom.organs)
    tumour = organs.pop("liver tumour")
    assert tumour.any()
    assert not (tumour & ~organs["liver"]).any()
    assert np.sum(list(organs.values()), axis=0).max() == 1
    assert phantom.organs["liver"][:, :, :96].sum() > phantom.organs["liver"][:, :, 96:].sum()


def test_the_same_seed_gives_the_same_volume(phantom: Phantom, output: Path) -> None:
    assert (read_image(output / "volume.nrrd").array_kji == phantom.ct_kji).all()


def test_pictures_segmentation_and_report_are_left(output: Path) -> None:
    assert {path.name for path in output.iterdir()} == {
        "overview.png",
        "prompts.json",
        "report.json",
        "report.md",
        "segmentation.seg.nrrd",
        "truth.seg.nrrd",
        "volume.nrrd",
    }
    with Image.open(output / "overview.png") as picture:
        assert min(picture.size) > 500


def test_prompts_are_boxes_points_and_clicks_on_more_than_one_axis(output: Path) -> None:
    places = [
        place for entry in read_prompt_file(output / "prompts.json") for place in entry.slices
    ]
    assert {place.axis for place in places} >= {"k", "j"}
    assert any(place.prompts.box for place in places)
    assert {len(place.prompts.points) for place in places} >= {0, 1, 3}


def test_the_reported_dice_is_that_of_the_files(output: Path, phantom: Phantom) -> None:
    report = json.loads((output / "report.json").read_text())
    image = SimpleITK.ReadImage(str(output / "segmentation.seg.nrrd"))
    layers = SimpleITK.GetArrayFromImage(image).reshape(*phantom.geometry.shape_kji, -1)
    entry = next(row for row in report["slices"] if row["name"] == "liver")
    found = (layers[entry["index"]] == 1).any(axis=-1)
    truth = phantom.organs["liver"][entry["index"]]
    assert dice(found, truth) == pytest.approx(entry["dice"])
    assert f"{entry['dice']:.3f}" in (output / "report.md").read_text()


def test_in_an_own_volume_distinct_objects_are_proposed(tmp_path: Path) -> None:
    volume = np.zeros((8, 60, 60), np.int16)
    volume[2:6, 5:25, 5:25] = 100
    volume[2:6, 35:50, 30:55] = 200
    path = save_image(tmp_path / "a.nrrd", volume)
    report = run_demo(tmp_path / "out", RegionPredictor(), model="region", volume_path=path)
    assert [row["pixels"] for row in report["slices"]] == [375, 400]
    assert report["mean_dice"] is None
    assert "not known" in (tmp_path / "out" / "report.md").read_text()


def test_where_nothing_stands_out_it_says_so(tmp_path: Path) -> None:
    volume = np.zeros((3, 40, 40), np.int16)
    volume[1, 20, 20] = 1
    with pytest.raises(InputError, match="No object stands out"):
        propose_objects(read_image(save_image(tmp_path / "a.nrrd", volume)), RegionPredictor())
