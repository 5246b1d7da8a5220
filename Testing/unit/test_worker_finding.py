"""Finding without prompts through a worker: several segments in one answer, from one embedding."""

import numpy as np
import pytest
from stage import SAFETY_S, Stage, a_slice, only

from MedSAGaSlicerLib.engine.finishing.evidence import Finding
from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.worker.events import Failed, Found, Restarted, Stats
from MedSAGaSlicerLib.worker.finding import pack_finding, unpack_finding


def found(client, key, segments, pixels, adapter="one") -> Found:
    request = client.find(key, adapter, segments, pixels=lambda: pixels)
    return only(client.wait(request, timeout_s=SAFETY_S), Found)


def test_several_segments_come_in_one_answer_from_one_embedding(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    finding = found(client, key, ("a", "b"), pixels).finding
    assert finding.evidence.shape == (2, 24, 40)
    assert np.unique(finding.evidence[0]).tolist() == [127]
    assert np.unique(finding.evidence[1]).tolist() == [64]
    assert len(finding.scores) == 2
    assert finding.pooled.shape == (1,)
    assert stage.encoded() == ["base 1"]
    assert only(client.wait(client.stats(), timeout_s=SAFETY_S), Stats).values["logits"] == 0


def test_an_adapter_with_its_own_encoder_embeds_the_slice_itself(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    found(client, key, ("a",), pixels, "own")
    found(client, key, ("a",), pixels, "own")
    assert stage.encoded() == ["base+own 1"]


@pytest.mark.parametrize(
    ("adapter", "segment", "kind"), [("foreign", "a", "checkpoint"), ("one", "unknown", "input")]
)
def test_what_cannot_be_found_fails_that_request_alone(
    stage: Stage, adapter: str, segment: str, kind: str
) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    bad = client.find(key, adapter, (segment,), pixels=lambda: pixels)
    good = client.find(key, "one", ("a",), pixels=lambda: pixels)
    news = client.wait(timeout_s=SAFETY_S)
    assert (only(news, Failed).request, only(news, Failed).kind) == (bad, kind)
    assert only(news, Found).request == good


def test_a_crash_in_between_loses_nothing(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    stage.cue("crash-decode")
    request = client.find(key, "one", ("a",), pixels=lambda: pixels)
    news = client.wait(request, timeout_s=SAFETY_S)
    assert only(news, Restarted)
    assert only(news, Found).finding.evidence.shape == (1, 24, 40)


def test_another_model_or_a_cancel_leaves_no_answer(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    client.cancel(client.find(key, "one", ("a",), pixels=lambda: pixels))
    client.find(key, "one", ("a",), pixels=lambda: pixels)
    client.load_model(stage.model("other"))
    news = client.wait(timeout_s=SAFETY_S)
    assert not [event for event in news if isinstance(event, (Found, Failed))]


def test_a_finding_survives_the_pipe_and_damage_is_noticed() -> None:
    evidence = np.random.default_rng(0).integers(-127, 128, (3, 7, 5), dtype=np.int8)
    pooled = np.linspace(-2, 2, 9).astype(np.float32)
    fields, body = pack_finding(Finding(evidence, (0.1, 0.2, 0.3), pooled))
    again = unpack_finding(fields, body)
    np.testing.assert_array_equal(again.evidence, evidence)
    np.testing.assert_array_equal(again.pooled, pooled)
    assert again.scores == (0.1, 0.2, 0.3)
    with pytest.raises(WorkerError, match="came with 105 bytes"):
        unpack_finding({**fields, "shape": [3, 7, 6]}, body)
    with pytest.raises(WorkerError, match="cannot be unpacked"):
        unpack_finding(fields, body[:36] + b"junk")
