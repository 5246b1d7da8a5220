"""One region for segmenting, evaluating, teaching and finishing; outside nothing is touched."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_images import save_image
from region_predictor import RegionPredictor

from MedSAGaSlicerLib.cli import main
from MedSAGaSlicerLib.engine.cases import Case, LabelChoice
from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.evaluation import evaluate
from MedSAGaSlicerLib.engine.finishing.evidence import Finding, weigh
from MedSAGaSlicerLib.engine.finishing.settings import FinishSettings
from MedSAGaSlicerLib.engine.finishing.volumes import finish_volume
from MedSAGaSlicerLib.engine.images import Volume, read_image
from MedSAGaSlicerLib.engine.prompts import Prompts, SegmentPrompts, SlicePrompts
from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.engine.regions.looking import looking
from MedSAGaSlicerLib.engine.segmenting import segment
from MedSAGaSlicerLib.engine.teaching.seen_cases import refuse_seen
from MedSAGaSlicerLib.engine.teaching.shots import draw_examples
from MedSAGaSlicerLib.errors import InputError

SHAPE = (6, 30, 40)
REGION = RegionChoice.parse("10:36,5:25,1:5")


@pytest.fixture
def bricks() -> np.ndarray:
    """One brick across the region's border, and one outside of it."""
    mask = np.zeros(SHAPE, bool)
    mask[:, 8:20, 4:20] = True
    mask[:, 26:29, 2:30] = True
    return mask


@pytest.fixture
def case(tmp_path: Path, bricks: np.ndarray) -> Case:
    rng = np.random.default_rng(0)
    values = np.where(bricks, 500, 10) + rng.integers(0, 2, SHAPE) * 0
    image = save_image(tmp_path / "images" / "a.nrrd", values.astype(np.int16))
    return Case("a", image, save_image(tmp_path / "labels" / "a.nrrd", bricks.astype(np.uint8)))


@pytest.fixture
def volume(case: Case) -> Volume:
    return read_image(case.image)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir(exist_ok=True)


def prompted(axis: str, index: int, prompts: Prompts) -> tuple[SegmentPrompts, ...]:
    return (SegmentPrompts("brick", None, (SlicePrompts(axis, index, prompts),)),)


@pytest.mark.parametrize("axis", ["k", "j", "i"])
def test_segmenting_writes_only_inside(volume: Volume, bricks: np.ndarray, axis: str) -> None:
    index, place = {"k": (2, (12.0, 10.0)), "j": (10, (12.0, 2.0)), "i": (12, (10.0, 2.0))}[axis]
    segments = prompted(axis, index, Prompts((place,), (True,)))
    (found,) = segment(volume, segments, RegionPredictor(), region=REGION)
    inside = np.zeros(SHAPE, bool)
    inside[1:5, 5:25, 10:36] = True
    one = np.zeros(SHAPE, bool)
    one[{"k": np.s_[2], "j": np.s_[:, 10], "i": np.s_[:, :, 12]}[axis]] = True
    assert np.array_equal(found.mask_kji, bricks & inside & one)


@pytest.mark.parametrize(
    ("axis", "index", "prompts", "problem"),
    [
        ("k", 0, Prompts(((12.0, 10.0),), (True,)), "k, index 0: the slice lies outside"),
        ("k", 2, Prompts(((5.0, 10.0),), (True,)), "point .* lies outside the region"),
        ("k", 2, Prompts(box=(5, 9, 18, 12)), "box .* lies outside the region"),
    ],
)
def test_prompts_outside_are_refused_before_the_model_is_asked(
    volume: Volume, axis: str, index: int, prompts: Prompts, problem: str
) -> None:
    model = RegionPredictor()
    with pytest.raises(InputError, match=problem):
        segment(volume, prompted(axis, index, prompts), model, region=REGION)
    assert model.encoded == 0


def test_a_region_of_one_voxel(volume: Volume) -> None:
    region = RegionChoice.parse("12:13,10:11,2:3")
    prompts = prompted("k", 2, Prompts(((12.0, 10.0),), (True,)))
    (found,) = segment(volume, prompts, RegionPredictor(), region=region)
    assert np.argwhere(found.mask_kji).tolist() == [[2, 10, 12]]


def test_evaluating_compares_what_is_inside(case: Case) -> None:
    choice = LabelChoice.parse("any")
    report = evaluate([case], choice, RegionPredictor(), "box", region=REGION)
    assert report["cases"][0]["slices"] == 4
    assert report["mean_dice"] == 1
    with pytest.raises(InputError, match=r"along j that has voxels 0 to 29"):
        evaluate([case], choice, RegionPredictor(), "box", region=RegionChoice.parse(":,0:31,:"))


