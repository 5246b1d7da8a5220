"""Lessons through the whole encoder: what they leave, what goes wrong, and how they go on."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from encoder_lessons import CLICK, METHODS, base_of, config_of, weights
from lessons import discs, example, finished, teach

from MedSAGaSlicerLib.engine.families import architecture, build_architecture
from MedSAGaSlicerLib.engine.predictor import Predictor
from MedSAGaSlicerLib.engine.teaching.adapters import load_adapter
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import Progress, Started, Validated
from MedSAGaSlicerLib.engine.teaching.loop import train
from MedSAGaSlicerLib.engine.teaching.planning import settled
from MedSAGaSlicerLib.engine.teaching.rounds import Rounds
from MedSAGaSlicerLib.errors import CheckpointError, InputError, MemoryShortageError, TeachingError

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("galore_torch") is None, reason="galore-torch is not installed"
)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


@pytest.mark.parametrize("method", METHODS)
class TestBoth:
    def test_the_encoder_changes_and_the_base_stays(self, tmp_path: Path, method: str) -> None:
        base = base_of()
        before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
        report = finished(teach(tmp_path / "taught", config=config_of(method), base=base)).report
        assert report["method"] == method
        assert report["after"] != report["before"]
        assert same(before, base.model.state_dict())
        taught = load_adapter(tmp_path / "taught", base)
        assert taught.encoder_key != base.encoder_key
        pixels = example(3).pixels
        one, other = base.encode(pixels), taught.encode(pixels)
        assert not np.array_equal(one.features, other.features)
        taught.predict(other, CLICK)
        with pytest.raises(InputError, match="another encoder"):
            taught.predict(one, CLICK)

    def test_differences_of_the_encoder_are_kept_in_half_and_the_decoder_whole(
        self, tmp_path: Path, method: str
    ) -> None:
        base = base_of()
        teach(tmp_path / "taught", config=config_of(method), base=base)
        kept = weights(tmp_path / "taught")
        encoder = {name for name in kept if name.startswith("image_encoder.")}
        assert {kept[name].dtype for name in encoder} == {torch.float16}
        decoder = {name for name in kept if name.startswith(("mask_decoder", "prompt_encoder"))}
        assert {kept[name].dtype for name in decoder} == {torch.float32}
        names = {n for n, _ in base.model.named_parameters() if n.startswith("image_encoder.")}
        assert encoder == names
        # Differences: far smaller than the weights, as the steps were few and small.
        name = "image_encoder.blocks.0.mlp.lin1.weight"
        assert 0 < kept[name].abs().max() < 0.1 * base.model.get_parameter(name).abs().max()

    def test_the_adapter_answers_as_the_lesson_measured(self, tmp_path: Path, method: str) -> None:
        base = base_of()
        # The finder is measured as it is before it learns from the slices kept aside.
        config = replace(config_of(method), finder_updates=0)
        report = finished(teach(tmp_path / "taught", config=config, base=base)).report
        taught = load_adapter(tmp_path / "taught", base)
        for score in report["scores"]["after"]:
            (shown,) = (e for e in discs(10, 2).examples if list(e.place) == list(score["place"]))
            features = taught.encode(shown.pixels)
            rounded = replace(features, features=features.features.astype(np.float16))
            mask = taught.predict_unprompted(rounded).mask
            both = np.count_nonzero(mask & shown.masks["disc"])
            total = np.count_nonzero(mask) + np.count_nonzero(shown.masks["disc"])
            assert score["unprompted"] == pytest.approx(2 * both / total)

    @pytest.mark.parametrize("steps", [1, 4])
    def test_it_goes_on_bit_for_bit(self, tmp_path: Path, method: str, steps: int) -> None:
        config = config_of(method)
        teach(tmp_path / "whole", config=config, base=base_of())
        lesson = train(config, discs(10, 2), base_of(), tmp_path / "cut", base_name="tiny")
        for event in lesson:
            if isinstance(event, Progress) and event.step == steps:
                break
        lesson.close()
        started = teach(tmp_path / "cut", config=config, base=base_of())[0]
        assert isinstance(started, Started)
        assert started.done == steps
        assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))

    def test_weights_that_do_not_fit_are_refused(self, tmp_path: Path, method: str) -> None:
        base = base_of()
        teach(tmp_path / "taught", config=config_of(method), base=base)
        path = tmp_path / "taught" / "weights.safetensors"
        with safetensors.safe_open(path, framework="pt") as file:
            about = file.metadata()
        kept = weights(tmp_path / "taught")
        name = "image_encoder.neck.0.weight"
        unknown = {**kept, "image_encoder.nowhere": kept[name].clone()}
        for changed in (unknown, {**kept, name: kept[name][1:].clone()}):
            path.unlink()
            safetensors.torch.save_file(changed, path, metadata=about)
            with pytest.raises(CheckpointError, match="do not fit"):
                load_adapter(tmp_path / "taught", base)

    def test_objects_may_go_through_the_encoder_one_by_one(
        self, tmp_path: Path, method: str
    ) -> None:
        whole = config_of(method, batch=3, prompt_tokens=0)
        for name, at_once in (("one", 1), ("two", 2)):
            teach(tmp_path / name, config=replace(whole, at_once=at_once), base=base_of())
        assert not same(weights(tmp_path / "one"), weights(tmp_path / "two"))


@pytest.mark.parametrize("method", ["late", "lora", "adapter", *METHODS])
def test_the_encoder_stays_until_the_decoder_knows_the_structure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    config = config_of(method, steps=12, head_start=0.25, encoder_start=0.5)
    assert (config.head_steps, config.still_steps) == (3, 7)
    base, passes, original = base_of(), [], Rounds.step

    def step(self: Rounds, *arguments: Any, **options: Any) -> Any:
        runs: list[int] = []
        taught = self._method.model.image_encoder
        handle = taught.neck.register_forward_hook(lambda *_: runs.append(1))
        outcome = original(self, *arguments, **options)
        handle.remove()
        grown = [p.grad is not None for n, p in taught.named_parameters() if p.requires_grad]
        passes.append((len(runs), any(grown)))
        return outcome

    monkeypatch.setattr(Rounds, "step", step)
    report = finished(teach(tmp_path / "taught", config=config, base=base)).report
    assert report["steps"] == 12
    # Four steps on embeddings that were cached, then five through the encoder, once each.
    assert [runs for runs, _ in passes] == [0] * 4 + [1] * 5
    assert not any(grown for _, grown in passes[:4])
    if method != "galore":
        # Its gradients are gone as soon as they are there.
        assert all(grown for _, grown in passes[4:])


def test_a_method_says_when_its_encoder_begins_unless_the_settings_do() -> None:
    model = base_of().model
    assert settled(TeachingConfig(method="decoder"), model).still_steps == 100
    assert settled(TeachingConfig(method="lora"), model).still_steps == 250
    given = TeachingConfig(method="lora", encoder_start=0.9, prompt_tokens=0)
    assert settled(given, model).still_steps == 360


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["sam_vit_b", "sam_med2d_b", "lite_medsam"])
def test_every_kind_of_encoder_can_be_taught(tmp_path: Path, family: str, method: str) -> None:
    known = architecture(family)
    small = {"dim": 48, "depth": 2, "heads": 3, "global_blocks": (1,)} if known.dim else {}
    shape = replace(known, image_size=64, grid=16 if family == "lite_medsam" else 8, **small)
    torch.manual_seed(0)
    base = Predictor(build_architecture(family, shape))
    config = replace(config_of(method), steps=2, batch=1, guesses=1, views=1, head_start=0.4)
    report = finished(teach(tmp_path / "taught", discs(3), config, base)).report
    assert report["skipped_steps"] == 0
    taught = load_adapter(tmp_path / "taught", base)
    pixels = example(3).pixels
    moved = np.abs(base.encode(pixels).features - taught.encode(pixels).features).max()
    assert moved > 0


def test_galore_says_how_small_its_state_is(tmp_path: Path) -> None:
    base = base_of()
    teach(tmp_path / "taught", config=config_of("galore"), base=base)
    report = json.loads((tmp_path / "taught" / "report.json").read_text())
    facts = report["galore"]
    assert facts["rank"] == 4
    assert facts["projected"] >= 1
    assert facts["compression"] > 1
    assert facts["state_bytes"] < facts["adamw_state_bytes"]


def test_a_lesson_through_the_encoder_learns(tmp_path: Path) -> None:
    config = TeachingConfig(
        method="galore",
        rank=8,
        steps=60,
        batch=4,
        rounds=2,
        views=2,
        guesses=4,
        learning_rate=5e-3,
        encoder_rate=0.2,
        share=1.0,
    )
    report = finished(teach(tmp_path / "taught", discs(12, 2), config)).report
    assert report["after"] > report["before"] + 0.2


@pytest.mark.parametrize("rank", [32, 4000])
def test_a_rank_that_leaves_nothing_to_project_is_refused(tmp_path: Path, rank: int) -> None:
    config = replace(config_of("galore"), rank=rank)
    with pytest.raises(InputError, match=rf"rank {rank} .*at most 32.*lower rank"):
        teach(tmp_path / "taught", config=config, base=base_of())
    assert not any(tmp_path.iterdir())


class TestLittleMemory:
    CONFIG = replace(
        config_of("galore"), steps=52, batch=1, rounds=1, prompt_tokens=0, save_every=100
    )

    @pytest.mark.parametrize("at", [1, 50])
    @pytest.mark.parametrize(
        "error",
        [
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has"),
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"
            ),
        ],
    )
    def test_the_lesson_ends_with_advice_and_keeps_its_state(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, error: Exception
    ) -> None:
        steps = self.CONFIG.steps if at == 50 else 3
        config = replace(self.CONFIG, steps=steps)
        original, calls = Rounds.step, []

        def short(self: Rounds, *arguments: Any, **options: Any) -> Any:
            outcome = original(self, *arguments, **options)
            calls.append(1)
            if len(calls) == at:
                raise error
            return outcome

        with monkeypatch.context() as patch:
            patch.setattr(Rounds, "step", short)
            with pytest.raises(MemoryShortageError, match=r"too little memory on cpu.*decoder"):
                teach(tmp_path / "taught", config=config, base=base_of())
        assert [path.name for path in tmp_path.iterdir()] == [".taught.lesson"]
        events = teach(tmp_path / "taught", config=config, base=base_of())
        assert isinstance(events[0], Started)
        assert events[0].done == at - 1
        # What was measured before is not measured again.
        assert [e.moment for e in events if isinstance(e, Validated)] == ["after"]
        if at > 1 and isinstance(error, torch.OutOfMemoryError):
            teach(tmp_path / "whole", config=config, base=base_of())
            assert same(weights(tmp_path / "whole"), weights(tmp_path / "taught"))

    def test_half_an_update_is_not_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = config_of("full")
        calls: list[int] = []
        original = torch.optim.AdamW.step

        def short(self: torch.optim.AdamW, closure: Any = None) -> Any:
            calls.append(1)
            # The fourth of the method's: the finder's come in between.
            if len(calls) == 7:
                raise torch.OutOfMemoryError
            return original(self, closure)

        with monkeypatch.context() as patch:
            patch.setattr(torch.optim.AdamW, "step", short)
            with pytest.raises(TeachingError, match="too little memory"):
                teach(tmp_path / "taught", config=config, base=base_of())
        started = teach(tmp_path / "taught", config=config, base=base_of())[0]
        assert isinstance(started, Started)
        assert started.done == 2

    def test_other_errors_are_not_taken_for_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any, **__: Any) -> None:
            msg = "shapes cannot be multiplied"
            raise RuntimeError(msg)

        monkeypatch.setattr(Rounds, "step", fail)
        with pytest.raises(RuntimeError, match="multiplied"):
            teach(tmp_path / "taught", config=config_of("full"), base=base_of())
