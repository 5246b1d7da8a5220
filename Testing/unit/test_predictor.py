from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from MedSAGaSlicerLib.engine import predictor as predictor_module
from MedSAGaSlicerLib.engine.checkpoints import save_model
from MedSAGaSlicerLib.engine.devices import choose_device
from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.families import ARCHITECTURES, SamModel, build, build_architecture
from MedSAGaSlicerLib.engine.predictor import Predictor, load_predictor
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import CheckpointError, DependencyError, InputError

POINT = Prompts(points=((20.0, 10.0),), positive=(True,))
BOX = Prompts(box=(5.0, 6.0, 40.0, 30.0))
TINY = {"image_size": 64, "grid": 4, "dim": 32, "depth": 2, "heads": 2, "global_blocks": (1,)}


def tiny_model(family: str = "sam_vit_b") -> SamModel:
    torch.manual_seed(1)
    return build_architecture(family, replace(ARCHITECTURES[family], **TINY))


def picture(rows: int = 48, columns: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns), dtype=np.uint8)


@pytest.fixture(scope="module")
def tiny() -> Predictor:
    return Predictor(tiny_model())


def all_answers(tiny: Predictor, embedding: Embedding, prompts: Prompts) -> list[float]:
    """Scores of all four masks of the decoder, by hand."""
    frame = tiny._rules.frame(embedding.size)
    points = tiny._rules.points(np.array(prompts.points), frame)[None]
    labels = torch.tensor(prompts.positive, dtype=torch.int32)[None]
    sparse, dense = tiny.model.prompt_encoder(points=(points, labels), boxes=None, masks=None)
    _, scores = tiny.model.mask_decoder.predict_masks(
        torch.from_numpy(embedding.features)[None], tiny._position, sparse, dense
    )
    return scores[0].tolist()


def test_a_prediction_has_a_mask_in_the_slices_grid(tiny: Predictor) -> None:
    made = tiny.predict(tiny.encode(picture(48, 60)), BOX)

    assert made.mask.shape == (48, 60)
    assert made.mask.dtype == np.bool_
    assert made.logits.shape == (16, 16)
    assert made.logits.dtype == np.float32
    assert isinstance(made.score, float)


def test_of_one_point_the_best_of_three_is_taken(tiny: Predictor) -> None:
    scores = []
    for seed in range(5):
        embedding = tiny.encode(picture(seed=seed))
        with torch.inference_mode():
            answers = all_answers(tiny, embedding, POINT)
        scores.append(tiny.predict(embedding, POINT).score)
        assert scores[-1] == pytest.approx(max(answers[1:]))


@pytest.mark.parametrize(
    ("points", "positive"),
    [(((20.0, 10.0), (30.0, 40.0)), (True, False)), (((20.0, 10.0),), (False,))],
    ids=["two points", "one negative point"],
)
def test_of_clear_prompts_the_single_mask_is_taken(
    tiny: Predictor, points: tuple[tuple[float, float], ...], positive: tuple[bool, ...]
) -> None:
    prompts = Prompts(points=points, positive=positive)
    embedding = tiny.encode(picture())
    with torch.inference_mode():
        answers = all_answers(tiny, embedding, prompts)

    assert tiny.predict(embedding, prompts).score == pytest.approx(answers[0])


def test_earlier_logits_change_the_answer_and_make_one_point_clear(tiny: Predictor) -> None:
    embedding = tiny.encode(picture())
    first = tiny.predict(embedding, POINT)
    corrected = tiny.predict(embedding, POINT, first.logits)

    assert not np.array_equal(first.logits, corrected.logits)
    alone = tiny.predict(embedding, Prompts(), first.logits)
    assert alone.mask.shape == (48, 60)


def test_slices_of_any_size_and_content_are_segmented(tiny: Predictor) -> None:
    slices = [
        np.zeros((1, 1), np.uint8),
        np.zeros((1, 300), np.uint8),
        np.full((300, 1), 255, np.uint8),
        picture(200, 100),
        np.stack([picture()] * 3, axis=-1),
    ]
    for pixels in slices:
        made = tiny.predict(tiny.encode(pixels), Prompts(points=((0.0, 0.0),), positive=(True,)))
        assert made.mask.shape == pixels.shape[:2]
        assert np.isfinite(made.logits).all()


def test_a_batch_gives_what_single_slices_give(tiny: Predictor) -> None:
    slices = [picture(48, 60), picture(30, 90, 1), np.stack([picture(seed=2)] * 3, axis=-1)]
    together = tiny.encode_batch(slices)

    assert tiny.encode_batch([]) == []
    for pixels, embedding in zip(slices, together, strict=True):
        alone = tiny.encode(pixels)
        assert embedding.size == alone.size == pixels.shape[:2]
        np.testing.assert_allclose(embedding.features, alone.features, atol=1e-5)


def test_an_embedding_can_be_stored_in_half_precision_and_given_back(
    tiny: Predictor, tmp_path: Path
) -> None:
    embedding = tiny.encode(picture())
    np.save(tmp_path / "features.npy", embedding.features.astype(np.float16))
    kept = np.load(tmp_path / "features.npy", mmap_mode="r")
    restored = Embedding(kept, embedding.size, embedding.encoder)

    before, after = tiny.predict(embedding, BOX), tiny.predict(restored, BOX)
    np.testing.assert_allclose(before.logits, after.logits, atol=1e-2)
    assert (before.mask != after.mask).mean() < 0.01


