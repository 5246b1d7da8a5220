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

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.worker.events import Decoded, Encoded, Failed, Ready


def test_a_slice_is_encoded_and_a_prompt_on_it_answered(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    encode = client.encode(key, pixels)
    decode = client.decode(key, POINT)
    news = client.wait(timeout_s=SAFETY_S)
    encoded, decoded = only(news, Encoded), only(news, Decoded)
    assert (encoded.request, encoded.key, encoded.cached) == (encode, key, False)
    assert (decoded.request, decoded.key, decoded.logits_id) == (decode, key, decode)
    assert decoded.mask.dtype == bool
    np.testing.assert_array_equal(decoded.mask, expected((24, 40), POINT, 0, 0).mask)
    assert decoded.score == pytest.approx(float(pixels[:8, :8].mean()) * 4, rel=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (33, 5, 3)])
def test_slices_of_any_size_and_colour_are_answered(stage: Stage, size: tuple[int, ...]) -> None:
    client = stage.started()
    key, pixels = a_slice(1, size)
    box = Prompts(box=(0, 0, 0, 0))
    client.encode(key, pixels)
    answer = only(client.wait(client.decode(key, box), timeout_s=SAFETY_S), Decoded)
    assert answer.mask.shape == size[:2]
    assert np.argwhere(answer.mask).tolist() == [[0, 0]]


def test_a_mask_does_not_wait_for_another_slice_being_encoded(stage: Stage) -> None:
    client = stage.started()
    seen, ahead = a_slice(1), a_slice(2)
    client.wait(client.encode(*seen))
    stage.cue("hold-encode")
    encode = client.encode(*ahead)
    poll_until(client, lambda: stage.happened("encoding"))
    only(client.wait(client.decode(seen[0], POINT), timeout_s=SAFETY_S), Decoded)
    stage.cue("go-2")
    (answer,) = client.wait(timeout_s=SAFETY_S)
    assert (answer.request, type(answer)) == (encode, Encoded)


def test_what_is_looked_at_is_encoded_before_what_is_ahead(stage: Stage) -> None:
    client = stage.started()
    stage.cue("hold-encode")
    slices = {number: a_slice(number) for number in range(1, 6)}
    client.prefetch([(slices[n][0], lambda n=n: slices[n][1]) for n in (1, 2, 3)])
    poll_until(client, lambda: stage.happened("encoding"))
    client.encode(*slices[4])
    asked = []
    decode = client.decode(slices[5][0], POINT, pixels=lambda: asked.append(5) or slices[5][1])
    poll_until(client, lambda: asked == [5])
    process_of(client)
    stage.drop("hold-encode")
    stage.cue("go-1")
    client.wait(decode, timeout_s=SAFETY_S)
    while client.prefetching:
        client.poll()
    assert [line.split()[1] for line in stage.encoded()] == ["1", "4", "5", "2", "3"]


def test_a_prompt_moves_its_slice_to_the_front_of_what_is_ahead(stage: Stage) -> None:
    client = stage.started()
    slices = {number: a_slice(number) for number in (0, 1, 2, 3)}
    client.wait(client.encode(*slices[0]))
    stage.cue("hold-encode")
    client.encode(*slices[1])
    client.prefetch([(slices[n][0], lambda n=n: slices[n][1]) for n in (2, 3)])
    poll_until(client, lambda: stage.happened("encoding"))
    process_of(client)
    decode = client.decode(slices[3][0], POINT)
    # Decodes are done one after the other: once this is answered, that one has been looked at.
    client.wait(client.decode(slices[0][0], POINT))
    stage.drop("hold-encode")
    stage.cue("go-1")
    client.wait(decode, timeout_s=SAFETY_S)
    assert [line.split()[1] for line in stage.encoded()][:3] == ["0", "1", "3"]


def test_no_slice_is_encoded_twice_whoever_asks_for_it(stage: Stage) -> None:
    client = stage.started()
    stage.cue("hold-encode")
    key, pixels = a_slice(1)
    client.prefetch([(key, lambda: pixels)])
    poll_until(client, lambda: stage.happened("encoding"))
    client.encode(key, pixels)
    client.decode(key, POINT, pixels=lambda: pixels)
    client.encode(key, pixels)
    process_of(client)
    stage.cue("go-1")
    news = client.wait(timeout_s=SAFETY_S)
    client.wait(client.encode(key, pixels))
    assert stage.encoded() == ["base 1"]
    only(news, Decoded)


def test_the_cache_outlives_the_worker(stage: Stage) -> None:
    key, pixels = a_slice(1)
    first = stage.started()
    first.wait(first.encode(key, pixels))
    first.stop()
    second = stage.started()
    (encoded,) = second.wait(second.encode(key, pixels))
    assert encoded.cached
    only(second.wait(second.decode(key, POINT)), Decoded)
    assert stage.encoded() == ["base 1"]


def test_a_model_of_the_same_encoder_finds_the_embeddings_and_another_does_not(
    stage: Stage,
) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.wait(client.encode(key, pixels))
    for name, encoded in (("base+taught", ["base 1"]), ("other", ["base 1", "other 1"])):
        client.load_model(stage.model(name))
        client.encode(key, pixels)
        client.wait(timeout_s=SAFETY_S)
        assert stage.encoded() == encoded


