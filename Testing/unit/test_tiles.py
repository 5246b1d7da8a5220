from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.examples import Example, ExampleSet
from MedSAGaSlicerLib.engine.intensity import Normalisation
from MedSAGaSlicerLib.engine.predictor import Prediction
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.engine.regions.examples import as_tiles
from MedSAGaSlicerLib.engine.regions.logits import to_pixels
from MedSAGaSlicerLib.engine.regions.looking import RegionPredictor, looking
from MedSAGaSlicerLib.engine.regions.plan import nearer_window, plan_region
from MedSAGaSlicerLib.engine.regions.tiles import Blend, tile_windows
from MedSAGaSlicerLib.engine.regions.window import Window
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

INPUT = 64
GRID = 16


class Threshold:
    """Finds what is bright, as finely as its input of 64 pixels holds it; counts its work."""

    encoder_key = "threshold"
    input_size = INPUT

    def __init__(self) -> None:
        self.encoded: list[tuple[int, int]] = []
        self.asked: list[tuple[Prompts, bool]] = []

    def extent(self, size: tuple[int, int]) -> tuple[float, float]:
        return size[0] / max(size), size[1] / max(size)

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        self.encoded.append(pixels.shape[:2])
        side = max(pixels.shape)
        square = np.zeros((side, side), np.float32)
        square[: pixels.shape[0], : pixels.shape[1]] = pixels
        at = ((np.arange(INPUT) + 0.5) * side / INPUT).astype(int)
        return Embedding(square[at][:, at][None], pixels.shape[:2], self.encoder_key)

    def predict(
        self, embedding: Embedding, prompts: Prompts, previous: NDArray[np.float32] | None = None
    ) -> Prediction:
        prompts.validate(embedding.size)
        self.asked.append((prompts, previous is not None))
        return self._answer(embedding)

    def _answer(self, embedding: Embedding) -> Prediction:
        grid = embedding.features[0].reshape(GRID, 4, GRID, 4).mean(axis=(1, 3))
        logits = ((grid - 127.5) / 32).astype(np.float32)
        side = max(embedding.size)
        at = (np.arange(side) * INPUT // side).astype(int)
        square = embedding.features[0][at][:, at] > 127
        return Prediction(square[: embedding.size[0], : embedding.size[1]], logits, 0.9)


class Taught(Threshold):
    segments = ("vessel",)

    def predict_unprompted(self, embedding: Embedding, segment: str | None = None) -> Prediction:
        return self._answer(embedding)


def auto(predictor: Threshold) -> RegionPredictor:
    found = looking(predictor, RegionChoice())
    assert isinstance(found, RegionPredictor)
    return found


def bright(size: tuple[int, int], part: Window) -> NDArray[np.uint8]:
    pixels = np.zeros(size, np.uint8)
    part.cut(pixels)[...] = 255
    return pixels


class TestTiles:
    @pytest.mark.parametrize("size", [(64, 64), (65, 64), (820, 820), (30, 1000), (1, 1)])
    def test_they_cover_the_slice_and_overlap(self, size: tuple[int, int]) -> None:
        tiles = tile_windows(size, 64)
        covered = np.zeros(size, int)
        for tile in tiles:
            assert max(tile.size) <= 64
            tile.cut(covered)[...] += 1
        assert covered.min() >= 1
        if max(size) > 64:
            first, second = tiles[:2]
            shared = max(first.right - second.left, first.bottom - second.top)
            assert shared >= 16

    def test_equal_answers_have_no_seam(self) -> None:
        size = (150, 200)
        blend = Blend(size)
        for tile in tile_windows(size, 64):
            blend.add(tile, np.full(tile.size, 2.5, np.float32))
        assert np.allclose(blend.over(np.zeros(size, np.float32)), 2.5)

    def test_at_the_rim_of_few_tiles_the_ground_comes_in_smoothly(self) -> None:
        blend = Blend((100, 300))
        blend.add(Window(0, 100, 100, 200), np.full((100, 100), 4.0, np.float32))
        row = blend.over(np.full((100, 300), -4.0, np.float32))[50]
        assert row[50] == -4
        assert row[150] == pytest.approx(4)
        assert np.abs(np.diff(row)).max() < 0.7

    def test_a_straight_line_over_all_tiles_has_no_seam(self) -> None:
        size = (300, 300)
        line = bright(size, Window(147, 0, 153, 300))
        model = looking(Taught(), RegionChoice.parse("tiles"))
        mask = model.predict_unprompted(model.encode(line)).mask
        heights = mask.sum(axis=0)
        assert heights.min() >= 4
        assert heights.max() <= 8
        # As a whole, six pixels are less than one of the model's cells: the line is not seen.
        whole = looking(Taught(), RegionChoice.parse("whole"))
        logits = whole.predict_unprompted(whole.encode(line)).logits
        assert (to_pixels(logits, (1.0, 1.0), size) > 0).sum() == 0

    def test_a_prompted_line_is_made_finer_tile_by_tile(self) -> None:
        model = Threshold()
        tiled = looking(model, RegionChoice.parse("tiles"))
        line = bright((300, 300), Window(145, 0, 155, 300))
        mask = tiled.predict(tiled.encode(line), Prompts(box=(0, 145, 299, 154))).mask
        assert mask[:, 40:260].sum(axis=0).min() >= 8
        assert mask[:, 40:260].sum(axis=0).max() <= 13
        # Only where the line is, each with its part of the box and the mask so far.
        assert len(model.encoded) - 1 < len(tile_windows((300, 300), INPUT))
        assert all(given for _, given in model.asked[1:])

    def test_a_small_slice_is_one_tile(self) -> None:
        model = Threshold()
        tiled = looking(model, RegionChoice.parse("tiles"))
        tiled.predict(tiled.encode(bright((60, 60), Window(1, 1, 9, 9))), Prompts(box=(1, 1, 8, 8)))
        assert model.encoded == [(60, 60)]


class TestFromNear:
    SIZE = (512, 512)
    OBJECT = Window(200, 300, 230, 340)
    BOX = (300.0, 200.0, 339.0, 229.0)

    def test_a_small_object_is_seen_sharper(self) -> None:
        pixels = bright(self.SIZE, self.OBJECT)
        truth = pixels > 0
        near, whole = auto(Threshold()), Threshold()
        found = near.predict(near.encode(pixels), Prompts(box=self.BOX)).mask
        coarse = whole.predict(whole.encode(pixels), Prompts(box=self.BOX)).mask
        assert (found ^ truth).sum() < 0.3 * (coarse ^ truth).sum()

    def test_a_large_object_and_a_small_slice_cost_one_embedding(self) -> None:
        model = Threshold()
        near = auto(model)
        near.predict(near.encode(bright(self.SIZE, self.OBJECT)), Prompts(box=(0, 0, 400, 300)))
        near.predict(near.encode(bright((60, 60), Window(1, 1, 5, 5))), Prompts(box=(1, 1, 4, 4)))
        assert model.encoded == [self.SIZE, (60, 60)]

    def test_similar_prompts_share_what_was_embedded(self) -> None:
        model = Threshold()
        near = auto(model)
        embedding = near.encode(bright(self.SIZE, self.OBJECT))
        for shift in (0.0, 1.0, 2.0):
            left, top, right, bottom = self.BOX
            near.predict(embedding, Prompts(box=(left + shift, top, right + shift, bottom)))
        assert len(model.encoded) == 2

    def test_a_click_looks_at_the_whole_slice(self) -> None:
        model = Threshold()
        near = auto(model)
        near.predict(
            near.encode(bright(self.SIZE, self.OBJECT)), Prompts(((320.0, 215.0),), (True,))
        )
        assert model.encoded == [self.SIZE]

    def test_a_correction_goes_on_in_the_same_window_with_its_own_logits(self) -> None:
        model = Threshold()
        near = auto(model)
        embedding = near.encode(bright(self.SIZE, self.OBJECT))
        first = near.predict(embedding, Prompts(box=self.BOX))
        near.predict(embedding, Prompts(((310.0, 210.0),), (True,), self.BOX), first.logits)
        assert len(model.encoded) == 2
        assert model.asked[-1][1]

    def test_logits_of_another_slice_are_brought_along(self) -> None:
        near = auto(Threshold())
        first = near.predict(near.encode(bright(self.SIZE, self.OBJECT)), Prompts(box=self.BOX))
        other = near.encode(bright(self.SIZE, self.OBJECT))
        again = near.predict(other, Prompts(box=self.BOX), first.logits)
        assert np.array_equal(again.mask, first.mask)

    def test_a_far_positive_point_keeps_the_whole_slice_in_view(self) -> None:
        model = Threshold()
        near = auto(model)
        prompts = Prompts(((10.0, 500.0),), (True,), self.BOX)
        near.predict(near.encode(bright(self.SIZE, self.OBJECT)), prompts)
        assert model.encoded == [self.SIZE]

    def test_an_object_at_the_border(self) -> None:
        near = auto(Threshold())
        part = Window(0, 492, 25, 512)
        pixels = bright(self.SIZE, part)
        found = near.predict(near.encode(pixels), Prompts(box=(492, 0, 511, 24))).mask
        assert found[0, 511]
        assert (found ^ (pixels > 0)).sum() < 100

    def test_one_voxel(self) -> None:
        near = auto(Threshold())
        pixels = bright(self.SIZE, Window(7, 9, 8, 10))
        mask = near.predict(near.encode(pixels), Prompts(box=(9, 7, 9, 7))).mask
        assert mask[7, 9]
        assert mask.sum() <= 4

    def test_without_prompts_the_whole_slice_counts(self) -> None:
        model = Taught()
        near = looking(model, RegionChoice())
        near.predict_unprompted(near.encode(bright(self.SIZE, self.OBJECT)), "vessel")
        assert near.segments == ("vessel",)
        assert model.encoded == [self.SIZE]

    def test_prompts_outside_the_slice_are_refused_as_ever(self) -> None:
        near = auto(Threshold())
        embedding = near.encode(np.zeros(self.SIZE, np.uint8))
        with pytest.raises(InputError, match="outside the slice"):
            near.predict(embedding, Prompts(box=(500, 500, 600, 600)))

    def test_another_models_embedding_is_passed_on(self) -> None:
        model = Threshold()
        plain = model.encode(bright(self.SIZE, self.OBJECT))
        assert auto(model).predict(plain, Prompts(box=self.BOX)).mask.any()


class TestPlan:
    def test_it_says_what_is_looked_at_and_what_it_costs(self) -> None:
        region = RegionChoice.parse("100:310,90:270,:")
        plan = plan_region(region, (820, 820), 192)
        assert plan.sentence.startswith("Region of interest 210 x 180 px of 820 x 820")
        assert plan.sentence.endswith("1 embedding per slice")
        assert plan.encodes == 1
        tiles = plan_region(RegionChoice.parse("tiles"), (820, 820), 192, seconds_per_encode=0.1)
        assert tiles.encodes == 37
        assert tiles.seconds == pytest.approx(3.7)
        assert "36 tiles of 192 px" in tiles.sentence
        assert "(3.7 s)" in tiles.sentence

    def test_small_slices_are_shown_whole_whatever_was_asked(self) -> None:
        for text in ("auto", "tiles", "whole"):
            plan = plan_region(RegionChoice.parse(text), (180, 192), 192)
            assert (plan.strategy, plan.encodes, plan.nearer) == ("whole", 1, False)
        large = plan_region(RegionChoice(), (820, 820), 192)
        assert large.nearer
        assert "reduced 4.3 times" in large.sentence

    def test_where_nothing_is_gained_nothing_is_seen_from_near(self) -> None:
        small = Prompts(box=(0, 0, 20, 20))
        assert nearer_window(small, (512, 512), 192) is not None
        assert nearer_window(Prompts(((5.0, 5.0),), (True,)), (512, 512), 192) is None
        assert nearer_window(Prompts(box=(0, 0, 20, 300)), (512, 512), 192) is None
        assert nearer_window(small, (192, 192), 192) is None
        assert nearer_window(small, (512, 512), 1024) is None


def test_examples_of_tiles_show_the_object_and_some_do_not() -> None:
    rng = np.random.default_rng(0)
    examples = []
    for index in range(12):
        pixels = rng.integers(0, 255, (300, 300)).astype(np.uint8)
        mask = Window(20, 20, 50, 280).put_back(np.ones((30, 260), bool), (300, 300))
        masks = {"vessel": mask}
        prompts = {"vessel": Prompts(((30.0, 30.0),), (True,))}
        place = ("volume", "k", index)
        examples.append(
            Example(*place, pixels, masks, Normalisation("percentile", 0, 9), prompts=prompts)
        )
    given = ExampleSet(("vessel",), tuple(examples))
    tiles = as_tiles(given, RegionChoice.parse("tiles:64"))
    assert {one.size for one in tiles.examples} == {(64, 64)}
    assert sum(one.is_empty for one in tiles.examples) == 3
    assert [one.place for one in tiles.examples] == [one.place for one in given.examples]
    assert as_tiles(given, RegionChoice()) is given


def test_what_it_cost_is_told_afterwards() -> None:
    model = auto(Threshold())
    assert model.account == "No slice was looked at."
    embedding = model.for_segment("a").encode(bright((512, 512), Window(200, 300, 230, 340)))
    model.predict(embedding, Prompts(box=(300.0, 200.0, 339.0, 229.0)))
    assert model.account.startswith("Whole slice, 512 x 512 px, reduced 8.0 times, 1 embedding")
    assert "2 embeddings in all" in model.account
