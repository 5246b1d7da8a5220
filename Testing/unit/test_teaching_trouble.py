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
from MedSAGaSlicerLib.engine.teaching.events import (
    Progress,
    Saved,
    Started,
    Validated,
)
from MedSAGaSlicerLib.engine.teaching.loop import train
from MedSAGaSlicerLib.engine.weight_files import read_tensors
from MedSAGaSlicerLib.errors import InputError, TeachingError

CLICK = Prompts(((20.0, 18.0),), (True,))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_tensors(folder / "weights.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


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
    # The finder is measured as it is before it learns from the slices kept aside.
    config = replace(QUICK, finder_updates=0)
    one = finished(teach(tmp_path / "one", config=config, base=base)).report
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
    teach(tmp_path / "taught", config=replace(QUICK, prompt_tokens=0, finder_updates=0), base=base)
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


def test_prompts_are_answered_by_drawn_weights_and_nothing_is_drawn_where_there_are_none(
    tmp_path: Path,
) -> None:
    base = tiny_predictor()
    embedding = base.encode(discs(1).examples[0].pixels)
    logits = {}
    for name, share in (("whole", 1.0), ("half", 0.5)):
        teach(tmp_path / name, config=replace(QUICK, share=share), base=base)
        taught = load_adapter(tmp_path / name, base)
        click = Prompts(((16.0, 14.0),), (True,))
        logits[name] = (
            taught.predict(embedding, click).logits,
            taught.predict_unprompted(embedding).logits,
        )
    assert not np.array_equal(logits["whole"][0], logits["half"][0])
    assert np.array_equal(logits["whole"][1], logits["half"][1])


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
