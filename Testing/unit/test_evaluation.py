"""Simulated prompts, and the figures that come out of them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from made_images import save_image
from region_predictor import RegionPredictor

from MedSAGaSlicerLib.engine.cases import Case, LabelChoice, find_cases
from MedSAGaSlicerLib.engine.evaluation import click_masks, evaluate
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError

ONE = LabelChoice.parse("1")


class Shy(RegionPredictor):
    """Finds only a disc about each click, so that it takes several; boxes miss their first row."""

    def predict(
        self, embedding: Any, prompts: Prompts, previous_logits: Any = None
    ) -> SimpleNamespace:
        prediction = super().predict(embedding, prompts, previous_logits)
        rows, columns = np.indices(embedding.size)
        near = np.zeros(embedding.size, bool)
        for a, b in prompts.points:
            near |= (rows - b) ** 2 + (columns - a) ** 2 <= 4
        if prompts.box is not None:
            near = rows > prompts.box[1]
        return SimpleNamespace(mask=prediction.mask & near, logits=prediction.logits, score=0.5)


@pytest.fixture
def cases(tmp_path: Path) -> tuple[Case, ...]:
    """Two bricks: 6 x 8 pixels on 3 slices with a tip of 4 pixels; 10 x 10 on 1 slice."""
    first = np.zeros((6, 20, 24), np.uint8)
    first[1:4, 4:10, 5:13] = 1
    first[4, 4:6, 5:7] = 1
    second = np.zeros((3, 20, 24), np.uint8)
    second[1, 5:15, 5:15] = 1
    for name, label in (("a", first), ("b", second)):
        save_image(tmp_path / "labels" / f"{name}.nrrd", label, spacing=(1.0, 1.0, 3.0))
        grey = np.where(label == 1, 300, 20).astype(np.int16)
        save_image(tmp_path / "images" / f"{name}.nrrd", grey, spacing=(1.0, 1.0, 3.0))
    return find_cases(tmp_path / "images", tmp_path / "labels")


def test_a_perfect_model_reaches_one_everywhere(cases: tuple[Case, ...]) -> None:
    for kind in ("box", "point", "clicks"):
        report = evaluate(cases, ONE, RegionPredictor(), kind)
        assert report["mean_dice"] == report["dice_3d"] == report["mean_nsd"] == 1
        assert [case["slices"] for case in report["cases"]] == [3, 1]
        assert report["seconds"] > 0


def test_boxes_are_tight_and_points_innermost(cases: tuple[Case, ...]) -> None:
    model = RegionPredictor()
    evaluate(cases, ONE, model, "box")
    assert [asked.box for asked, _ in model.asked] == [(5, 4, 12, 9)] * 3 + [(5, 5, 14, 14)]
    model = RegionPredictor()
    evaluate(cases, ONE, model, "point")
    assert model.asked[0][0] == Prompts(((7, 6),), (True,))
    assert all(logits is None for _, logits in model.asked)


def test_means_are_over_cases_of_the_means_over_their_slices(cases: tuple[Case, ...]) -> None:
    report = evaluate(cases, ONE, Shy(), "box")
    small, large = 2 * 40 / (40 + 48), 2 * 90 / (90 + 100)
    assert [case["dice"] for case in report["cases"]] == pytest.approx([small, large])
    assert report["mean_dice"] == pytest.approx((small + large) / 2)
    assert report["dice_3d"] == pytest.approx((small + large) / 2)
    assert report["dice_at"] is report["noc80"] is report["noc90"] is None


def test_clicks_give_the_whole_curve_and_the_clicks_needed(cases: tuple[Case, ...]) -> None:
    model = Shy()
    report = evaluate(cases, ONE, model, "clicks")
    curve = [report["dice_at"][str(n)] for n in range(1, 21)]
    assert list(report["dice_at"]) == [str(n) for n in range(1, 21)]
    assert curve == sorted(curve)
    assert curve[0] < 0.5 < curve[-1]
    assert report["mean_dice"] == curve[2]
    assert 1 < report["noc80"] < report["noc90"] <= 20
    for asked, logits in model.asked:
        assert (logits is None) == (len(asked.points) == 1)


def test_a_goal_that_is_never_reached_counts_twenty_clicks(cases: tuple[Case, ...]) -> None:
    class Blind(RegionPredictor):
        def predict(self, embedding: Any, prompts: Prompts, _: Any = None) -> SimpleNamespace:
            empty = np.zeros(embedding.size, bool)
            return SimpleNamespace(mask=empty, logits=None, score=0.0)

    report = evaluate(cases, ONE, Blind(), "clicks")
    assert report["noc80"] == report["noc90"] == 20
    assert report["mean_dice"] == report["mean_nsd"] == 0


def test_when_all_is_right_no_further_click_is_made() -> None:
    truth = np.zeros((10, 10), bool)
    truth[2:6, 2:6] = True
    model = RegionPredictor()
    embedding = model.encode(truth.astype(np.uint8))
    masks, prompts = click_masks(model, embedding, truth, 20)
    assert len(masks) == 20
    assert len(prompts.points) == len(model.asked) == 1
    assert all((mask == truth).all() for mask in masks)


def test_components_are_prompted_one_by_one_and_united(tmp_path: Path) -> None:
    label = np.zeros((30, 30), np.uint8)
    label[3:8, 3:8] = label[15:20, 15:20] = label[3:6, 20:24] = 255
    save_image(tmp_path / "labels" / "a.png", label)
    save_image(tmp_path / "images" / "a.png", label // 2)
    cases = find_cases(tmp_path / "images", tmp_path / "labels")
    choice = LabelChoice.parse("255")
    together, apart = RegionPredictor(), RegionPredictor()
    assert evaluate(cases, choice, together, "point")["mean_dice"] < 0.7
    report = evaluate(cases, choice, apart, "point", per_component=True)
    assert report["mean_dice"] == 1
    assert (len(together.asked), len(apart.asked)) == (1, 3)
    assert apart.encoded == 1


def test_pictures_are_measured_in_pixels(tmp_path: Path) -> None:
    label = np.zeros((30, 30), np.uint8)
    label[5:20, 5:20] = 255
    save_image(tmp_path / "labels" / "a.png", label)
    save_image(tmp_path / "images" / "a.png", label // 2)

    class Low(RegionPredictor):
        def predict(self, *args: Any) -> SimpleNamespace:
            prediction = super().predict(*args)
            prediction.mask = np.roll(prediction.mask, 2, axis=0)
            return prediction

    cases = find_cases(tmp_path / "images", tmp_path / "labels")
    report = evaluate(cases, LabelChoice.parse("any"), Low(), "point")
    assert report["mean_nsd"] == 1
    assert report["mean_dice"] == pytest.approx(13 / 15)


def test_a_case_without_the_label_is_skipped_and_named(
    cases: tuple[Case, ...], tmp_path: Path
) -> None:
    save_image(tmp_path / "labels" / "c.nrrd", np.zeros((2, 9, 9), np.uint8))
    save_image(tmp_path / "images" / "c.nrrd", np.arange(162, dtype=np.int16).reshape(2, 9, 9))
    found = find_cases(tmp_path / "images", tmp_path / "labels")
    report = evaluate(found, ONE, RegionPredictor(), "box")
    assert [case["name"] for case in report["cases"]] == ["a", "b"]
    assert report["skipped"] == {"c": "no label 1"}


def test_a_label_that_no_case_has_is_refused_before_the_model_runs(
    cases: tuple[Case, ...],
) -> None:
    model = RegionPredictor()
    with pytest.raises(InputError, match=r"label 7 in a\.nrrd, b\.nrrd\. Values there: 1\."):
        evaluate(cases, LabelChoice.parse("7"), model, "box")
    assert model.encoded == 0


def test_an_unknown_kind_of_prompt_is_refused(cases: tuple[Case, ...]) -> None:
    with pytest.raises(InputError, match="box, point, clicks"):
        evaluate(cases, ONE, RegionPredictor(), "scribble")
