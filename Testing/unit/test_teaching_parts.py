"""Views, simulated prompts and losses: what a lesson is made of."""

import numpy as np
import pytest
import torch
from lessons import disc, example, slice_with

from MedSAGaSlicerLib.engine.metrics import dice
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.curve_picture import curve_png
from MedSAGaSlicerLib.engine.teaching.learned_prompt import LearnedPrompt
from MedSAGaSlicerLib.engine.teaching.losses import dice_of, mask_loss, true_iou
from MedSAGaSlicerLib.engine.teaching.schedule import learning_rate, rounds_of
from MedSAGaSlicerLib.engine.teaching.simulated_prompts import (
    boxes_around,
    click_inside,
    corrections,
    first_clicks,
    jittered_box,
)
from MedSAGaSlicerLib.engine.teaching.views import make_view
from MedSAGaSlicerLib.errors import InputError

RING = disc(30, 30, 20, (60, 60)) & ~disc(30, 30, 14, (60, 60))


class TestViews:
    def test_the_first_view_is_the_slice_itself(self) -> None:
        whole = example(1, prompts={"disc": Prompts(((16.0, 14.0),), (True,))})
        view = make_view(whole, 0)
        assert view.pixels is whole.pixels
        assert view.masks["disc"] is whole.masks["disc"]
        assert view.prompts["disc"] == whole.prompts["disc"]
        assert not view.mirrored

    def test_views_differ_and_come_back_alike(self) -> None:
        views = [make_view(example(1), number).pixels for number in range(6)]
        again = [make_view(example(1), number).pixels for number in range(6)]
        assert all(np.array_equal(a, b) for a, b in zip(views, again, strict=True))
        assert len({view.tobytes() for view in views}) == 6

    @pytest.mark.parametrize("number", range(1, 9))
    def test_mask_and_clicks_move_with_the_picture(self, number: int) -> None:
        mask = disc(52, 46, 12, (100, 90))
        pixels = np.where(mask, 240, 20).astype(np.uint8)
        click = Prompts(((46.0, 52.0),), (True,))
        view = make_view(
            example(0, pixels=pixels, masks={"disc": mask}, prompts={"disc": click}), number
        )
        # Gamma, window and noise do not hide what was far brighter than the rest.
        bright = view.pixels > (int(view.pixels.max()) + int(np.median(view.pixels))) / 2
        assert dice(bright, view.masks["disc"]) > 0.9
        ((column, row),) = view.prompts["disc"].points
        assert view.masks["disc"][round(row), round(column)]
        assert view.mirrored == (number % 4 == 3)

    def test_a_click_that_left_the_picture_is_gone(self) -> None:
        corners = Prompts(((0.0, 0.0), (47.0, 39.0)), (True, True))
        left = [
            len(view.prompts["disc"].points) if "disc" in view.prompts else 0
            for view in (make_view(example(1, prompts={"disc": corners}), n) for n in range(12))
        ]
        assert left[0] == 2
        assert min(left) < 2

    def test_colour_stays_colour(self) -> None:
        pixels = np.stack([slice_with(disc(14, 16, 6), n) for n in range(3)], axis=-1)
        view = make_view(example(0, pixels=pixels), 3)
        assert view.pixels.shape == pixels.shape
        assert view.pixels.dtype == np.uint8


