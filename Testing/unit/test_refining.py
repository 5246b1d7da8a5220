"""Nothing that nobody can refine any more is kept in the worker."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_predictor import expected
from stage import POINT, SAFETY_S, Stage, a_slice, only, poll_until

from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.events import Decoded, Stats


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def logits_kept(client: InferenceClient) -> int:
    """How many answers the worker could refine, once all that was released is gone."""
    # Releases take their turn among the decodes: one more of those, and they are done.
    for _ in range(2):
        last = client.decode(a_slice(9)[0], POINT, pixels=lambda: a_slice(9)[1])
        client.wait(last, timeout_s=SAFETY_S)
        answer = only(client.wait(client.stats(), timeout_s=SAFETY_S), Stats)
        client.release(last)
    return int(answer.values["logits"]) - 1


def test_an_answer_cancelled_in_the_making_is_not_kept(stage: Stage) -> None:
    client = stage.started()
    client.wait(client.encode(*a_slice(1)))
    stage.cue("hold-decode")
    running = client.decode(a_slice(1)[0], POINT)
    poll_until(client, lambda: stage.happened("decoding"))
    client.cancel(running)
    stage.drop("hold-decode")
    stage.cue("go-decode")
    assert logits_kept(client) == 0


def test_an_answer_released_while_its_slice_is_encoded_is_not_kept(stage: Stage) -> None:
    client = stage.started()
    stage.cue("hold-encode")
    key, pixels = a_slice(1)
    client.encode(key, pixels)
    poll_until(client, lambda: stage.happened("encoding"))
    first = client.decode(key, POINT)
    second = client.decode(key, POINT, previous=first)
    client.release(first)
    client.release(second)
    while only(client.wait(client.stats(), timeout_s=SAFETY_S), Stats).values["waiting_decodes"]:
        pass
    stage.cue("go-1")
    news = client.wait(second, timeout_s=SAFETY_S)
    refined = next(e for e in news if isinstance(e, Decoded) and e.request == second)
    np.testing.assert_array_equal(refined.mask, expected((24, 40), POINT, 1, 0).mask)
    stage.drop("hold-encode")
    assert logits_kept(client) == 0


def test_what_was_made_anew_only_to_be_refined_is_not_kept(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    first = client.decode(key, POINT, pixels=lambda: pixels)
    second = client.decode(key, POINT, previous=first)
    client.wait(timeout_s=SAFETY_S)
    client.release(first)
    stage.cue("crash-decode")
    third = client.decode(key, POINT, previous=second)
    news = client.wait(third, timeout_s=SAFETY_S)
    np.testing.assert_array_equal(only(news, Decoded).mask, expected((24, 40), POINT, 2, 0).mask)
    assert logits_kept(client) == 2
    client.release(second)
    client.release(third)
    assert logits_kept(client) == 0
