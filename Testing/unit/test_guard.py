"""The guard: which slices are kept aside, and what is made of their scores."""

import numpy as np
import pytest
from lessons import disc, discs, example

from MedSAGaSlicerLib.engine.examples import ExampleSet
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.teaching.guard import (
    Score,
    choose_held_out,
    measure,
    prompt_sets,
    verdict,
)


def indices(examples: ExampleSet, *arguments: object) -> list[int]:
    return sorted(place[2] for place in choose_held_out(examples, *arguments))  # type: ignore[arg-type]


class TestChoice:
    @pytest.mark.parametrize(("count", "kept"), [(7, 0), (8, 2), (15, 3), (20, 4), (30, 6)])
    def test_about_a_fifth_is_kept_aside_and_at_least_two(self, count: int, kept: int) -> None:
        assert len(indices(discs(count))) == kept

    def test_the_order_of_confirming_does_not_matter(self) -> None:
        examples = discs(12, 2)
        turned = ExampleSet(examples.segments, examples.examples[::-1])
        assert choose_held_out(examples) == choose_held_out(turned)

    def test_those_kept_aside_before_stay_so_when_more_are_confirmed(self) -> None:
        before = choose_held_out(discs(10))
        after = choose_held_out(discs(20), before)
        assert set(before) < set(after)
        assert len(after) == 4

    def test_they_lie_far_from_what_is_learned_from(self) -> None:
        near = [example(n) for n in range(8)]
        far = [example(n, case="volume 1") for n in (40, 60)]
        assert indices(ExampleSet(("disc",), (*near, *far))) == [40, 60]
        elsewhere = [example(n, case="volume 2") for n in (3,)]
        chosen = choose_held_out(ExampleSet(("disc",), (*near, *elsewhere)))
        assert ("volume 2", "k", 3) in chosen

    def test_empty_slices_cannot_be_prompted_and_stay(self) -> None:
        assert all(n < 6 for n in indices(discs(10, 4)))

    def test_a_segment_is_never_taken_away_whole(self) -> None:
        rare = {"disc": disc(14, 16, 6), "dot": disc(30, 30, 2)}
        examples = tuple(
            example(n, masks=rare if n < 2 else {"disc": rare["disc"]}) for n in range(10)
        )
        chosen = indices(ExampleSet(("disc", "dot"), examples))
        assert len(chosen) == 2
        assert 0 not in chosen
        assert 1 not in chosen

    def test_segments_that_can_be_are_all_among_them(self) -> None:
        both = {"disc": disc(14, 16, 6), "dot": disc(30, 30, 2)}
        examples = tuple(
            example(n, masks=both if n > 5 else {"disc": both["disc"]}) for n in range(10)
        )
        assert any(n > 5 for n in indices(ExampleSet(("disc", "dot"), examples)))

    def test_one_shown_slice_among_many_empty_ones_is_not_kept_aside(self) -> None:
        assert indices(discs(10, 9)) == []


class TestMeasuring:
    def test_at_least_five_prompt_sets_the_same_each_time(self) -> None:
        entry = example(2)
        clicks, boxes = prompt_sets(entry, "disc")
        assert len(clicks) + len(boxes) >= 5
        assert (clicks, boxes) == prompt_sets(example(2), "disc")
        for prompts in clicks:
            ((column, row),) = prompts.points
            assert entry.masks["disc"][int(row), int(column)]
        for prompts in (*clicks, *boxes):
            prompts.validate(entry.size)

    def test_each_segment_that_shows_is_scored(self) -> None:
        masks = {"disc": disc(14, 16, 6), "dot": np.zeros((40, 48), bool)}
        entry = example(0, masks=masks)

        def half(_embedding: object, prompts: Prompts, _segment: str) -> np.ndarray:
            return masks["disc"] if prompts.box is None else masks["dot"]

        (score,) = measure([(entry, None)], half, lambda *_: masks["disc"])  # type: ignore[list-item]
        assert score.segment == "disc"
        assert score.clicks == (1.0, 1.0, 1.0)
        assert score.boxes == (0.0, 0.0, 0.0)
        assert score.unprompted == 1.0
        assert score.mean == 0.5


def score(index: int, value: float, segment: str = "disc") -> Score:
    return Score(("v", "k", index), segment, (value,) * 3, (value,) * 3)


class TestVerdict:
    def test_better_is_accepted_with_its_number(self) -> None:
        told = verdict([score(1, 0.5), score(2, 0.6)], [score(1, 0.7), score(2, 0.59)])
        assert told["accepted"] is True
        assert told["gain"] == pytest.approx(0.095)
        assert (told["before"], told["after"], told["n"]) == (
            pytest.approx(0.55),
            pytest.approx(0.645),
            2,
        )

    def test_as_good_as_before_is_not_better(self) -> None:
        same = [score(1, 0.5), score(2, 0.6)]
        assert verdict(same, same)["accepted"] is False

    def test_no_segment_may_lose_more_than_a_twentieth(self) -> None:
        before = [score(1, 0.5, "a"), score(1, 0.9, "b")]
        assert verdict(before, [score(1, 0.9, "a"), score(1, 0.84, "b")])["accepted"] is False
        assert verdict(before, [score(1, 0.9, "a"), score(1, 0.86, "b")])["accepted"] is True