class TestSimulatedPrompts:
    def test_clicks_lie_inside_whatever_the_shape(self) -> None:
        rng = np.random.default_rng(0)
        places = {click_inside(rng, RING) for _ in range(50)}
        assert len(places) > 10
        assert all(RING[round(row), round(column)] for column, row in places)

    def test_boxes_are_tight_or_moved_either_way(self) -> None:
        rng = np.random.default_rng(0)
        boxes = np.array([jittered_box(rng, RING) for _ in range(200)])
        tight = np.array([10, 10, 50, 50])
        share = np.mean((boxes == tight).all(axis=1))
        assert 0.35 < share < 0.65
        for side in range(4):
            moved = boxes[boxes[:, side] != tight[side], side] - tight[side]
            assert (moved > 0).any()
            assert (moved < 0).any()
            assert np.abs(moved).max() <= 0.12 * 41 + 1e-9

    def test_boxes_stay_in_the_picture(self) -> None:
        rng = np.random.default_rng(0)
        full = np.ones((20, 30), bool)
        boxes = np.array([jittered_box(rng, full) for _ in range(50)])
        assert boxes.min() >= 0
        assert boxes[:, 2].max() <= 29
        assert boxes[:, 3].max() <= 19

    def test_places_are_the_middles_of_cells_in_the_models_input(self) -> None:
        dot = np.zeros((10, 10), bool)
        dot[3, 7] = True
        rng = np.random.default_rng(0)
        click = first_clicks(rng, [dot], 4.0)
        assert click.points[0, 0].tolist() == [29.5, 13.5]
        assert click.ambiguous
        (box,) = (boxes_around(rng, [dot], 4.0).boxes for _ in range(1))
        assert box is not None
        # The cell reaches from pixel 28 to 31 and from 12 to 15, give or take the jitter.
        assert box[0].tolist() == pytest.approx([28, 12, 31, 15], abs=0.5)

    def test_a_correction_goes_where_more_is_wrong(self) -> None:
        rng = np.random.default_rng(0)
        truth, answer = disc(20, 15, 8, (40, 60)), disc(20, 45, 4, (40, 60))
        places, signs = corrections(rng, [answer, disc(20, 45, 12, (40, 60))], [truth, truth], 1.0)
        assert signs.tolist() == [1, 0]
        assert truth[int(places[0, 1]), int(places[0, 0])]
        assert not truth[int(places[1, 1]), int(places[1, 0])]

    def test_where_nothing_is_wrong_the_inside_is_confirmed(self) -> None:
        places, signs = corrections(np.random.default_rng(0), [RING], [RING], 1.0)
        assert signs.tolist() == [1]
        assert RING[int(places[0, 1]), int(places[0, 0])]


class TestLosses:
    def test_a_right_answer_costs_less_than_a_wrong_one(self) -> None:
        target = torch.zeros(1, 1, 8, 8)
        target[..., 2:6, 2:6] = 1
        valid = torch.ones_like(target)
        right, wrong = (target * 2 - 1) * 8, (1 - target * 2) * 8
        assert float(mask_loss(right, target, valid)) < 0.05
        assert float(mask_loss(wrong, target, valid)) > 10

    def test_padding_counts_for_nothing(self) -> None:
        target, valid = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
        target[..., :4, :3] = 1
        valid[..., 6:] = 0
        logits = (target * 2 - 1) * 5
        spoilt = logits.clone()
        spoilt[..., 6:] = 30
        assert torch.equal(mask_loss(logits, target, valid), mask_loss(spoilt, target, valid))
        assert torch.equal(true_iou(logits, target, valid), true_iou(spoilt, target, valid))

    def test_an_empty_target_wants_an_empty_answer(self) -> None:
        target, valid = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
        empty, full = torch.full_like(target, -9.0), torch.full_like(target, 9.0)
        assert float(mask_loss(empty, target, valid)) < 0.001
        assert float(mask_loss(full, target, valid)) > 8
        assert true_iou(empty, target, valid).tolist() == [[1.0]]
        assert true_iou(full, target, valid).tolist() == [[0.0]]
        assert dice_of(empty[:, 0] > 0, target[:, 0]).tolist() == [1.0]

    def test_a_small_thing_seen_where_nothing_is_weighs_like_one_that_is_missed(self) -> None:
        target, valid = torch.zeros(1, 1, 48, 48), torch.ones(1, 1, 48, 48)
        nothing = torch.full_like(target, -4.0)
        spot = nothing.clone()
        spot[..., 10:17, 10:17] = 4.0
        missed = mask_loss(nothing, (spot > 0).float(), valid)
        assert float(mask_loss(spot, target, valid)) > float(missed)


