import os
import signal

import numpy as np
import pytest
from fake_predictor import expected
from stage import (
    POINT,
    SAFETY_S,
    Stage,
    a_slice,
    only,
    poll_until,
    process_of,
)

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.worker.events import Decoded, Encoded, Failed, Restarted, Stats


def test_refinement_survives_a_crash_bit_for_bit(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.encode(key, pixels)
    first = client.decode(key, POINT)
    second = client.decode(key, POINT, previous=first)
    client.wait(timeout_s=SAFETY_S)
    stage.cue("crash-decode")
    third = client.decode(key, POINT, previous=second)
    news = client.wait(timeout_s=SAFETY_S)
    answer = only(news, Decoded)
    assert answer.request == third
    np.testing.assert_array_equal(answer.mask, expected((24, 40), POINT, 2, 0).mask)
    assert any(isinstance(event, Restarted) for event in news)


def test_refinement_of_what_is_not_answered_yet_survives_a_crash_and_an_empty_cache(
    stage: Stage,
) -> None:
    client = stage.started(disk_bytes=0)
    key, pixels = a_slice(1)
    client.wait(client.encode(key, pixels))
    stage.cue("crash-decode")
    previous, asked = None, []
    for _ in range(5):
        previous = client.decode(key, POINT, pixels=lambda: pixels, previous=previous)
        asked.append(previous)
    answers = [e for e in client.wait(timeout_s=SAFETY_S) if isinstance(e, Decoded)]
    assert [answer.request for answer in answers] == asked
    for refinements, answer in enumerate(answers):
        wanted = expected((24, 40), POINT, refinements, 0).mask
        np.testing.assert_array_equal(answer.mask, wanted)
    assert stage.encoded() == ["base 1", "base 1"]


def test_refinement_goes_on_with_another_model(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    first = client.decode(key, POINT, pixels=lambda: pixels)
    client.wait(timeout_s=SAFETY_S)
    client.load_model(stage.model("other"))
    second = client.decode(key, POINT, pixels=lambda: pixels, previous=first)
    answer = only(client.wait(timeout_s=SAFETY_S), Decoded)
    assert answer.request == second
    np.testing.assert_array_equal(answer.mask, expected((24, 40), POINT, 1, 0).mask)
    assert answer.score == pytest.approx(float(pixels[:8, :8].mean()) * 5, rel=1e-3)


@pytest.mark.parametrize("crash", [False, True])
def test_a_mask_can_be_carried_to_the_next_slice_before_it_is_answered(
    stage: Stage, crash: bool
) -> None:
    client = stage.started()
    stage.cue("hold-encode")
    slices = {number: a_slice(number) for number in (1, 2, 3)}
    previous, asked = None, []
    for key, pixels in slices.values():
        previous = client.decode(key, POINT, pixels=lambda p=pixels: p, previous=previous)
        asked.append(previous)
    poll_until(client, lambda: stage.happened("encoding"))
    if crash:
        os.kill(process_of(client), signal.SIGTERM)
    # The slices come in the least helpful order.
    for number in (3, 2, 1):
        stage.cue(f"go-{number}")
    answers = [e for e in client.wait(timeout_s=SAFETY_S) if isinstance(e, Decoded)]
    assert [answer.request for answer in answers] == asked
    for refinements, answer in enumerate(answers):
        wanted = expected((24, 40), POINT, refinements, 0).mask
        np.testing.assert_array_equal(answer.mask, wanted)


def test_an_answer_can_be_released_before_and_after_it_was_refined(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.encode(key, pixels)
    first = client.decode(key, POINT)
    second = client.decode(key, POINT, previous=first)
    client.release(first)
    third = client.decode(key, POINT, previous=second)
    answers = [e for e in client.wait(timeout_s=SAFETY_S) if isinstance(e, Decoded)]
    assert [answer.request for answer in answers] == [first, second, third]
    np.testing.assert_array_equal(answers[2].mask, expected((24, 40), POINT, 2, 0).mask)
    with pytest.raises(InputError, match=f"no answer {first} to refine"):
        client.decode(key, POINT, previous=first)
    for number in (second, third, third):
        client.release(number)
    # Releases take their turn among the decodes: one more of those, and they are done.
    client.wait(client.decode(key, POINT), timeout_s=SAFETY_S)
    after = only(client.wait(client.stats(), timeout_s=SAFETY_S), Stats)
    assert after.values["logits"] == 1


def test_prompts_on_a_slice_that_nobody_can_give_fail_kindly(stage: Stage) -> None:
    client = stage.started()
    (failed,) = client.wait(client.decode(a_slice(1)[0], POINT), timeout_s=SAFETY_S)
    assert failed.kind == "missing"
    assert "Encode it first" in failed.message


def gone() -> np.ndarray:
    msg = "The volume was deleted."
    raise InputError(msg)


def test_a_volume_deleted_meanwhile_is_the_answer(stage: Stage) -> None:
    client = stage.started()
    decode = client.decode(a_slice(1)[0], POINT, pixels=gone)
    prefetch = client.prefetch([(a_slice(2)[0], gone), (a_slice(3)[0], lambda: a_slice(3)[1])])
    news = client.wait(decode, timeout_s=SAFETY_S) + client.wait(prefetch, timeout_s=SAFETY_S)
    failed = [event for event in news if isinstance(event, Failed)]
    assert {(event.request, event.message) for event in failed} == {
        (decode, "The volume was deleted."),
        (prefetch, "The volume was deleted."),
    }
    assert only(news, Encoded).key == a_slice(3)[0]


def test_voxels_edited_meanwhile_never_answer_under_the_old_key(stage: Stage) -> None:
    client = stage.started()
    key, _ = a_slice(1)
    (failed,) = client.wait(client.decode(key, POINT, pixels=lambda: a_slice(2)[1]))
    assert failed.kind == "input"
    assert stage.encoded() == []
