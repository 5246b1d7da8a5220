"""Adapters that are switched from prompt to prompt, over a base that is loaded once."""

from pathlib import Path

import numpy as np
import pytest
from fake_predictor import expected
from lessons import discs, finished, teach
from stage import POINT, SAFETY_S, Stage, a_slice, only, poll_until

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.events import Decoded, Encoded, Failed, Ready, Restarted, Stats

PLAIN = expected((24, 40), POINT, 0, 0).mask


def answer(client: InferenceClient, key: str, prompts: Prompts = POINT, **options: object):
    return only(client.wait(client.decode(key, prompts, **options), timeout_s=SAFETY_S), Decoded)


def test_segments_are_answered_by_their_adapters_by_turns(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.encode(key, pixels)
    for _ in range(2):
        np.testing.assert_array_equal(answer(client, key).mask, PLAIN)
        for folder in ("one", "two"):
            np.testing.assert_array_equal(answer(client, key, taught=(folder, "a")).mask, ~PLAIN)
    assert stage.adapted() == ["one", "two"]
    assert stage.encoded() == ["base 1"]


def test_an_adapter_refines_what_the_base_answered(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.encode(key, pixels)
    first = answer(client, key).logits_id
    refined = answer(client, key, previous=first, taught=("one", "a"))
    np.testing.assert_array_equal(refined.mask, ~expected((24, 40), POINT, 1, 0).mask)


def test_an_adapter_needs_no_prompts(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    assert answer(client, key, Prompts(), pixels=lambda: pixels, taught=("one", "a")).mask.all()


@pytest.mark.parametrize(
    ("taught", "kind", "words"),
    [(("foreign", "a"), "checkpoint", "another base"), (("one", "unknown"), "input", "not taught")],
)
def test_an_adapter_that_does_not_fit_fails_that_prompt_alone(
    stage: Stage, taught: tuple[str, str], kind: str, words: str
) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.encode(key, pixels)
    bad, good = client.decode(key, POINT, taught=taught), client.decode(key, POINT)
    news = client.wait(timeout_s=SAFETY_S)
    failed = only(news, Failed)
    assert (failed.request, failed.kind) == (bad, kind)
    assert words in failed.message
    assert only(news, Decoded).request == good


def test_an_adapter_with_an_encoder_of_its_own_has_its_own_embeddings(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.encode(key, pixels)
    own = answer(client, key, pixels=lambda: pixels, taught=("own", "a"))
    np.testing.assert_array_equal(own.mask, ~PLAIN)
    again = answer(client, key, taught=("own", "a"))
    assert again.score == own.score
    assert answer(client, key).score != own.score
    assert stage.encoded() == ["base 1", "base+own 1"]


def test_few_encoders_stay_in_memory_and_their_embeddings_longer(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.encode(key, pixels)
    for folder in ("one", "own 1", "own 2", "one", "own 3", "one", "own 1", "own 3"):
        answer(client, key, pixels=lambda: pixels, taught=(folder, "a"))
    # Two with encoders of their own; the one that shares its base's has not had to go.
    assert stage.adapted() == ["one", "own 1", "own 2", "own 3", "own 1"]
    assert stage.encoded() == ["base 1", "base+own 1 1", "base+own 2 1", "base+own 3 1"]


def test_an_adapter_is_read_again_when_its_folder_was_replaced(
    stage: Stage, tmp_path: Path
) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.encode(key, pixels)
    folder = tmp_path / "taught"
    folder.mkdir()
    for text in ("{}", "{ }"):
        (folder / "model.json").write_text(text)
        answer(client, key, taught=(str(folder), "a"))
    assert stage.adapted() == ["taught", "taught"]


def test_adapters_survive_a_crash(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.wait(client.encode(key, pixels))
    stage.cue("crash-decode")
    news = client.wait(client.decode(key, POINT, taught=("one", "a")), timeout_s=SAFETY_S)
    assert any(isinstance(event, Restarted) for event in news)
    np.testing.assert_array_equal(only(news, Decoded).mask, ~PLAIN)


def test_a_move_to_another_device_answers_all_that_was_asked(stage: Stage) -> None:
    client = stage.started(device="card")
    key, pixels = a_slice(1)
    client.encode(key, pixels)
    first = client.decode(key, POINT)
    moved = client.use_device("cpu")
    second = client.decode(key, POINT, previous=first)
    news = client.wait(timeout_s=SAFETY_S)
    ready = only(news, Ready)
    assert (ready.request, ready.device, client.device) == (moved, "cpu", "cpu")
    answers = {event.request: event.mask for event in news if isinstance(event, Decoded)}
    np.testing.assert_array_equal(answers[first], PLAIN)
    np.testing.assert_array_equal(answers[second], expected((24, 40), POINT, 1, 0).mask)
    assert stage.encoded() == ["base 1"]


def test_prefetching_pauses_and_goes_on_where_it_was(stage: Stage) -> None:
    client = stage.started()
    stage.cue("hold-encode")
    slices = [a_slice(number) for number in range(1, 6)]
    ahead = client.prefetch([(key, lambda p=pixels: p) for key, pixels in slices])
    poll_until(client, lambda: stage.happened("encoding"))
    client.pause_prefetch(paused=True)
    for number in range(1, 6):
        stage.cue(f"go-{number}")
    # One was under way and one behind it.
    told = []
    while len(told) < 2:
        told += [event.key for event in client.poll() if isinstance(event, Encoded)]
    client.wait(client.stats(), timeout_s=SAFETY_S)
    assert len(stage.encoded()) == 2
    client.pause_prefetch(paused=False)
    client.wait(ahead, timeout_s=SAFETY_S)
    assert len(stage.encoded()) == 5


def test_a_taught_decoder_keeps_all_embeddings_and_switched_off_the_model_is_as_it_was(
    stage: Stage, tmp_path: Path
) -> None:
    finished(teach(tmp_path / "taught"))
    load_adapter = "MedSAGaSlicerLib.engine.teaching.adapters:load_adapter"
    client = stage.started(model="tiny", predictor="tiny_model:load", adapters=load_adapter)
    shown = discs(1).examples[0]
    client.encode(shown.key, shown.pixels)
    taught = (str(tmp_path / "taught"), "disc")
    first = answer(client, shown.key)
    refined = answer(client, shown.key, previous=first.logits_id)
    by_adapter = answer(client, shown.key, taught=taught)
    unprompted = answer(client, shown.key, Prompts(), taught=taught)
    again = answer(client, shown.key)
    refined_again = answer(client, shown.key, previous=again.logits_id)
    assert by_adapter.score != first.score
    assert unprompted.score != by_adapter.score
    for one, other in ((first, again), (refined, refined_again)):
        np.testing.assert_array_equal(one.mask, other.mask)
        assert one.score == other.score
    stats = only(client.wait(client.stats(), timeout_s=SAFETY_S), Stats)
    assert stats.values["encoded"] == 1
