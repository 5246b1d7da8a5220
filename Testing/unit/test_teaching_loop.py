"""A lesson from beginning to end: what it tells, what it leaves, and how it can be interrupted."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lessons import QUICK, discs, finished, teach, tiny_predictor

from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.examples import ExampleSet
from MedSAGaSlicerLib.engine.teaching import state as state_module
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


def test_what_is_kept_aside_is_measured_twice_and_teaches_the_finder_alone(
    tmp_path: Path,
) -> None:
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
    for of_finder in (False, True):
        one, other = (
            {n: t for n, t in weights(tmp_path / f).items() if n.startswith("finder.") == of_finder}
            for f in ("a", "b")
        )
        assert same(one, other) is not of_finder


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
