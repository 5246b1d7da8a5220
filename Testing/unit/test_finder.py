"""What segments without prompts: it learns in a lesson, from the slices' looks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lessons import QUICK, discs, example, finished, teach, tiny_predictor
from safetensors.torch import load_file, save_file

from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.examples import Example, ExampleSet
from MedSAGaSlicerLib.engine.look import LOOK_SIDE, look_of
from MedSAGaSlicerLib.engine.metrics import dice
from MedSAGaSlicerLib.engine.teaching.adapters import load_adapter
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.finder import Finder, expected_iou
from MedSAGaSlicerLib.engine.teaching.finder_lesson import FinderLesson
from MedSAGaSlicerLib.engine.teaching.loop import train
from MedSAGaSlicerLib.errors import CheckpointError, InputError

CPU = torch.device("cpu")


def lesson_on(
    examples: ExampleSet, steps: int, updates: int = 1, aside: tuple[Example, ...] = ()
) -> FinderLesson:
    config = TeachingConfig(steps=steps, finder_updates=updates)
    return FinderLesson(examples.examples, aside, examples.segments, config, CPU)


def finder_of(lesson: FinderLesson) -> Finder:
    found = lesson.finder()
    assert found is not None
    return found


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


class TestLooks:
    def test_a_look_is_the_slice_small_and_grey(self) -> None:
        pixels = np.zeros((300, 200, 3), np.uint8)
        pixels[:150, :, 0] = 90
        look = look_of(pixels)
        assert look.shape == (LOOK_SIDE, LOOK_SIDE * 2 // 3)
        assert look.dtype == np.uint8
        assert (look[2, 2], look[-3, -3]) == (30, 0)

    def test_a_small_slice_is_enlarged(self) -> None:
        assert look_of(np.full((6, 2), 7, np.uint8)).shape == (LOOK_SIDE, LOOK_SIDE // 3)

    def test_a_line_of_pixels_keeps_one(self) -> None:
        assert look_of(np.full((1000, 1), 7, np.uint8)).shape == (LOOK_SIDE, 1)

    def test_every_embedding_has_one_and_the_cache_keeps_it(self, tmp_path: Path) -> None:
        base, pixels = tiny_predictor(), example(3).pixels
        cache, key = EmbeddingCache(tmp_path), slice_key(pixels)
        made = base.encode(pixels)
        cache.store(key, cache.keep(key, made))
        found = EmbeddingCache(tmp_path).get(key, base.encoder_key)
        assert found is not None
        np.testing.assert_array_equal(found.look, look_of(pixels))
        np.testing.assert_array_equal(found.features, made.features.astype(np.float16))
        assert cache.usage()["ram_bytes"] == found.features.nbytes + look_of(pixels).nbytes

    def test_an_embedding_without_one_is_kept_too(self, tmp_path: Path) -> None:
        base, pixels = tiny_predictor(), example(3).pixels
        cache = EmbeddingCache(tmp_path)
        cache.store("a", cache.keep("a", replace(base.encode(pixels), look=None)))
        found = EmbeddingCache(tmp_path).get("a", base.encoder_key)
        assert found is not None
        assert found.look is None


class TestLearning:
    def test_it_finds_what_it_was_shown_and_nothing_where_nothing_is(self) -> None:
        lesson = lesson_on(discs(10, 3), 60)
        for step in range(60):
            lesson.step(step)
        finder = finder_of(lesson)
        shown, empty = example(21), example(22, empty=True)
        truth = look_of(shown.masks["disc"] * np.uint8(255)) > 127
        assert dice((finder.logits_of(look_of(shown.pixels))[0] > 0).numpy(), truth) > 0.7
        assert float((finder.logits_of(look_of(empty.pixels)) > 0).float().mean()) < 0.01

    def test_the_same_lesson_learns_the_same(self) -> None:
        states = []
        for _ in range(2):
            lesson = lesson_on(discs(4), 3, updates=2)
            for step in range(3):
                lesson.step(step)
            states.append(lesson.state())
        assert same(*states)

    def test_it_goes_on_bit_for_bit(self) -> None:
        last = example(9), example(10)
        for stopped in (2, 4):
            whole, first, second = (lesson_on(discs(4), 5, aside=last) for _ in range(3))
            for step in range(5):
                whole.step(step)
            for step in range(stopped):
                first.step(step)
            second.load_state({name: tensor.clone() for name, tensor in first.state().items()})
            for step in range(stopped, 5):
                second.step(step)
            assert same(whole.state(), second.state())

    def test_what_is_kept_aside_is_learned_last_and_not_by_the_copy_that_is_measured(self) -> None:
        def finders(aside: tuple[Example, ...]) -> tuple[Finder, Finder]:
            lesson = lesson_on(discs(4), 8, aside=aside)
            for step in range(8):
                lesson.step(step)
            before = lesson.finder_before()
            assert before is not None
            return finder_of(lesson), before

        (one, measured_one), (other, measured_other) = (
            finders((example(9),)),
            finders((example(10),)),
        )
        assert same(measured_one.state_dict(), measured_other.state_dict())
        assert not same(one.state_dict(), other.state_dict())
        assert not same(one.state_dict(), measured_one.state_dict())
        assert same(*(finder.state_dict() for finder in finders(())))

    def test_the_global_source_of_random_numbers_stays_as_it_was(self) -> None:
        torch.manual_seed(5)
        wanted = torch.rand(1)
        torch.manual_seed(5)
        lesson_on(discs(2), 1).step(0)
        assert torch.equal(torch.rand(1), wanted)

    def test_what_was_not_confirmed_teaches_nothing(self) -> None:
        both = example(0, masks={**example(0).masks, "other": example(1).masks["disc"]})
        examples = ExampleSet(("disc", "other"), (both, example(1), example(2)))
        lesson = lesson_on(examples, 40)
        for step in range(40):
            lesson.step(step)
        logits = finder_of(lesson).logits_of(look_of(both.pixels))
        assert logits.shape[0] == 2
        # Two of three slices do not know the other segment: taken as empty it would be missed.
        assert float((logits[1] > 0).float().mean()) > 0.01

    def test_numbers_that_are_not_finite_change_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from MedSAGaSlicerLib.engine.teaching import finder_lesson

        lesson = lesson_on(discs(3), 2)
        before = {name: tensor.clone() for name, tensor in lesson.state().items()}
        monkeypatch.setattr(
            finder_lesson, "_loss", lambda logits, *_: (logits * float("nan")).sum()
        )
        lesson.step(0)
        assert same(lesson.state(), before)


def test_one_slice_in_colour_is_a_lesson(tmp_path: Path) -> None:
    grey = example(0)
    colour = example(0, pixels=np.stack([grey.pixels] * 3, axis=-1))
    teach(tmp_path / "taught", ExampleSet(("disc",), (colour,)))
    taught = load_adapter(tmp_path / "taught", tiny_predictor())
    found = taught.predict_unprompted(taught.encode(colour.pixels))
    assert found.mask.shape == grey.pixels.shape
    again = taught.predict_unprompted(taught.encode(grey.pixels))
    np.testing.assert_array_equal(found.logits, again.logits)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lesson") / "taught"
    twice = {"disc": example(0).masks["disc"], "other": example(4).masks["disc"]}
    slices = tuple(example(n, masks=twice) for n in range(9))
    teach(folder, ExampleSet(("disc", "other"), slices))
    return folder


class TestAdapters:
    def test_several_segments_are_found_as_each_alone(self, folder: Path) -> None:
        taught = load_adapter(folder, tiny_predictor())
        embedding = taught.encode(example(30).pixels)
        both = taught.find(embedding, ("other", "disc"))
        for number, name in enumerate(("other", "disc")):
            alone = taught.find(embedding, (name,))
            np.testing.assert_array_equal(both.evidence[number], alone.evidence[0])
            mask = taught.predict_unprompted(embedding, name).mask
            np.testing.assert_array_equal(both.evidence[number] > 0, mask)
        assert all(0 <= score <= 1 for score in both.scores)

    def test_an_embedding_from_the_cache_is_answered_alike(self, folder: Path) -> None:
        taught, cache = load_adapter(folder, tiny_predictor()), EmbeddingCache(None)
        fresh = taught.encode(example(30).pixels)
        kept = taught.find(cache.keep("a", fresh), ("disc",)).evidence
        np.testing.assert_array_equal(kept, taught.find(fresh, ("disc",)).evidence)

    def test_an_embedding_without_a_look_is_refused(self, folder: Path) -> None:
        taught = load_adapter(folder, tiny_predictor())
        embedding = replace(taught.encode(example(30).pixels), look=None)
        with pytest.raises(InputError, match="encode the slice again"):
            taught.find(embedding, ("disc",))

    def spoilt(
        self, folder: Path, target: Path, kept: Callable[[str], bool]
    ) -> dict[str, torch.Tensor]:
        target.mkdir()
        for path in folder.iterdir():
            (target / path.name).write_bytes(path.read_bytes())
        weights = target / "weights.safetensors"
        tensors = {name: t for name, t in load_file(weights).items() if kept(name)}
        save_file(tensors, weights)
        return tensors

    def test_one_from_before_there_was_a_finder_goes_on(self, folder: Path, tmp_path: Path) -> None:
        self.spoilt(folder, tmp_path / "old", lambda name: not name.startswith("finder."))
        old = load_adapter(tmp_path / "old", tiny_predictor())
        embedding = replace(old.encode(example(30).pixels), look=None)
        assert old.find(embedding, ("disc", "other")).evidence.shape == (2, 40, 48)

    def test_a_finder_with_missing_weights_is_refused(self, folder: Path, tmp_path: Path) -> None:
        self.spoilt(folder, tmp_path / "bad", lambda name: name != "finder.last.weight")
        with pytest.raises(CheckpointError, match="do not fit"):
            load_adapter(tmp_path / "bad", tiny_predictor())


@pytest.mark.parametrize("method", ["lora", "late"])
def test_a_taught_encoder_has_one_beside_it(tmp_path: Path, method: str) -> None:
    base = tiny_predictor(depth=2)
    teach(tmp_path / "taught", config=replace(QUICK, method=method), base=base)
    taught = load_adapter(tmp_path / "taught", base)
    found = taught.find(taught.encode(example(30).pixels), ("disc",))
    assert found.evidence.shape == (1, 40, 48)


def test_embeddings_made_for_prompts_alone_do_not_stop_a_lesson(tmp_path: Path) -> None:
    base, cache = tiny_predictor(), EmbeddingCache(None)
    for one in discs(10, 2).examples:
        cache.keep(one.key, replace(base.encode(one.pixels), look=None))
    finished(teach(tmp_path / "taught", base=base, cache=cache))


def test_without_updates_there_is_no_finder(tmp_path: Path) -> None:
    teach(tmp_path / "taught", config=replace(QUICK, finder_updates=0))
    names = load_file(tmp_path / "taught" / "weights.safetensors")
    assert not [name for name in names if name.startswith("finder.")]
    with pytest.raises(InputError, match="finder_updates"):
        TeachingConfig(finder_updates=-1)


def test_a_stopped_lesson_has_the_same_finder_in_the_end(tmp_path: Path) -> None:
    teach(tmp_path / "whole")
    base, count = tiny_predictor(), 0

    def third() -> bool:
        nonlocal count
        count += 1
        return count == 26

    made = {"base_name": "tiny"}
    list(train(QUICK, discs(10, 2), base, tmp_path / "parts", **made, stop=third))
    assert not (tmp_path / "parts").exists()
    finished(teach(tmp_path / "parts"))
    one, other = (load_file(tmp_path / n / "weights.safetensors") for n in ("whole", "parts"))
    assert same(one, other)


def test_what_is_expected_of_a_mask_follows_from_its_chances() -> None:
    sure = torch.full((10, 10), -20.0)
    assert expected_iou(sure) == pytest.approx(1.0, abs=1e-3)
    sure[:5] = 20.0
    assert expected_iou(sure) == pytest.approx(1.0, abs=1e-3)
    assert expected_iou(sure / 40) < 0.7
