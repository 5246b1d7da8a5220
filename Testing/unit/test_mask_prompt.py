"""A mask instead of earlier logits: in the engine, and on its way to a worker."""

from __future__ import annotations

import numpy as np
import pytest
from fake_predictor import expected
from stage import POINT, SAFETY_S, Stage, a_slice, only

from MedSAGaSlicerLib.engine.mask_prompt import mask_logits
from MedSAGaSlicerLib.engine.predictor import load_predictor
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.worker.events import Decoded


def block(size=(48, 64)):
    mask = np.zeros(size, bool)
    mask[12:30, 16:44] = True
    return mask


def test_logits_of_a_mask_are_positive_inside_and_negative_beyond_the_picture():
    logits = mask_logits(block(), scaled=(96, 128), input_size=128, side=32)
    assert logits.shape == (32, 32)
    assert logits.dtype == np.float32
    assert (logits[7:14, 9:21] > 0).all()
    assert (logits[:5] < 0).all()
    assert (logits[24:] == logits.min()).all()


def test_logits_of_an_empty_mask_are_negative_everywhere():
    assert (mask_logits(np.zeros((20, 30), bool), (20, 30), 30, 10) < 0).all()


def test_a_mask_says_which_of_two_things_in_a_box_is_meant():
    predictor = load_predictor("starter")
    pixels = np.full((96, 96), 60, np.uint8)
    pixels[30:60, 10:34] = 180
    pixels[30:60, 56:84] = 180
    one = np.zeros(pixels.shape, bool)
    one[30:60, 10:34] = True
    prompts = Prompts(box=(8.0, 26.0, 86.0, 64.0))
    embedding = predictor.encode(pixels)

    def share(mask):
        return np.count_nonzero(mask & one) / max(1, np.count_nonzero(mask))

    plain = predictor.predict(embedding, prompts).mask
    assert share(predictor.predict(embedding, prompts, one).mask) > share(plain)


def test_a_mask_of_another_size_is_refused():
    predictor = load_predictor("starter")
    embedding = predictor.encode(np.zeros((40, 50), np.uint8))
    with pytest.raises(InputError, match="a mask of the slice"):
        predictor.predict(embedding, POINT, np.ones((50, 40), bool))


def test_a_worker_gets_the_mask_that_is_expected(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.encode(key, pixels)
    client.decode(key, POINT, mask=np.ones((24, 40), bool))
    answer = only(client.wait(timeout_s=SAFETY_S), Decoded)
    # The fake takes a mask for one refinement.
    np.testing.assert_array_equal(answer.mask, expected((24, 40), POINT, 1, 0).mask)


def test_a_worker_that_was_killed_is_told_the_mask_again(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    stage.cue("crash-decode")
    client.decode(key, POINT, pixels=lambda: pixels, mask=np.ones((24, 40), bool))
    answer = only(client.wait(timeout_s=SAFETY_S), Decoded)
    np.testing.assert_array_equal(answer.mask, expected((24, 40), POINT, 1, 0).mask)