def test_an_embedding_of_another_encoder_is_refused(tiny: Predictor) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.image_encoder.neck[1].bias += 1
    other = Predictor(model)
    with pytest.raises(InputError, match="made by another encoder"):
        other.predict(tiny.encode(picture()), BOX)


def test_the_key_follows_encoder_and_preprocessing_not_the_decoder(tiny: Predictor) -> None:
    taught = tiny_model()
    with torch.no_grad():
        taught.mask_decoder.iou_token.weight += 1
    assert Predictor(taught).encoder_key == tiny.encoder_key

    twin = tiny_model("medsam_vit_b")
    assert Predictor(twin).encoder_key != tiny.encoder_key


def test_nothing_to_go_by_is_refused(tiny: Predictor) -> None:
    with pytest.raises(InputError, match="There is no prompt"):
        tiny.predict(tiny.encode(picture()), Prompts())


@pytest.mark.parametrize(
    "prompts",
    [
        Prompts(points=((60.0, 10.0),), positive=(True,)),
        Prompts(points=((10.0, -1.0),), positive=(True,)),
        Prompts(points=((float("nan"), 1.0),), positive=(True,)),
        Prompts(box=(0.0, 0.0, 60.0, 10.0)),
        Prompts(points=((1.0, 1.0),), positive=()),
    ],
    ids=["right of it", "above it", "not a number", "box", "missing sign"],
)
def test_prompts_outside_the_slice_are_refused(tiny: Predictor, prompts: Prompts) -> None:
    embedding = tiny.encode(picture(48, 60))
    with pytest.raises(InputError):
        tiny.predict(embedding, prompts)


def test_contradictory_neighbours_are_no_error(tiny: Predictor) -> None:
    prompts = Prompts(points=((10.0, 10.0), (11.0, 10.0)), positive=(True, False))

    assert tiny.predict(tiny.encode(picture()), prompts).mask.shape == (48, 60)


@pytest.mark.parametrize(
    "logits", [np.zeros((8, 8), np.float32), np.full((16, 16), np.nan, np.float32)]
)
def test_logits_that_are_not_this_models_are_refused(tiny: Predictor, logits: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"finite ones of \(16, 16\)"):
        tiny.predict(tiny.encode(picture()), BOX, logits)


def test_values_that_are_not_normalised_are_refused(tiny: Predictor) -> None:
    with pytest.raises(InputError, match="Normalise the slice first"):
        tiny.encode(picture().astype(np.float32))


@pytest.mark.parametrize("family", ["medsam_vit_b", "sam_med2d_b"])
def test_every_way_back_takes_a_correction(family: str) -> None:
    predictor = Predictor(tiny_model(family))
    embedding = predictor.encode(picture())
    first = predictor.predict(embedding, BOX)

    assert predictor.predict(embedding, BOX, first.logits).mask.shape == (48, 60)


@pytest.fixture(scope="module")
def lite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "lite_medsam.pth"
    torch.save(build("lite_medsam").state_dict(), path)
    return path


def test_a_model_is_found_by_name_and_by_path(lite_file: Path) -> None:
    named = load_predictor("lite_medsam", "cpu", folder=lite_file.parent)
    by_path = load_predictor(lite_file, "cpu")
    by_family = load_predictor(f"lite_medsam:{lite_file}", "cpu")

    assert named.model.family == "lite_medsam"
    assert named.encoder_key == by_path.encoder_key == by_family.encoder_key


def test_the_family_before_the_path_decides_between_twins(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save_model(build("lite_medsam"), path)
    with pytest.raises(CheckpointError, match="those of lite_medsam"):
        load_predictor(f"mobile_sam:{path}", "cpu")


def test_a_model_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="download it first"):
        load_predictor("sam_vit_b", "cpu", folder=tmp_path)
    with pytest.raises(InputError, match=r"get it from https://github.com/OpenGVLab/SAM-Med2D"):
        load_predictor("sam_med2d_b", "cpu", folder=tmp_path)
    with pytest.raises(InputError, match="No model is called 'sam'"):
        load_predictor("sam", "cpu", folder=tmp_path)
    with pytest.raises(CheckpointError, match="is not a file"):
        load_predictor(tmp_path / "nothing.pth", "cpu")


def test_threads_are_set_for_torch(lite_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(predictor_module.torch, "set_num_threads", asked.append)
    load_predictor(lite_file, "cpu", threads=2)
    assert asked == [2]
    with pytest.raises(InputError, match="at least one"):
        load_predictor(lite_file, "cpu", threads=0)


def test_a_device_that_is_not_there_is_named() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in {"cpu", "cuda"}
    with pytest.raises(InputError, match="choose auto, cpu"):
        choose_device("toaster")
    with pytest.raises(InputError, match="not supported"):
        choose_device("meta")
    with pytest.raises(DependencyError, match="cuda:99"):
        choose_device("cuda:99")
