import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lessons import QUICK, discs, finished, tiny_predictor

from MedSAGaSlicerLib.engine.families import ARCHITECTURES, FAMILIES
from MedSAGaSlicerLib.engine.teaching import careful
from MedSAGaSlicerLib.engine.teaching.adapters import METHOD_CLASSES
from MedSAGaSlicerLib.engine.teaching.careful import teach
from MedSAGaSlicerLib.engine.teaching.choice import (
    Machine,
    choose,
    free_on_card,
    leaner,
    outlook,
    outlooks,
)
from MedSAGaSlicerLib.engine.teaching.config import AUTO, METHODS, TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import Planned, Progress, RoomWanted, SteppedDown
from MedSAGaSlicerLib.engine.teaching.memory_plan import (
    Circumstances,
)
from MedSAGaSlicerLib.engine.teaching.model_costs import cost_of
from MedSAGaSlicerLib.engine.teaching.plan_table import plan_rows
from MedSAGaSlicerLib.engine.teaching.time_plan import Pace, Speed, plan_time
from MedSAGaSlicerLib.errors import MemoryShortageError

GIB = 1 << 30
SPEED = Speed(80e9)
METHOD_LINES = Path(__file__).parents[1] / "benchmark" / "results" / "methods.jsonl"


class TestRows:
    def test_a_lesson_of_fewer_steps_takes_less_time_and_the_same_memory(self) -> None:
        machine = Machine("cpu", 4 * GIB, SPEED)
        usual = plan_rows("starter", machine, 15)
        short = plan_rows("starter", machine, 15, config=TeachingConfig(steps=100))
        for row, other in zip(usual, short, strict=True):
            assert other["seconds"] < row["seconds"]
            assert other["peak_bytes"] == row["peak_bytes"]

    def test_settings_of_the_lesson_go_into_the_plan_of_every_method(self) -> None:
        machine = Machine("cpu", 4 * GIB, SPEED)
        usual = plan_rows("starter", machine, 15)
        large = plan_rows("starter", machine, 15, config=TeachingConfig(batch=16, at_once=16))
        assert all(
            more["peak_bytes"] > row["peak_bytes"] for row, more in zip(usual, large, strict=True)
        )


def clicks_from_15_masks() -> dict[str, dict[tuple[str, int], float]]:
    """Dice of one click by method, structure and seed, in the lessons of which most are kept."""
    lines = [json.loads(line) for line in METHOD_LINES.read_text().splitlines()]
    (steps, _), *_ = Counter(line["steps"] for line in lines).most_common()
    found: dict[str, dict[tuple[str, int], float]] = {method: {} for method in METHODS}
    for line in lines:
        if (line["steps"], line["shots"]) == (steps, 15):
            lesson = line["structure"], line["seed"]
            found[line["method"]][lesson] = line["point after"]
    return found


class TestTime:
    def test_twice_the_speed_takes_about_half(self) -> None:
        slow, fast = (
            plan_time(cost_of("sam_vit_b"), "full", Circumstances(), Speed(speed))
            for speed in (50e9, 100e9)
        )
        assert slow.total / fast.total == pytest.approx(2, rel=0.05)

    def test_a_late_step_is_at_least_three_times_shorter_than_a_full_one(self) -> None:
        late, full = (
            plan_time(cost_of("sam_vit_b"), method, Circumstances(), SPEED)
            for method in ("late", "full")
        )
        assert full.step > 3 * late.step

    def test_the_time_left_knows_that_later_steps_take_longer(self) -> None:
        given = Circumstances(steps=400, head_steps=100, still_steps=250)
        cost = cost_of("sam_vit_b")
        plan = plan_time(cost, "lora", given, SPEED)
        assert plan.head < plan.still < plan.step / 10
        whole, pace = plan.steps, Pace(cost, "lora", given)
        for done in (1, 100, 180, 250, 399, 400):
            taken = done * plan.head
            if done > 100:
                taken = 100 * plan.head + (min(done, 250) - 100) * plan.still
                taken += max(0, done - 250) * plan.step
            # On a machine that is twice as slow as the plan thought.
            assert pace.left(0, done, 2 * taken) == pytest.approx(2 * (whole - taken), rel=0.1)
        # Gone on with in the middle.
        assert pace.left(250, 260, 10 * plan.step) == pytest.approx(140 * plan.step)
        assert pace.left(0, 400, 77.0) == 0


