"""The worker tries its device and plans lessons, for a panel that must not import torch."""

from pathlib import Path

import pytest
from stage import SAFETY_S, Stage, a_slice, only, poll_until, process_of

from MedSAGaSlicerLib.engine import registry
from MedSAGaSlicerLib.engine.teaching.config import METHODS
from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.events import Encoded, Surveyed


def test_a_survey_goes_behind_what_is_asked_about_slices(stage: Stage) -> None:
    client = stage.started()
    stage.cue("hold-encode")
    client.encode(*a_slice(1))
    poll_until(client, lambda: stage.happened("encoding"))
    survey = client.survey(3)
    client.encode(*a_slice(2))
    process_of(client)
    stage.drop("hold-encode")
    stage.cue("go-1")
    news = client.wait(survey, timeout_s=SAFETY_S)
    assert [type(event) for event in news] == [Encoded, Encoded, Surveyed]
    found = only(news, Surveyed)
    assert found.values["device"] == "cpu"
    assert found.values["encode_ms"] >= 0
    # The fake is no model that could be taught.
    assert found.values["methods"] == []


def test_every_method_is_planned_for_the_model_in_use(tmp_path: Path) -> None:
    if not registry.installed(registry.entry("starter")):
        pytest.skip("the starter is not in this checkout")
    client = InferenceClient(model="starter", cache_folder=str(tmp_path), threads=1)
    client.start()
    survey = client.survey(10)
    values = only(client.wait(survey, timeout_s=SAFETY_S), Surveyed).values
    client.stop()
    assert [row["method"] for row in values["methods"]] == list(METHODS)
    assert sum(row["auto"] for row in values["methods"]) == 1
    assert all(row["peak_bytes"] > 0 and row["seconds"] > 0 for row in values["methods"])


def test_a_survey_is_answered_though_other_slices_are_ahead_meanwhile(stage: Stage) -> None:
    client = stage.started()
    key, pixels = a_slice(1)
    survey = client.survey(3)
    # As a person does who scrolls on before it has ended.
    client.prefetch([(key, lambda: pixels)])
    only(client.wait(survey, timeout_s=SAFETY_S), Surveyed)