class TestLearnedPrompt:
    def test_it_guesses_on_the_grid_of_the_logits_for_each_segment(self) -> None:
        made = LearnedPrompt.fresh(("a", "b"), 3, torch.zeros(1, 16), 4, 2, seed=0)
        guess = made.guess(torch.randn(5, 16, 6, 7), torch.randn(1, 16, 6, 7))
        assert guess.shape == (5, 2, 24, 28)
        assert made.of([1, 0, 1]).shape == (3, 3, 16)

    def test_it_is_made_by_its_seed_alone(self) -> None:
        torch.manual_seed(5)
        first = torch.rand(1)
        one = LearnedPrompt.fresh(("a",), 2, torch.zeros(1, 16), 4, 2, seed=0)
        torch.manual_seed(5)
        other = LearnedPrompt.fresh(("a",), 2, torch.zeros(1, 16), 4, 2, seed=0)
        assert torch.equal(one.tokens, other.tokens)
        # And leaves the program's own random numbers as they were.
        assert torch.equal(torch.rand(1), first)

    def test_it_comes_back_from_its_tensors(self) -> None:
        made = LearnedPrompt.fresh(("a", "b"), 2, torch.zeros(1, 16), 4, 2, seed=0)
        back = LearnedPrompt.restored(("a", "b"), made.state_dict(), 4)
        assert back is not None
        x, position = torch.randn(1, 16, 4, 4), torch.randn(1, 16, 4, 4)
        assert torch.equal(back.guess(x, position), made.guess(x, position))
        assert LearnedPrompt.restored(("a",), {}, 4) is None


def test_the_learning_rate_rises_twice_and_ends_low() -> None:
    config = TeachingConfig(steps=200)
    rates = [learning_rate(step, config) for step in range(200)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates[:50]) == pytest.approx(1.0)
    assert rates[49] < 0.03
    assert rates[50] == pytest.approx(0.1)
    assert max(rates[50:]) == pytest.approx(1.0)
    assert rates[-1] < 0.02


def test_objects_get_any_number_of_rounds_often_only_one() -> None:
    rng, config = np.random.default_rng(0), TeachingConfig(rounds=5)
    drawn = [rounds_of(rng, 0, config, cached=True) for _ in range(500)]
    assert set(drawn) == {1, 2, 3, 4, 5}
    assert 150 < drawn.count(1) < 250
    single = TeachingConfig(rounds=1)
    assert {rounds_of(rng, 0, single, cached=True) for _ in range(20)} == {1}


def test_every_second_step_does_without_prompts_where_that_is_learned_and_cheap() -> None:
    rng, config = np.random.default_rng(0), TeachingConfig()
    assert rounds_of(rng, 1, config, cached=True) == 0
    assert rounds_of(rng, 1, config, cached=False) > 0
    assert rounds_of(rng, 1, TeachingConfig(prompt_tokens=0), cached=True) > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("share", -0.1),
        ("warm_up", 1.0),
        ("head_start", 1.0),
        ("encoder_start", 1.0),
        ("method", "magic"),
        ("views", -1),
        ("seed", -1),
        ("weight_decay", -0.1),
    ],
)
def test_settings_that_make_no_lesson_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"setting {name} .* must be"):
        TeachingConfig(**{name: value})  # type: ignore[arg-type]


def test_settings_come_back_and_those_of_other_versions_are_left_out() -> None:
    config = TeachingConfig(steps=7, seed=3)
    assert TeachingConfig.from_dict({**config.to_dict(), "future": 1}) == config


@pytest.mark.parametrize("steps", [0, 1, 700])
def test_the_curve_is_a_picture_however_long_the_lesson(steps: int) -> None:
    assert curve_png([(1.0, 0.5)] * steps).startswith(b"\x89PNG")
