"""A lesson from beginning to end: what it tells, what it leaves, and how it can be interrupted."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lessons import QUICK, SIDE, disc, discs, example, finished, slice_with, teach, tiny_predictor

from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.examples import ExampleSet
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.teaching import state as state_module
from MedSAGaSlicerLib.engine.teaching.adapters import load_adapter
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import (
    Finished,
    Prepared,
    Progress,
    Saved,
    Started,
    Stopped,
    Validated,
)
from MedSAGaSlicerLib.engine.teaching.guard import choose_held_out
from MedSAGaSlicerLib.engine.teaching.loop import train
from MedSAGaSlicerLib.engine.weight_files import read_tensors
from MedSAGaSlicerLib.errors import InputError, TeachingError

CLICK = Prompts(((20.0, 18.0),), (True,))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_tensors(folder / "weights.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def kinds(events: list[Any]) -> list[type]:
    return list(dict.fromkeys(type(event) for event in events))


def test_a_lesson_tells_of_everything_and_leaves_a_folder(tmp_path: Path) -> None:
    events = teach(tmp_path / "taught")
    assert kinds(events) == [Started, Prepared, Validated, Progress, Saved, Finished]
    started = events[0]
    assert isinstance(started, Started)
    assert (started.slices, started.held_out, started.steps, started.done) == (10, 2, 6, 0)
    steps = [event.step for event in events if isinstance(event, Progress)]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert [e.moment for e in events if isinstance(e, Validated)] == ["before", "after"]
    names = {path.name for path in (tmp_path / "taught").iterdir()}
    assert names == {"weights.safetensors", "model.json", "report.json", "curve.png"}
    # Nothing else stays: the resumable state is gone.
    assert [path.name for path in tmp_path.iterdir()] == ["taught"]


def test_the_report_has_before_after_n_seconds_and_bytes(tmp_path: Path) -> None:
    told = finished(teach(tmp_path / "taught")).report
    report = json.loads((tmp_path / "taught" / "report.json").read_text())
    assert report == json.loads(json.dumps(told))
    assert 0 <= report["before"] <= 1
    assert report["gain"] == pytest.approx(report["after"] - report["before"])
    assert (report["n"], report["slices"], report["steps"]) == (2, 10, 6)
    assert report["seconds"] > 0
    assert report["peak_bytes"] is None or report["peak_bytes"] > 1 << 20
    assert len(report["curve"]) == 6


def test_a_lesson_learns(tmp_path: Path) -> None:
    config = TeachingConfig(
        steps=80, batch=4, rounds=2, views=2, guesses=4, learning_rate=5e-3, share=1.0
    )
    events = teach(tmp_path / "taught", discs(12, 2), config)
    report = finished(events).report
    assert report["after"] > report["before"] + 0.2
    assert report["accepted"] is True
    assert report["unprompted"] > 0.5


def test_what_is_kept_aside_is_measured_twice_and_teaches_nothing(tmp_path: Path) -> None:
    examples = discs(10, 2)
    places = {place[2] for place in choose_held_out(examples)}
    changed = ExampleSet(
        examples.segments,
        tuple(
            replace(e, masks={"disc": ~e.masks["disc"]}) if e.index in places else e
            for e in examples.examples
        ),
    )
    moments = []
    for name, given in (("a", examples), ("b", changed)):
        events = teach(tmp_path / name, given)
        moments.append([event.moment for event in events if isinstance(event, Validated)])
    assert moments == [["before", "after"]] * 2
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_the_same_seed_teaches_the_same_and_another_something_else(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        teach(tmp_path / name, config=replace(QUICK, seed=seed))
    assert same(weights(tmp_path / "one"), weights(tmp_path / "two"))
    assert not same(weights(tmp_path / "one"), weights(tmp_path / "three"))


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_a_lesson_that_was_closed_goes_on_bit_for_bit(tmp_path: Path, steps: int) -> None:
    teach(tmp_path / "whole")
    lesson = train(QUICK, discs(10, 2), tiny_predictor(), tmp_path / "cut", base_name="tiny")
    for event in lesson:
        if isinstance(event, Validated) and steps == 0:
            break
        if isinstance(event, Progress) and event.step == steps:
            break
    lesson.close()
    events = teach(tmp_path / "cut")
    started = events[0]
    assert isinstance(started, Started)
    assert started.done == steps
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    # The slices kept aside are measured once before, however often the lesson is taken up again.
    moments = [event.moment for event in events if isinstance(event, Validated)]
    assert moments == ["after"]


def test_after_a_kill_it_goes_on_from_the_last_saved_state(tmp_path: Path) -> None:
    teach(tmp_path / "whole")
    lesson = train(QUICK, discs(10, 2), tiny_predictor(), tmp_path / "cut", base_name="tiny")
    kept: dict[str, bytes] = {}
    for event in lesson:
        if isinstance(event, Saved) and event.step == 4:
            kept = {path.name: path.read_bytes() for path in event.path.parent.iterdir()}
        if isinstance(event, Progress) and event.step == 5:
            break
    lesson.close()
    # What a killed process would have left: the state of step 4.
    for name, content in kept.items():
        (tmp_path / ".cut.lesson" / name).write_bytes(content)
    started = next(iter(resumed := teach(tmp_path / "cut")))
    assert isinstance(started, Started)
    assert started.done == 4
    assert isinstance(resumed[-1], Finished)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


def test_it_stops_wherever_it_is_asked_to(tmp_path: Path) -> None:
    total = len(teach(tmp_path / "whole"))
    for after in range(1, total):
        seen: list[Any] = []
        lesson = train(
            QUICK,
            discs(10, 2),
            tiny_predictor(),
            tmp_path / f"cut {after}",
            base_name="tiny",
            stop=lambda seen=seen, after=after: len(seen) >= after,
        )
        for event in lesson:
            seen.append(event)
        assert isinstance(seen[-1], (Stopped, Finished))
        # At most the one event under way still comes, and the news that it stopped.
        assert len(seen) <= after + 2
        finished(teach(tmp_path / f"cut {after}"))
        assert same(weights(tmp_path / "whole"), weights(tmp_path / f"cut {after}"))
        if after > 6:
            break


def test_a_changed_lesson_does_not_go_on_from_another_ones_state(tmp_path: Path) -> None:
    lesson = train(QUICK, discs(10, 2), tiny_predictor(), tmp_path / "taught", base_name="tiny")
    for event in lesson:
        if isinstance(event, Progress) and event.step == 3:
            break
    lesson.close()
    renamed = ExampleSet(
        ("round thing",),
        tuple(replace(e, masks={"round thing": e.masks["disc"]}) for e in discs(10, 2).examples),
    )
    for examples, config, base in (
        (renamed, QUICK, tiny_predictor()),
        (discs(11, 2), QUICK, tiny_predictor()),
        (discs(10, 2), replace(QUICK, learning_rate=1e-4), tiny_predictor()),
        (discs(10, 2), QUICK, tiny_predictor(seed=1)),
    ):
        again = train(config, examples, base, tmp_path / "taught", base_name="tiny")
        started = next(again)
        again.close()
        assert isinstance(started, Started)
        assert started.done == 0


def test_a_lesson_of_another_version_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lesson = train(QUICK, discs(10, 2), tiny_predictor(), tmp_path / "taught", base_name="tiny")
    for event in lesson:
        if isinstance(event, Progress) and event.step == 3:
            break
    lesson.close()
    monkeypatch.setattr(state_module, "__version__", "99.0")
    again = train(QUICK, discs(10, 2), tiny_predictor(), tmp_path / "taught", base_name="tiny")
    started = next(again)
    again.close()
    assert isinstance(started, Started)
    assert started.done == 0


def test_a_damaged_state_begins_anew(tmp_path: Path) -> None:
    work = tmp_path / "work"
    lesson = train(QUICK, discs(10), tiny_predictor(), tmp_path / "a", base_name="", work=work)
    for event in lesson:
        if isinstance(event, Saved):
            break
    lesson.close()
    (state,) = work.iterdir()
    state.write_bytes(state.read_bytes()[:2000])
    assert isinstance(finished(teach(tmp_path / "a", discs(10), work=work)), Finished)


def test_embeddings_that_are_cached_are_not_made_again(tmp_path: Path) -> None:
    cache = EmbeddingCache(None)
    base = tiny_predictor()
    teach(tmp_path / "first", base=base, cache=cache)
    entries = cache.usage()["ram_entries"]
    # Eight slices learned from, in two views, and two kept aside.
    assert entries == 8 * 2 + 2

    def refuse(*_: Any) -> None:
        raise AssertionError

    base.encode_batch = refuse  # type: ignore[method-assign]
    teach(tmp_path / "second", base=base, cache=cache)
    teach(tmp_path / "third", base=base, cache=cache, config=replace(QUICK, seed=5))


def test_the_base_stays_bit_for_bit_and_shares_its_embeddings(tmp_path: Path) -> None:
    base = tiny_predictor()
    pixels = example(3).pixels
    embedding = base.encode(pixels)
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    answer = base.predict(embedding, CLICK)
    teach(tmp_path / "taught", base=base)
    taught = load_adapter(tmp_path / "taught", base)
    assert taught.encoder_key == base.encoder_key
    learned = taught.predict(embedding, CLICK)
    assert not np.array_equal(learned.logits, answer.logits)
    again = base.predict(embedding, CLICK)
    assert np.array_equal(again.logits, answer.logits)
    assert again.score == answer.score
    assert same(before, base.model.state_dict())


def test_the_loaded_adapter_answers_as_the_lesson_ended(tmp_path: Path) -> None:
    base = tiny_predictor()
    one = finished(teach(tmp_path / "one", base=base)).report
    taught = load_adapter(tmp_path / "one", base)
    held_out = [
        e
        for e in discs(10, 2).examples
        if e.index in {p["place"][2] for p in one["scores"]["after"]}
    ]
    assert len(held_out) == 2
    for entry in held_out:
        embedding = EmbeddingCache(None).keep(entry.key, base.encode(entry.pixels))
        mask = taught.predict_unprompted(embedding).mask
        scores = {s["place"][2]: s["unprompted"] for s in one["scores"]["after"]}
        both = np.count_nonzero(mask & entry.masks["disc"])
        total = np.count_nonzero(mask) + np.count_nonzero(entry.masks["disc"])
        assert scores[entry.index] == pytest.approx(2 * both / total)


class TestFewSlices:
    def test_one_mask_is_enough_and_is_not_measured(self, tmp_path: Path) -> None:
        report = finished(teach(tmp_path / "taught", discs(1))).report
        assert report["accepted"] is None
        assert report["before"] is None
        assert report["n"] == 0

    def test_seven_slices_are_all_learned_from(self, tmp_path: Path) -> None:
        events = teach(tmp_path / "taught", discs(7))
        assert not any(isinstance(event, Validated) for event in events)

    def test_all_masks_empty_is_refused(self) -> None:
        with pytest.raises(InputError, match=r"None of the 9 confirmed slices shows 'disc'"):
            discs(9, 9)


def test_segments_may_overlap_and_need_not_be_known_everywhere(tmp_path: Path) -> None:
    both = [
        replace(e, masks={"disc": e.masks["disc"], "core": disc(18, 22, 3)})
        for e in discs(10).examples
    ]
    both[3] = replace(both[3], masks={"disc": both[3].masks["disc"]})
    examples = ExampleSet(("disc", "core"), tuple(both))
    report = finished(teach(tmp_path / "taught", examples)).report
    assert set(report["segments"]) == {"disc", "core"}
    taught = load_adapter(tmp_path / "taught", tiny_predictor())
    embedding = taught.encode(both[0].pixels)
    with pytest.raises(InputError, match="'disc', 'core', not None"):
        taught.predict(embedding, CLICK)
    one = taught.predict(embedding, CLICK, segment="disc")
    other = taught.predict(embedding, CLICK, segment="core")
    assert not np.array_equal(one.logits, other.logits)


def test_slices_of_different_size_spacing_and_kind_are_taught_together(tmp_path: Path) -> None:
    examples = list(discs(9).examples)
    wide = disc(30, 40, 12, (50, 120))
    examples[2] = example(
        2, case="volume 2", pixels=slice_with(wide, 5), masks={"disc": wide}, spacing_mm=(2.0, 0.3)
    )
    tall = disc(100, 30, 20, (200, 64))
    colour = np.stack([slice_with(tall, n) for n in range(3)], axis=-1)
    examples[4] = example(4, case="volume 3", axis="j", pixels=colour, masks={"disc": tall})
    report = finished(teach(tmp_path / "taught", ExampleSet(("disc",), tuple(examples)))).report
    assert report["n"] == 2


def test_numbers_that_are_not_finite_end_the_lesson_with_a_reason(tmp_path: Path) -> None:
    base = tiny_predictor()
    with torch.no_grad():
        base.model.get_parameter("mask_decoder.iou_token.weight").fill_(float("nan"))
    with pytest.raises(TeachingError, match="diverged"):
        teach(tmp_path / "taught", config=replace(QUICK, steps=40, head_start=0.0), base=base)
    assert not (tmp_path / "taught").exists()


def test_a_single_bad_step_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from MedSAGaSlicerLib.engine.teaching import rounds

    original, calls = rounds.mask_loss, []

    def sometimes(*arguments: Any) -> torch.Tensor:
        calls.append(1)
        return original(*arguments) * (float("nan") if len(calls) == 7 else 1.0)

    monkeypatch.setattr(rounds, "mask_loss", sometimes)
    events = teach(tmp_path / "taught")
    assert [e.loss is None for e in events if isinstance(e, Progress)].count(True) == 1
    assert finished(events).report["skipped_steps"] == 1
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path / "taught").values())


class TestFullDisk:
    @pytest.fixture
    def full(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("safetensors.torch.save_file", fail)

    @pytest.mark.usefixtures("full")
    def test_a_state_that_cannot_be_saved_ends_the_lesson(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="No space left"):
            teach(tmp_path / "taught")
        assert not (tmp_path / "taught").exists()

    def test_the_adapter_before_stays_and_the_lesson_can_go_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        teach(tmp_path / "taught")
        before = weights(tmp_path / "taught")
        changed = replace(QUICK, seed=3)
        with monkeypatch.context() as patch:
            patch.setattr(
                "MedSAGaSlicerLib.engine.weight_files.write_tensors",
                lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")),
            )
            with pytest.raises(OSError, match="No space left"):
                teach(tmp_path / "taught", config=changed)
        assert same(before, weights(tmp_path / "taught"))
        assert sorted(p.name for p in tmp_path.iterdir()) == [".taught.lesson", "taught"]
        started = teach(tmp_path / "taught", config=changed)[0]
        assert isinstance(started, Started)
        assert started.done == 6
        assert not same(before, weights(tmp_path / "taught"))


def test_an_output_that_is_something_else_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("x")
    lesson = train(QUICK, discs(3), tiny_predictor(), tmp_path / "own", base_name="tiny")
    with pytest.raises(InputError, match="no taught model"):
        next(lesson)
    assert (tmp_path / "own" / "thesis.txt").exists()


def test_what_a_person_clicked_is_learned_from(tmp_path: Path) -> None:
    given = Prompts(((18.0, 15.0), (2.0, 2.0)), (True, False))
    examples = tuple(replace(e, prompts={"disc": given}) for e in discs(8).examples)
    teach(tmp_path / "with", ExampleSet(("disc",), examples))
    teach(tmp_path / "without", discs(8))
    assert not same(weights(tmp_path / "with"), weights(tmp_path / "without"))


def test_without_learned_prompts_only_the_model_changes(tmp_path: Path) -> None:
    base = tiny_predictor()
    teach(tmp_path / "taught", config=replace(QUICK, prompt_tokens=0), base=base)
    assert not any(name.startswith("learned") for name in weights(tmp_path / "taught"))
    taught = load_adapter(tmp_path / "taught", base)
    embedding = taught.encode(example(0).pixels)
    taught.predict(embedding, CLICK)
    with pytest.raises(InputError, match="needs points or a box"):
        taught.predict_unprompted(embedding)


def test_the_result_can_be_drawn_towards_the_base(tmp_path: Path) -> None:
    base = tiny_predictor()
    teach(tmp_path / "whole", config=replace(QUICK, share=1.0), base=base)
    teach(tmp_path / "half", config=replace(QUICK, share=0.5), base=base)
    name = "mask_decoder.iou_token.weight"
    start, whole = base.model.state_dict()[name], weights(tmp_path / "whole")[name]
    torch.testing.assert_close(weights(tmp_path / "half")[name], (start + whole) / 2)


def test_the_state_holds_no_python_objects(tmp_path: Path) -> None:
    lesson = train(QUICK, discs(8), tiny_predictor(), tmp_path / "a", base_name="tiny")
    for event in lesson:
        if isinstance(event, Saved):
            assert event.path.suffix == ".safetensors"
            tensors = read_tensors(event.path)
            assert any(name.startswith("optimizer.exp_avg.") for name in tensors)
            break
    lesson.close()
    assert state_module.FORMAT == 1
    assert SIDE == 64
