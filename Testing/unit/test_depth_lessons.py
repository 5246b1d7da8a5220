"""Lessons with neighbouring slices: taught, loaded, resumed, planned, asked of a worker."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lessons import QUICK, deep_example, discs, finished, teach, tiny_predictor
from stage import SAFETY_S, Stage, only

from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.examples import ExampleSet
from MedSAGaSlicerLib.engine.families import build
from MedSAGaSlicerLib.engine.neighbours import stacked
from MedSAGaSlicerLib.engine.predictor import Predictor
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.engine.regions.looking import looking
from MedSAGaSlicerLib.engine.teaching.adapter_folder import read_description
from MedSAGaSlicerLib.engine.teaching.adapters import load_adapter
from MedSAGaSlicerLib.engine.teaching.block_adapters import add_encoder_adapters, is_adapter
from MedSAGaSlicerLib.engine.teaching.careful import teach as teach_carefully
from MedSAGaSlicerLib.engine.teaching.choice import Machine
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.depth_branch import add_depth_branches
from MedSAGaSlicerLib.engine.teaching.events import Planned, Progress, Started
from MedSAGaSlicerLib.engine.teaching.loop import train
from MedSAGaSlicerLib.engine.teaching.memory_plan import (
    Circumstances,
    plan_memory,
    trained_parameters,
)
from MedSAGaSlicerLib.engine.teaching.model_costs import cost_of
from MedSAGaSlicerLib.engine.teaching.plan_table import plan_rows
from MedSAGaSlicerLib.engine.teaching.shared_copy import shared_copy
from MedSAGaSlicerLib.engine.teaching.time_plan import Speed, plan_time
from MedSAGaSlicerLib.engine.weight_files import read_tensors
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.worker.events import Decoded, Failed, Found, Stats

CLICK = Prompts(((20.0, 18.0),), (True,))
DEEP = replace(QUICK, method="adapter", depth=3)


def base_of() -> Predictor:
    return tiny_predictor(depth=3)


def deep_discs(count: int = 10, empty: int = 2) -> ExampleSet:
    examples = [deep_example(n, empty=n >= count - empty) for n in range(count)]
    return ExampleSet(("disc",), tuple(examples))


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taught") / "adapter"
    teach(folder, deep_discs(), DEEP, tiny_predictor())
    return folder


class TestLesson:
    def test_it_leaves_a_model_that_looks_at_neighbours(self, tmp_path: Path) -> None:
        base = base_of()
        before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
        # The finder is measured as it is before it learns from the slices kept aside.
        config = replace(DEEP, finder_updates=0)
        report = finished(teach(tmp_path / "taught", deep_discs(), config, base)).report
        assert report["depth"] == 3
        assert all(torch.equal(before[n], t) for n, t in base.model.state_dict().items())
        assert read_description(tmp_path / "taught").depth == 3
        model = load_adapter(tmp_path / "taught", base)
        assert model.depth == 3
        assert model.encoder_key != base.encoder_key
        one = deep_example(3)
        shown = one.shown(3)
        other = np.concatenate([shown[:2], 255 - shown[2:]])
        assert not np.array_equal(model.encode(shown).features, model.encode(other).features)
        with pytest.raises(InputError, match="taught with neighbours and looks at 3 slices"):
            model.encode(one.pixels)
        # What is measured at the end is what the folder holds.
        for score in report["scores"]["after"]:
            held_out = next(e for e in deep_discs().examples if e.index == score["place"][2])
            embedding = EmbeddingCache(None).keep("any", model.encode(held_out.shown(3)))
            mask = model.predict_unprompted(embedding).mask
            both = 2 * np.count_nonzero(mask & held_out.masks["disc"])
            total = np.count_nonzero(mask) + np.count_nonzero(held_out.masks["disc"])
            assert score["unprompted"] == pytest.approx(both / total)

    def test_every_branch_has_moved(self, taught: Path) -> None:
        found = read_tensors(taught / "weights.safetensors")
        assert found["image_encoder.blocks.0.adapter.nearness"].shape == (3,)
        assert found["image_encoder.blocks.0.adapter.nearness"].abs().max() > 0
        assert found["image_encoder.blocks.0.adapter.up.weight"].abs().max() > 0

    def test_it_goes_on_bit_for_bit(self, tmp_path: Path) -> None:
        teach(tmp_path / "whole", deep_discs(), DEEP, base_of())
        lesson = train(DEEP, deep_discs(), base_of(), tmp_path / "cut", base_name="tiny")
        for event in lesson:
            if isinstance(event, Progress) and event.step == 4:
                break
        lesson.close()
        started = teach(tmp_path / "cut", deep_discs(), DEEP, base_of())[0]
        assert isinstance(started, Started)
        assert started.done == 4
        one, other = (read_tensors(tmp_path / n / "weights.safetensors") for n in ("whole", "cut"))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)

    def test_other_neighbours_are_another_lesson(self, tmp_path: Path) -> None:
        lesson = train(DEEP, deep_discs(), base_of(), tmp_path / "cut", base_name="tiny")
        for event in lesson:
            if isinstance(event, Progress) and event.step == 4:
                break
        lesson.close()
        first, *others = deep_discs().examples
        assert first.neighbours is not None
        changed = replace(first, neighbours=first.neighbours[::-1].copy())
        examples = ExampleSet(("disc",), (changed, *others))
        started = teach(tmp_path / "cut", examples, DEEP, base_of())[0]
        assert isinstance(started, Started)
        assert started.done == 0

    def test_a_lesson_on_single_slices_has_nothing_of_it(self, tmp_path: Path) -> None:
        config = replace(DEEP, depth=1)
        teach(tmp_path / "deep", deep_discs(), config, base_of())
        teach(tmp_path / "old", discs(10, 2), config, base_of())
        one, other = (read_tensors(tmp_path / n / "weights.safetensors") for n in ("deep", "old"))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
        assert not any("nearness" in name for name in one)
        assert load_adapter(tmp_path / "old", base_of()).depth == 1

    def test_examples_of_before_are_refused_and_nothing_is_left(self, tmp_path: Path) -> None:
        examples = ExampleSet(("disc",), (*deep_discs(9).examples, *discs(10).examples[9:]))
        with pytest.raises(InputError, match=r"kept without its neighbours.*Teach with depth 1"):
            teach(tmp_path / "taught", examples, DEEP, base_of())
        assert not (tmp_path / "taught").exists()

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"depth": 2}, "depth of a lesson is 2; it must be an odd number"),
            ({"depth": 0}, "an odd number"),
            ({"method": "lora"}, "depth of a lesson is 3; it must be 1, unless the method is"),
        ],
    )
    def test_settings_that_make_no_sense_are_refused(
        self, changes: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(InputError, match=words):
            replace(DEEP, **changes)

    def test_folders_of_before_say_nothing_of_it(self, taught: Path, tmp_path: Path) -> None:
        fields = json.loads((taught / "model.json").read_text())
        fields["config"].pop("depth")
        (tmp_path / "model.json").write_text(json.dumps(fields))
        assert read_description(tmp_path).depth == 1


class TestPlan:
    def test_what_it_trains_is_counted(self) -> None:
        for family in ("starter", "sam_vit_b", "mobile_sam"):
            encoder = shared_copy(build(family, "meta").image_encoder)
            add_depth_branches(encoder, 3, 0)
            add_encoder_adapters(encoder, 0)
            expected = sum(p.numel() for n, p in encoder.named_parameters() if is_adapter(n))
            trained, _ = trained_parameters(cost_of(family), "adapter", 4, 3)
            assert trained == pytest.approx(expected, rel=0.06)

    def test_it_takes_more_memory_and_time_and_other_methods_take_none(self) -> None:
        alone, three = Circumstances(), Circumstances(depth=3)
        cost, speed = cost_of("sam_vit_b"), Speed(80e9)
        assert plan_memory(cost, "adapter", three).total > plan_memory(cost, "adapter", alone).total
        one, other = (plan_time(cost, "adapter", given, speed).step for given in (alone, three))
        assert 2 < other / one < 3
        assert plan_memory(cost, "lora", three) == plan_memory(cost, "lora", alone)
        assert plan_time(cost, "lora", three, speed) == plan_time(cost, "lora", alone, speed)

    def test_the_table_of_methods_has_it_for_the_one_that_can(self) -> None:
        machine = Machine("cpu", None, Speed(80e9))
        alone, three = (
            plan_rows("starter", machine, 15, config=TeachingConfig("adapter", depth=depth))
            for depth in (1, 3)
        )
        changed = [one["method"] for one, other in zip(alone, three, strict=True) if one != other]
        assert changed == ["adapter"]

    def test_a_lesson_is_announced_with_it(self, tmp_path: Path) -> None:
        peaks = []
        for config in (replace(DEEP, depth=1), DEEP):
            events = teach_carefully(
                config, deep_discs(), base_of(), tmp_path / "out", base_name="tiny"
            )
            planned = next(event for event in events if isinstance(event, Planned))
            events.close()
            peaks.append((planned.peak, planned.seconds))
        assert peaks[1][0] > peaks[0][0]


class TestInUse:
    def test_objects_in_small_boxes_are_looked_at_from_near_among_neighbours(
        self, taught: Path
    ) -> None:
        model = looking(load_adapter(taught, tiny_predictor()), RegionChoice())
        size = (128, 160)
        pixels = np.random.default_rng(0).integers(0, 255, (3, *size, 1)).astype(np.uint8)
        embedding = model.encode(pixels)
        assert embedding.size == size
        mask = model.predict(embedding, Prompts(box=(60.0, 60.0, 70.0, 70.0))).mask
        assert mask.shape == size
        assert len(embedding.parts) == 1

    def test_the_worker_answers_by_it_beside_others(self, stage: Stage, taught: Path) -> None:
        one = deep_example(1)
        shown, model = one.shown(3), load_adapter(taught, tiny_predictor())
        embedding = EmbeddingCache(None).keep("any", model.encode(shown))
        expected = model.predict(embedding, CLICK).score
        client = stage.started(
            model="tiny",
            predictor="tiny_model:load",
            adapters="MedSAGaSlicerLib.engine.teaching.adapters:load_adapter",
        )
        folder, key = str(taught), slice_key(shown)
        for _ in range(2):
            asked = client.decode(key, CLICK, pixels=lambda: shown, taught=(folder, "disc"))
            answer = only(client.wait(asked, timeout_s=SAFETY_S), Decoded)
            assert answer.score == pytest.approx(expected, abs=1e-6)
            assert answer.mask.shape == one.size
            plain = client.decode(one.key, CLICK, pixels=lambda: one.pixels)
            assert only(client.wait(plain, timeout_s=SAFETY_S), Decoded).score != answer.score
        asked = client.find(key, folder, ["disc"], pixels=lambda: shown)
        found = only(client.wait(asked, timeout_s=SAFETY_S), Found)
        assert found.finding.evidence.shape == (1, *one.size)
        stats = only(client.wait(client.stats(), timeout_s=SAFETY_S), Stats)
        assert stats.values["encoded"] == 2
        # Other neighbours are another embedding.
        turned = shown[::-1].copy()
        assert slice_key(turned) != key
        # Whoever forgets them, or adds some, is told.
        for pixels, options in ((one.pixels, {"taught": (folder, "disc")}), (shown, {})):
            asked = client.decode(slice_key(pixels), CLICK, pixels=lambda p=pixels: p, **options)
            failed = only(client.wait(asked, timeout_s=SAFETY_S), Failed)
            assert failed.kind == "input"
            assert "looks at" in failed.message


def test_stacks_may_be_in_colour(taught: Path) -> None:
    grey = deep_example(1).shown(3)
    model = load_adapter(taught, tiny_predictor())
    colour = np.repeat(grey, 3, axis=3)
    one, other = model.encode(grey), model.encode(colour)
    np.testing.assert_allclose(one.features, other.features, atol=1e-5)
    assert slice_key(grey) != slice_key(colour)
    assert stacked([colour[0]] * 3).shape == colour.shape


def test_it_encodes_in_reduced_precision_too(taught: Path) -> None:
    shown, full = deep_example(1).shown(3), load_adapter(taught, tiny_predictor())
    half = load_adapter(taught, Predictor(tiny_predictor().model, precision="bfloat16"))
    one, other = full.encode(shown).features, half.encode(shown).features
    assert 0 < np.abs(one - other).max() < 0.1 * np.abs(one).max()


def test_the_setting_is_off_by_default() -> None:
    assert TeachingConfig().depth == 1
