import json
import os

import pytest
from fake_lesson import leave_adapter
from harness.teachable import (
    STARTED,
    TeachableClient,
    click,
    confirm,
    finished,
    taught_by,
)
from stage import FAKES, SAFETY_S

from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import (
    Finished,
    RoomWanted,
    Started,
    Stopped,
)
from MedSAGaSlicerLib.errors import CheckpointError, InputError, WorkerError
from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.events import Closed, MaskWritten
from MedSAGaSlicerLib.scene.own_folders import delete_lessons, taught_folder
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.lesson_events import Failed
from MedSAGaSlicerLib.worker.teach_client import TeachClient


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDSAGA_TAUGHT", str(tmp_path / "taught"))
    monkeypatch.setenv("MEDSAGA_EXAMPLES", str(tmp_path / "examples"))


@pytest.fixture
def client():
    return TeachableClient()


def test_a_choice_survives_in_the_scene_and_waits_for_its_base(annotator, client, tmp_path):
    leave_adapter(tmp_path / "one", segments=("a", "b"))
    with pytest.raises(InputError, match="knows 'a', 'b', not 'tumour'"):
        annotator.use_taught("tumour", tmp_path / "one")
    annotator.use_taught("tumour", tmp_path / "one", "b")
    annotator.close()
    again = Annotator(annotator.volume, annotator.segmentation, client)
    assert again.taught("tumour") == tmp_path / "one"
    click(again, (10, 8))
    assert client.asked_of[-1] == (str(tmp_path / "one"), "b")
    again.use_model("mobile_sam")
    click(again, (10, 8), 6)
    assert client.asked_of[-1] is None
    again.use_model("starter")
    again.use_taught("tumour", None)
    click(again, (10, 8), 7)
    assert client.asked_of[-1] is None
    again.close()


def test_a_folder_that_is_no_taught_model_is_refused(annotator, tmp_path):
    with pytest.raises(CheckpointError, match="no taught model"):
        annotator.use_taught("tumour", tmp_path)


def test_a_lesson_can_be_stopped_and_fail(annotator, client):
    confirm(annotator, 3, 4)
    job, _ = taught_by(annotator, STARTED)
    job.poll()
    with pytest.raises(WorkerError, match="too long"):
        job.wait(0.0)
    job.stop()
    assert job.wait() == Stopped(7, resumable=True)
    assert job.lesson.work.exists()
    assert not client.paused
    assert delete_lessons(taught_folder()) > 0
    assert not job.lesson.work.exists()
    job, _ = taught_by(annotator, STARTED, Failed("input", "no good", None, ""))
    with pytest.raises(InputError, match="no good"):
        job.wait()


def test_a_full_graphics_card_is_left_to_the_lesson(annotator, client):
    confirm(annotator, 3, 4)
    client.device = "auto"
    on_card = Started("0", "decoder", "cuda:0", 10, 0, 9, 2, ("tumour",))
    full = Failed("memory", "out of memory", None, "")
    job, lessons = taught_by(annotator, on_card, full, on_card, finished(True))
    while job.running:
        assert full not in job.poll()
    assert client.moves == ["cpu", "auto"]
    assert len(lessons.lessons) == 2
    assert not client.paused


def test_a_lesson_that_wants_room_gets_the_graphics_card_before_it_begins(annotator, client):
    confirm(annotator, 3, 4)
    client.device = "auto"
    wanted = RoomWanted("cuda:0", 6 << 30, 1 << 30)
    on_card = Started("0", "decoder", "cuda:0", 10, 0, 9, 2, ("tumour",))
    job, lessons = taught_by(annotator, wanted, on_card, wanted, finished(True))
    job.wait()
    assert client.moves == ["cpu", "auto"]
    assert len(lessons.lessons) == 1


def test_a_scene_that_is_closed_meanwhile_leaves_the_taught_model_on_disk(annotator, scene):
    confirm(annotator, 3, 4)
    job, _ = taught_by(annotator, STARTED, finished(True))
    scene.Clear()
    assert any(isinstance(event, Closed) for event in annotator.poll())
    job.wait()
    assert not job.used
    assert job.lesson.output.exists()
    with pytest.raises(InputError, match="has ended"):
        job.adopt()


def test_a_lesson_in_a_process_of_its_own(annotator):
    confirm(annotator, 3, 4)
    environment = {**os.environ, "PYTHONPATH": str(FAKES)}
    annotator.make_teach_client = lambda: TeachClient(
        environment=environment, lesson="fake_lesson:give", device="cpu"
    )
    job = annotator.teach(config=TeachingConfig(steps=2))
    assert isinstance(job.wait(SAFETY_S), Finished)
    assert [point.step for point in job.curve] == [1, 2]
    assert annotator.taught("tumour") == job.lesson.output


def test_from_confirmed_slices_to_a_taught_model_that_answers(volume, segmentation, tmp_path):
    client = InferenceClient(
        model="tiny",
        device="cpu",
        cache_folder=str(tmp_path / "cache"),
        environment={**os.environ, "PYTHONPATH": str(FAKES)},
        predictor="tiny_model:load",
    )
    annotator = Annotator(volume, segmentation, client)
    annotator.make_teach_client = lambda: TeachClient.beside(client, predictor="tiny_model:load")
    try:
        annotator.use_model("tiny")
        confirm(annotator, *range(2, 11))
        config = TeachingConfig(steps=4, batch=2, rounds=2, views=1, guesses=2)
        job = annotator.teach("decoder", config=config)
        end = job.wait(4 * SAFETY_S)
        assert end.report["slices"] == 9
        assert end.report["n"] == 2
        assert job.before is not None
        job.adopt()
        annotator.point_on("tumour", SlicePosition("k", 1), (10.0, 8.0))
        events = annotator.wait(SAFETY_S)
        assert any(isinstance(event, MaskWritten) for event in events)
        assert annotator.taught("tumour") == job.lesson.output
        again = annotator.teach("decoder", config=config)
        again.stop()
        assert isinstance(again.wait(SAFETY_S), Stopped)
        aside = again.lesson.earlier_held_out
        assert len(aside) == 2
    finally:
        annotator.close()
        client.stop()


def test_a_model_taught_in_tiles_is_for_the_command_line(annotator, tmp_path):
    leave_adapter(tmp_path / "one", segments=("tumour",))
    path = tmp_path / "one" / "model.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({**fields, "config": {"region": "tiles:192"}}))
    with pytest.raises(InputError, match="looks at tiles"):
        annotator.use_taught("tumour", tmp_path / "one")
    path.write_text(json.dumps({**fields, "config": {"region": "circles"}}))
    with pytest.raises(CheckpointError, match="'circles' is unclear"):
        annotator.use_taught("tumour", tmp_path / "one")
