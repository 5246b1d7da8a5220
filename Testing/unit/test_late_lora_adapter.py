"""Lessons in which the encoder learns too: what they leave, load, resume and refuse."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lessons import QUICK, discs, example, finished, teach, tiny_predictor
from stage import SAFETY_S, Stage, only

from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.predictor import Predictor
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.teaching.adapters import load_adapter
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import Progress, Started
from MedSAGaSlicerLib.engine.teaching.late_method import LateMethod
from MedSAGaSlicerLib.engine.teaching.loop import train
from MedSAGaSlicerLib.engine.teaching.planning import make_method, settled
from MedSAGaSlicerLib.engine.weight_files import read_tensors
from MedSAGaSlicerLib.errors import CheckpointError, InputError
from MedSAGaSlicerLib.worker.events import Decoded, Stats

CLICK = Prompts(((20.0, 18.0),), (True,))
METHODS = ("late", "lora", "adapter")


def config_of(method: str, **changes: Any) -> TeachingConfig:
    return replace(QUICK, method=method, **changes)


def base_of(seed: int = 0) -> Predictor:
    return tiny_predictor(seed, depth=3)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_tensors(folder / "weights.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


@pytest.mark.parametrize("method", METHODS)
class TestEach:
    def test_it_leaves_an_adapter_with_an_encoder_of_its_own(
        self, tmp_path: Path, method: str
    ) -> None:
        base = base_of()
        before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
        # The finder is measured as it is before it learns from the slices kept aside.
        config = replace(config_of(method), finder_updates=0)
        report = finished(teach(tmp_path / "taught", config=config, base=base)).report
        assert report["method"] == method
        assert same(before, base.model.state_dict())
        taught = load_adapter(tmp_path / "taught", base)
        assert taught.encoder_key != base.encoder_key
        pixels = example(3).pixels
        one, other = base.encode(pixels), taught.encode(pixels)
        assert not np.array_equal(one.features, other.features)
        with pytest.raises(InputError, match="another encoder"):
            taught.predict(one, CLICK)
        assert not np.array_equal(
            base.predict(one, CLICK).logits, taught.predict(other, CLICK).logits
        )
        # What is measured at the end is what the folder holds.
        for score in report["scores"]["after"]:
            held_out = next(e for e in discs(10, 2).examples if e.index == score["place"][2])
            embedding = EmbeddingCache(None).keep(held_out.key, taught.encode(held_out.pixels))
            mask = taught.predict_unprompted(embedding).mask
            both = 2 * np.count_nonzero(mask & held_out.masks["disc"])
            total = np.count_nonzero(mask) + np.count_nonzero(held_out.masks["disc"])
            assert score["unprompted"] == pytest.approx(both / total)

    def test_it_goes_on_bit_for_bit(self, tmp_path: Path, method: str) -> None:
        config = config_of(method)
        teach(tmp_path / "whole", config=config, base=base_of())
        lesson = train(config, discs(10, 2), base_of(), tmp_path / "cut", base_name="tiny")
        for event in lesson:
            if isinstance(event, Progress) and event.step == 4:
                break
        lesson.close()
        events = teach(tmp_path / "cut", config=config, base=base_of())
        started = events[0]
        assert isinstance(started, Started)
        assert started.done == 4
        assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))

    def test_a_damaged_or_foreign_folder_is_refused(self, tmp_path: Path, method: str) -> None:
        import safetensors.torch

        teach(tmp_path / "taught", config=config_of(method), base=base_of())
        with pytest.raises(CheckpointError, match="other weights"):
            load_adapter(tmp_path / "taught", base_of(seed=1))
        found = weights(tmp_path / "taught")
        gone = next(name for name in found if name.startswith("image_encoder."))
        first = found.pop(gone)
        path = tmp_path / "taught" / "weights.safetensors"
        safetensors.torch.save_file({**found, gone + "x": first}, path)
        with pytest.raises(CheckpointError, match="do not fit"):
            load_adapter(tmp_path / "taught", base_of())


# Random blocks do not become useful by small networks inside them; those are shown to move below.
@pytest.mark.parametrize("method", ["late", "lora"])
def test_it_learns(tmp_path: Path, method: str) -> None:
    config = TeachingConfig(
        method=method,
        steps=60,
        batch=4,
        rounds=1,
        views=2,
        guesses=2,
        head_start=0.1,
        learning_rate=5e-3,
        share=1.0,
    )
    events = teach(tmp_path / "taught", discs(12, 2), config, base_of())
    losses = [event.loss for event in events if isinstance(event, Progress)][6:]
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])


def test_an_adapter_of_low_rank_is_small_and_keeps_the_decoder_whole(tmp_path: Path) -> None:
    teach(tmp_path / "taught", config=config_of("lora", rank=2), base=base_of())
    own = {n: t for n, t in weights(tmp_path / "taught").items() if n.startswith("image_encoder.")}
    assert sum(tensor.numel() for tensor in own.values()) == 3 * 2 * 2 * 32 * 2


def test_a_rank_above_the_smaller_side_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rank is 33; on this model .* from 1 to 32"):
        teach(tmp_path / "taught", config=config_of("lora", rank=33), base=base_of())


def test_an_adapter_of_the_blocks_keeps_no_weight_of_the_model(tmp_path: Path) -> None:
    teach(tmp_path / "taught", config=config_of("adapter"), base=base_of())
    names = {
        n for n in weights(tmp_path / "taught") if not n.startswith(("learned_prompt.", "finder."))
    }
    assert all(".adapter." in name for name in names)
    places = {name.rpartition(".adapter.")[0] for name in names}
    # Two in each of three encoder blocks, three in the one block of the decoder.
    assert len(places) == 3 * 2 + 3
    found = weights(tmp_path / "taught")
    assert all(found[f"{place}.adapter.up.weight"].abs().max() > 0 for place in places)


class TestTrunkCache:
    def method(self, cache: EmbeddingCache, base: Predictor | None = None) -> LateMethod:
        base = base or base_of()
        config = settled(config_of("late"), base.model)
        made = make_method(config, base, ["disc"], cache, 1)
        assert isinstance(made, LateMethod)
        return made

    def run(self, cache: EmbeddingCache, base: Predictor | None = None) -> int:
        """How often a lesson runs the trunk."""
        base, runs = base or base_of(), []
        first = base.model.image_encoder.patch_embed
        handle = first.register_forward_hook(lambda *_: runs.append(1))
        examples = discs(4)
        config = settled(config_of("late"), base.model)
        folder = Path(str(cache.folder)).parent if cache.folder else Path("unused")
        lesson = train(config, examples, base, folder / "out", base_name="", cache=cache)
        for event in lesson:
            if isinstance(event, Progress) and event.step == 4:
                break
        lesson.close()
        handle.remove()
        return len(runs)

    def test_each_view_goes_through_the_trunk_once_and_never_again(self, tmp_path: Path) -> None:
        # Four slices in two views; the base's embedding is made of the same pass.
        assert self.run(EmbeddingCache(tmp_path / "cache")) == 8
        assert self.run(EmbeddingCache(tmp_path / "cache")) == 0

    def test_what_it_caches_is_what_the_base_encodes(self, tmp_path: Path) -> None:
        cache, base = EmbeddingCache(tmp_path / "cache"), base_of()
        self.run(cache, base)
        key = example(2).key
        found = cache.get(key, base.encoder_key)
        assert found is not None
        expected = base.encode(example(2).pixels).features.astype(np.float16)
        assert np.array_equal(found.features, expected)

    def test_a_base_that_changed_since_finds_nothing_old(self, tmp_path: Path) -> None:
        assert self.run(EmbeddingCache(tmp_path / "cache")) == 8
        changed = base_of()
        with torch.no_grad():
            changed.model.get_parameter("image_encoder.blocks.0.mlp.lin1.weight")[0, 0] += 0.1
        assert self.run(EmbeddingCache(tmp_path / "cache"), changed) == 8

    def test_a_full_disk_costs_nothing_but_memory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        # Of memory there is room for hardly one: what is not on disk must be held.
        cache = EmbeddingCache(tmp_path / "cache", ram_bytes=1000)
        monkeypatch.setattr(Path, "write_bytes", full)
        assert self.run(cache) == 8
        assert cache.problem is not None
        assert "No space left" in cache.problem

    def test_deleted_and_damaged_files_are_made_anew(self, tmp_path: Path) -> None:
        self.run(EmbeddingCache(tmp_path / "cache"))
        files = sorted((tmp_path / "cache").glob("*.npy"))
        for number, path in enumerate(files):
            if number % 2:
                path.unlink()
            else:
                path.write_bytes(path.read_bytes()[:-300] + bytes(300))
        assert self.run(EmbeddingCache(tmp_path / "cache")) == 8


def test_the_worker_answers_each_segment_by_its_own_kind_of_adapter(
    stage: Stage, tmp_path: Path
) -> None:
    expected = {}
    shown = example(1)
    for method in ("decoder", *METHODS):
        base = tiny_predictor()
        teach(tmp_path / method, config=config_of(method), base=base)
        taught = load_adapter(tmp_path / method, base)
        embedding = EmbeddingCache(None).keep(shown.key, taught.encode(shown.pixels))
        expected[method] = taught.predict(embedding, CLICK, segment="disc").score
    client = stage.started(
        model="tiny",
        predictor="tiny_model:load",
        adapters="MedSAGaSlicerLib.engine.teaching.adapters:load_adapter",
    )
    client.encode(shown.key, shown.pixels)

    def answer(**options: Any) -> Decoded:
        request = client.decode(shown.key, CLICK, **options)
        return only(client.wait(request, timeout_s=SAFETY_S), Decoded)

    plain = answer()
    for _ in range(2):
        for method, score in expected.items():
            taught_by = (str(tmp_path / method), "disc")
            found = answer(pixels=lambda: shown.pixels, taught=taught_by)
            assert found.score == pytest.approx(score, abs=1e-6)
    assert answer().score == plain.score
    assert len({round(score, 6) for score in expected.values()}) == 4
    stats = only(client.wait(client.stats(), timeout_s=SAFETY_S), Stats)
    # One embedding of the base, which the decoder's adapter shares, and one of each encoder.
    assert stats.values["encoded"] == 4