def test_examples_show_what_is_inside(case: Case) -> None:
    examples = draw_examples([case], LabelChoice.parse("any"), 4, 0, 0, region=REGION)
    assert {example.size for example in examples.examples} == {(20, 26)}
    assert {example.index for example in examples.examples} == {1, 2, 3, 4}
    for example in examples.examples:
        assert example.masks["object"].sum() == 12 * 10


def test_an_image_taught_in_a_region_is_known_again(case: Case, tmp_path: Path) -> None:
    examples = draw_examples([case], LabelChoice.parse("any"), 4, 0, 0, region=REGION)
    (tmp_path / "model.json").write_text(_description(str(REGION)), encoding="utf-8")
    renamed = Case("b", case.image, case.label)
    cases = tuple({**entry, "case": "x"} for entry in examples.provenance())
    keys = frozenset(e.key for e in examples.examples)
    taught = SimpleNamespace(folder=tmp_path, cases=cases, taught_keys=lambda: keys)
    with pytest.raises(InputError, match="was taught on b"):
        refuse_seen([renamed], taught)


def _description(region: str) -> str:
    fields = (
        '"format": 1, "name": "n", "version": "0", "created": "", "method": "decoder", '
        '"base": "b", "family": "starter", "base_fingerprint": "", "encoder_fingerprint": "", '
        '"segments": [], "cases": [], "held_out": [], "accepted": null, "before": null, '
        '"after": null'
    )
    return f'{{{fields}, "config": {{"region": "{region}"}}}}'


class Finder:
    """Finds what is bright, and remembers what it was shown."""

    encoder_key = "finder"
    input_size = 16

    def __init__(self) -> None:
        self.shown: list[tuple[int, int]] = []

    def extent(self, size: tuple[int, int]) -> tuple[float, float]:
        return size[0] / max(size), size[1] / max(size)

    def encode(self, pixels: np.ndarray) -> Embedding:
        self.shown.append(pixels.shape)
        return Embedding(pixels, pixels.shape, "finder")

    def predict(self, *_arguments: object) -> None:
        raise AssertionError

    def predict_unprompted(self, *_arguments: object) -> None:
        raise AssertionError

    def find(self, embedding: Embedding, segments: object) -> Finding:
        logits = np.where(embedding.features > 127, 3.0, -3.0)
        return Finding(weigh(logits[None]), (0.9,), np.zeros(2, np.float32))


@pytest.mark.parametrize("axis", ["k", "i"])
def test_finishing_finds_only_what_is_inside(volume: Volume, bricks: np.ndarray, axis: str) -> None:
    finder = Finder()
    raw = FinishSettings.raw()
    finished = finish_volume(volume, finder, ["brick"], raw, axis=axis, region=REGION)
    expected = np.zeros(SHAPE, np.uint8)
    expected[1:5, 5:25, 10:36] = bricks[1:5, 5:25, 10:36]
    assert np.array_equal(finished.labels_kji, expected)
    assert set(finder.shown) == {{"k": (20, 26), "i": (4, 20)}[axis]}


def test_finishing_in_tiles_has_no_seam(volume: Volume, bricks: np.ndarray) -> None:
    finder = Finder()
    tiles = looking(finder, RegionChoice.parse("tiles"))
    finished = finish_volume(volume, tiles, ["brick"], FinishSettings.raw())
    assert np.array_equal(finished.labels_kji, bricks.astype(np.uint8))
    assert finder.shown[1] == (16, 16)


def test_the_command_line_names_what_is_wrong_with_a_region(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["segment", str(case.image), "--prompts", str(tmp_path / "p.json")]
    arguments += ["--output", str(tmp_path / "s.seg.nrrd"), "--region"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "5:3,:,:"])
    assert ended.value.code == 2
    assert "holds no voxel along i: 5:3" in capsys.readouterr().err
    point = '{"axis": "k", "index": 2, "points": [{"at": [12, 10], "positive": true}]}'
    text = f'{{"format": 1, "segments": [{{"name": "a", "prompts": [{point}]}}]}}'
    (tmp_path / "p.json").write_text(text, encoding="utf-8")
    assert main([*arguments, "0:99,:,:"]) == 2
    assert "along i that has voxels 0 to 39" in capsys.readouterr().err