def test_an_adapter_reaches_the_predictor(stage: Stage) -> None:
    client = stage.started()
    client.wait(client.load_model(stage.model(), adapter="taught"))
    key, pixels = a_slice(3)
    client.encode(key, pixels)
    answer = only(client.wait(client.decode(key, POINT), timeout_s=SAFETY_S), Decoded)
    assert stage.encoded() == ["base+taught 3"]
    np.testing.assert_array_equal(answer.mask, ~expected((24, 40), POINT, 0, 0).mask)


def test_what_is_asked_after_a_switch_is_answered_by_the_new_model(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    stage.cue("hold-encode")
    client.encode(*a_slice(2))
    poll_until(client, lambda: stage.happened("encoding"))
    load = client.load_model(stage.model("longer name"))
    client.encode(key, pixels)
    decode = client.decode(key, POINT)
    stage.drop("hold-encode")
    stage.cue("go-2")
    news = client.wait(timeout_s=SAFETY_S)
    assert (type(news[0]), news[0].request) == (Ready, load)
    assert only(news, Decoded).request == decode
    assert only(news, Decoded).score == pytest.approx(float(pixels[:8, :8].mean()) * 11, rel=1e-3)


def test_a_model_that_cannot_be_loaded_leaves_the_old_one(stage: Stage) -> None:
    client = stage.started()
    load = client.load_model(stage.model("broken"))
    (failed,) = client.wait(timeout_s=SAFETY_S)
    assert (failed.request, failed.kind) == (load, "checkpoint")
    assert "is no checkpoint" in failed.message
    client.encode(*a_slice(1))
    assert isinstance(client.wait(timeout_s=SAFETY_S)[0], Encoded)


def test_without_any_model_requests_fail_and_a_model_can_still_be_loaded(stage: Stage) -> None:
    client = stage.started("broken")
    key, pixels = a_slice(1)
    client.encode(key, pixels)
    client.decode(key, POINT)
    client.prefetch([(key, lambda: pixels)])
    news = client.wait(timeout_s=SAFETY_S)
    while client.prefetching:
        news += client.poll()
    assert [event.kind for event in news] == ["no_model"] * 3
    (ready,) = client.wait(client.load_model(stage.model()), timeout_s=SAFETY_S)
    assert isinstance(ready, Ready)


def test_a_missing_package_is_told_as_such(stage: Stage) -> None:
    client = stage.client(predictor="no_such_package:load")
    (failed,) = client.wait(client.start(), timeout_s=SAFETY_S)
    assert (failed.kind, "no_such_package" in failed.message) == ("dependency", True)


@pytest.mark.parametrize("what", ["encode", "decode"])
def test_an_error_in_the_model_is_an_answer_and_no_end(stage: Stage, what: str) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    stage.cue(f"fail-{what}")
    asked = {"encode": client.encode(key, pixels), "decode": client.decode(key, POINT)}
    failed = [e for e in client.wait(timeout_s=SAFETY_S) if isinstance(e, Failed)]
    reasons = {event.request: (event.kind, event.message) for event in failed}
    reason = ("internal", f"RuntimeError: the fake fails to {what}")
    # What has no slice fails with it, and for the same reason.
    also = {"encode": ["encode", "decode"], "decode": ["decode"]}[what]
    assert reasons == {asked[name]: reason for name in also}
    stage.drop(f"fail-{what}")
    client.encode(key, pixels)
    answer = only(client.wait(client.decode(key, POINT), timeout_s=SAFETY_S), Decoded)
    assert answer.mask.any()


def test_prompts_outside_the_slice_are_refused(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.encode(key, pixels)
    outside = client.decode(key, Prompts(points=((40, 3),), positive=(True,)))
    failed = only(client.wait(outside, timeout_s=SAFETY_S), Failed)
    assert failed.kind == "input"
    assert "outside the slice" in failed.message


def test_a_slice_with_a_wrong_key_is_refused_and_not_kept(stage: Stage) -> None:
    client = stage.started()
    key, _ = a_slice(1)
    client.encode(key, a_slice(2)[1])
    (failed,) = client.wait(timeout_s=SAFETY_S)
    assert failed.kind == "input"
    (failed,) = client.wait(client.decode(key, POINT))
    assert failed.kind == "missing"
    assert stage.encoded() == []


def test_cancelled_work_is_not_begun(stage: Stage) -> None:
    client = stage.started()
    stage.cue("hold-encode")
    client.encode(*a_slice(1))
    poll_until(client, lambda: stage.happened("encoding"))
    key, pixels = a_slice(2)
    unwanted = [client.encode(key, pixels), client.decode(key, POINT)]
    process_of(client)
    for request in unwanted:
        client.cancel(request)
    process_of(client)
    stage.drop("hold-encode")
    stage.cue("go-1")
    client.encode(*a_slice(3))
    news = client.wait(timeout_s=SAFETY_S)
    assert stage.encoded() == ["base 1", "base 3"]
    assert not {event.request for event in news} & set(unwanted)


def test_everything_can_be_deleted(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.wait(client.encode(key, pixels))
    (stats,) = client.wait(client.clear_cache())
    assert stats.values["cache_folder"] == str(stage.cache_folder)
    assert (stats.values["ram_entries"], stats.values["disk_entries"]) == (0, 0)
    assert list(stage.cache_folder.iterdir()) == []
    client.wait(client.encode(key, pixels))
    assert stage.encoded() == ["base 1", "base 1"]