class TestChoice:
    config = replace(TeachingConfig(batch=4, at_once=4, views=2, guesses=2), method=AUTO)

    def test_auto_is_the_decoder_and_says_why(self) -> None:
        for device in ("cpu", "cuda"):
            chosen, why = choose(cost_of("starter"), self.config, 15, Machine(device))
            assert chosen.method == "decoder"
            assert why.endswith(".")

    def test_auto_is_nothing_that_was_measured_to_be_worse_than_the_decoder(self) -> None:
        clicks = clicks_from_15_masks()
        assert len(clicks["decoder"]) >= 6
        for device, free in itertools.product(("cpu", "cuda"), (None, GIB, 64 * GIB)):
            chosen, _ = choose(cost_of("starter"), self.config, 15, Machine(device, free, SPEED))
            found = clicks[chosen.method]
            both = found.keys() & clicks["decoder"].keys()
            gains = [found[lesson] - clicks["decoder"][lesson] for lesson in both]
            assert len(both) >= 6, chosen.method
            assert sum(gains) >= 0, chosen.method

    def test_who_asks_for_a_method_gets_it(self) -> None:
        asked = replace(self.config, method="galore")
        assert choose(cost_of("starter"), asked, 15, Machine("cpu", 1))[0] == asked

    def test_with_little_memory_fewer_objects_are_taught_at_once(self) -> None:
        cost = cost_of("sam_vit_b")
        whole = outlook(cost, self.config, 15, Machine("cpu"), "decoder").peak
        chosen, _ = choose(cost, self.config, 15, Machine("cpu", whole))
        assert chosen.at_once < 4
        assert chosen.batch == 4
        _, why = choose(cost, self.config, 15, Machine("cpu", GIB // 8))
        assert "there is little" in why

    def test_stepping_down_ends_at_the_decoder(self) -> None:
        cost = cost_of("sam_vit_b")
        config, seen = replace(self.config, method="full"), []
        peaks = {entry.method: entry.peak for entry in outlooks(cost, config, 15, Machine("cpu"))}
        while (after := leaner(cost, config, 15, "cpu", may_change_method=True)) is not None:
            assert after.at_once < config.at_once or peaks[after.method] < peaks[config.method]
            config = after
            seen.append((config.method, config.at_once))
        assert seen[:2] == [("full", 2), ("full", 1)]
        assert seen[-1] == ("decoder", 1)

    def test_a_method_that_was_asked_for_stays(self) -> None:
        config = replace(self.config, method="late", at_once=1)
        assert leaner(cost_of("starter"), config, 15, "cpu", may_change_method=False) is None

    def test_a_card_has_less_than_is_written_on_it(self) -> None:
        assert 7 * GIB < free_on_card(8) < 8 * GIB
        assert free_on_card(0.1) == 0

    def test_every_method_has_an_outlook(self) -> None:
        machine = Machine("cpu", 4 * GIB, SPEED)
        found = outlooks(cost_of("mobile_sam"), self.config, 15, machine)
        assert tuple(entry.method for entry in found) == METHODS == tuple(METHOD_CLASSES)
        assert all(entry.seconds and entry.seconds > 0 for entry in found)


class TestWithoutMemory:
    """A lesson whose method runs out of memory, as a graphics card or the system may say it."""

    def short(
        self, monkeypatch: pytest.MonkeyPatch, method: str, steps: int, at_once: int = 99
    ) -> list[int]:
        """Let a method fail after so many steps, whenever so many objects are taught at once."""
        kind, failures = METHOD_CLASSES[method], []
        features, made = kind.features, []

        def fails(self: Any, samples: Any) -> Any:
            made.append(len(samples))
            if len(made) > steps and len(samples) >= at_once:
                failures.append(len(made))
                msg = "CUDA out of memory. Tried to allocate 2.00 GiB"
                raise torch.OutOfMemoryError(msg)
            return features(self, samples)

        monkeypatch.setattr(kind, "features", fails)
        return failures

    def test_fewer_at_once_go_on_from_where_it_was(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.short(monkeypatch, "late", steps=3, at_once=2)
        config = replace(QUICK, method="late", head_start=0.0, encoder_start=0.01)
        events = list(teach(config, discs(10, 2), base(), tmp_path / "taught", base_name="tiny"))
        (down,) = [event for event in events if isinstance(event, SteppedDown)]
        assert (down.former_at_once, down.at_once, down.method) == (2, 1, "late")
        assert "too little memory" in down.why
        steps = [event.step for event in events if isinstance(event, Progress)]
        assert steps == [1, 2, 3, 4, 5, 6]
        assert finished(events).report["method"] == "late"

    @pytest.mark.parametrize("steps", [0, 3])
    def test_auto_goes_down_to_the_next_method_and_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
    ) -> None:
        self.short(monkeypatch, "full", steps, at_once=1)
        # As if it were known to be better.
        monkeypatch.setattr(
            careful, "choose", lambda _c, config, *_: (replace(config, method="full"), "Better.")
        )
        config = replace(QUICK, encoder_start=0.01)
        events = list(teach(config, discs(10, 2), base(), tmp_path / "taught", base_name="tiny"))
        downs = [event for event in events if isinstance(event, SteppedDown)]
        assert [event.at_once for event in downs][:1] == [1]
        assert downs[-1].former_method == "full"
        assert downs[-1].method != "full"
        assert finished(events).report["method"] == downs[-1].method
        settings = json.loads((tmp_path / "taught" / "model.json").read_text())["config"]
        assert settings["encoder_rate"] == METHOD_CLASSES[downs[-1].method].encoder_rate

    def test_a_method_that_was_asked_for_fails_with_advice(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.short(monkeypatch, "late", 0, at_once=1)
        config = replace(QUICK, method="late")
        lesson = teach(config, discs(10, 2), base(), tmp_path / "taught", base_name="tiny")
        with pytest.raises(MemoryShortageError, match="needs less, as decoder"):
            list(lesson)
        assert not (tmp_path / "taught").exists()

    def test_a_small_card_is_cleared_first(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looks = iter([GIB // 64, GIB // 64, GIB // 64, 8 * GIB])
        monkeypatch.setattr(careful, "free_bytes", lambda _device: next(looks, 8 * GIB))
        monkeypatch.setattr(careful, "machine_speed", lambda _device: SPEED)
        # A device of which the planner believes that it is a card.
        card = base()
        monkeypatch.setattr(card, "device", FakeCard())
        monkeypatch.setattr(careful, "train", lambda *_, **__: iter(()))
        events = list(teach(QUICK, discs(10, 2), card, tmp_path / "taught", base_name="tiny"))
        assert [type(event) for event in events] == [Planned, RoomWanted]
        assert events[1].free == GIB // 64
        # It waited until there was room, and no longer.
        assert next(looks, None) is None

    def test_on_a_card_room_is_asked_for_before_anything_else_is_given_up(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls = []

        def train(config: TeachingConfig, *_: Any, **__: Any) -> Iterator[Any]:
            calls.append((config.method, config.at_once))
            if len(calls) < 3:
                msg = "too little memory"
                raise MemoryShortageError(msg)
            yield from ()

        monkeypatch.setattr(careful, "free_bytes", lambda _device: 8 * GIB)
        monkeypatch.setattr(careful, "machine_speed", lambda _device: SPEED)
        monkeypatch.setattr(careful, "train", train)
        card = base()
        monkeypatch.setattr(card, "device", FakeCard())
        events = list(teach(QUICK, discs(10, 2), card, tmp_path / "taught", base_name="tiny"))
        assert [type(event) for event in events] == [Planned, RoomWanted, SteppedDown]
        assert calls == [("decoder", 2), ("decoder", 2), ("decoder", 1)]

    def test_a_plan_is_told_before_the_lesson_begins(self, tmp_path: Path) -> None:
        lesson = teach(QUICK, discs(10, 2), base(), tmp_path / "taught", base_name="tiny")
        plan = next(lesson)
        lesson.close()
        assert isinstance(plan, Planned)
        assert (plan.method, plan.device) == ("decoder", "cpu")
        assert plan.peak > 1 << 20
        assert plan.seconds > 0


class FakeCard:
    """Looks like a graphics card to the planner."""

    type = "card"

    def __str__(self) -> str:
        return "card:0"


def base() -> Any:
    return tiny_predictor(0, depth=3)


def test_the_table_of_encoders_is_complete() -> None:
    assert {"starter", *ARCHITECTURES} == {cost_of(family).family for family in FAMILIES}
