"""First prompts on a taught segment, and what the finder finds there by itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from lessons import disc, slice_with, tiny_predictor
from numpy.typing import NDArray

from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.look import look_of
from MedSAGaSlicerLib.engine.mask_prompt import mask_logits
from MedSAGaSlicerLib.engine.metrics import dice
from MedSAGaSlicerLib.engine.predictor import Prediction
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.teaching.finder import Finder, mean_the_same
from MedSAGaSlicerLib.engine.teaching.taught import TaughtPredictor

ONE, OTHER = disc(15, 20, 9), disc(15, 24, 9)
SURE = 6.0


class Knowing(Finder):
    """A finder that knows a mask."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        super().__init__(1)
        self.mask = mask

    def logits_of(self, look: NDArray[np.uint8]) -> torch.Tensor:
        known = torch.from_numpy(look_of(self.mask * np.uint8(255)).astype(np.float32))
        assert known.shape == look.shape
        return (known[None] / 127.5 - 1) * SURE


@pytest.fixture
def embedding() -> Embedding:
    return tiny_predictor().encode(slice_with(ONE, 1))


def taught(mask: NDArray[np.bool_], monkeypatch: pytest.MonkeyPatch) -> TaughtPredictor:
    """A model that answers every prompt with `ONE`, and a finder that always finds the mask."""
    base = tiny_predictor()
    model = TaughtPredictor(base, base.model, ("disc",), None, finder=Knowing(mask))
    logits = mask_logits(ONE, (53, 64), 64, base.model.logits_size)
    monkeypatch.setattr(model, "_answer", lambda *_: Prediction(ONE, logits, 0.4))
    return model


class TestWhetherBothMeanTheSame:
    def test_masks_that_overlap_well_do(self) -> None:
        click = Prompts(((20.0, 15.0),), (True,))
        assert mean_the_same(click, ONE, OTHER)
        assert not mean_the_same(click, ONE, disc(15, 20, 3))

    def test_a_click_that_what_was_found_contradicts_decides(self) -> None:
        for points, positive in (
            (((1.0, 1.0),), (True,)),
            (((20.0, 15.0),), (False,)),
            (((20.0, 15.0), (14.0, 15.0)), (True, True)),
        ):
            assert not mean_the_same(Prompts(points, positive), ONE, OTHER)
        assert mean_the_same(Prompts(((20.0, 15.0), (1.0, 1.0)), (True, False)), ONE, OTHER)

    def test_clicks_on_the_slices_edge_are_voxels_of_it(self) -> None:
        whole = np.ones((40, 48), bool)
        for place in ((-0.5, -0.5), (47.5, 39.5)):
            assert mean_the_same(Prompts((place,), (True,)), whole, whole)

    def test_only_what_lies_in_a_box_is_compared(self) -> None:
        both = ONE | disc(34, 42, 5)
        assert mean_the_same(Prompts(box=(11.0, 6.0, 29.0, 24.0)), ONE, both)
        assert not mean_the_same(Prompts(box=(0.0, 0.0, 47.0, 39.0)), ONE, disc(15, 26, 9))


CLICK = Prompts(((22.0, 15.0),), (True,))


class TestAnswers:
    def test_one_that_is_found_as_well_is_the_mean(
        self, embedding: Embedding, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = taught(OTHER, monkeypatch).predict(embedding, CLICK)
        assert not (given.mask & ~(ONE | OTHER)).any()
        assert not (~given.mask & ONE & OTHER).any()
        assert dice(given.mask, ONE) < 0.99
        assert dice(given.mask, OTHER) < 0.99
        assert given.score == 0.4

    @pytest.mark.parametrize("column", [13.0, 31.0])
    def test_one_of_something_else_stays(
        self, embedding: Embedding, monkeypatch: pytest.MonkeyPatch, column: float
    ) -> None:
        # To the left of what is found; and, to the right, where it is found and should not be.
        click = Prompts(((column, 15.0),), (column == 13.0,))
        model = taught(OTHER, monkeypatch)
        assert np.array_equal(model.predict(embedding, click).mask, ONE)
        far = taught(disc(32, 40, 6), monkeypatch)
        assert np.array_equal(far.predict(embedding, CLICK).mask, ONE)

    def test_corrections_are_the_models_alone(
        self, embedding: Embedding, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = taught(OTHER, monkeypatch)
        first = model.predict(embedding, CLICK)
        assert not np.array_equal(first.mask, ONE)
        second = model.predict(embedding, CLICK, first.logits)
        assert np.array_equal(second.mask, ONE)

    def test_an_embedding_without_a_look_is_answered_without(
        self, embedding: Embedding, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = taught(OTHER, monkeypatch).predict(replace(embedding, look=None), CLICK)
        assert np.array_equal(given.mask, ONE)

    def test_around_a_box_nothing_is_added(
        self, embedding: Embedding, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        far = disc(32, 40, 6)
        model = taught(OTHER | far, monkeypatch)
        given = model.predict(embedding, Prompts(box=(10.0, 5.0, 33.0, 25.0)))
        assert not np.array_equal(given.mask, ONE)
        assert not (given.mask & far).any()
