import json
import os
from pathlib import Path

import numpy as np
import pytest
from fake_lesson import leave_adapter
from harness.fake_client import FakeClient, draw
from stage import FAKES, SAFETY_S

from MedSAGaSlicerLib.engine.example_file import read_examples
from MedSAGaSlicerLib.engine.example_library import ExampleLibrary
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import (
    Finished,
    Progress,
    RoomWanted,
    Started,
    Stopped,
    Validated,
)
from MedSAGaSlicerLib.errors import CheckpointError, InputError, WorkerError
from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.events import Closed, MaskWritten
from MedSAGaSlicerLib.scene.exporting import confirmed_examples, teachable_segments
from MedSAGaSlicerLib.scene.own_folders import delete_lessons, taught_folder
from MedSAGaSlicerLib.scene.segments import read_slice, write_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of, pixels_of
from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.lesson_events import Failed
from MedSAGaSlicerLib.worker.teach_client import TeachClient

K5 = SlicePosition("k", 5)


class TeachableClient(FakeClient):
    """A fake client that knows adapters: they answer the opposite of the model as it is."""

    device = "cpu"

    def __post_init__(self):
        super().__post_init__()
        self.paused, self.moves, self.asked_of = False, [], []

    def decode(self, key, prompts, *, taught=None, **options):
        self.asked_of.append(taught)
        return super().decode(key, prompts, **options)

    def predict(self, size, prompts):
        mask = super().predict(size, prompts)
        return mask if self.asked_of[-1] is None else ~mask

    def pause_prefetch(self, *, paused):
        self.paused = paused

    def use_device(self, device):
        self.moves.append(device)
        self.device = device
        return self._next()


class FakeTeachClient:
    """Gives the lesson that a test has written, one event a poll."""

    def __init__(self, *events):
        self.events, self.lessons, self.running = list(events), [], False
        self.stopped = False

    def start(self, lesson):
        self.lessons.append(lesson)
        self.running = True

    def stop(self):
        self.events = [Stopped(7, resumable=True)]

    def close(self):
        self.events, self.running = [], False

    def poll(self):
        return [self._next()] if self.events else []

    def wait(self, timeout_s=None):
        if not self.events:
            msg = "too long"
            raise WorkerError(msg)
        return [self._next() for _ in range(len(self.events))]

    def _next(self):
        event = self.events.pop(0)
        if isinstance(event, Finished):
            leave_adapter(self.lessons[-1].output, event.accepted)
            return Finished(self.lessons[-1].output, event.accepted, event.report)
        return event


STARTED = Started("0", "decoder", "cpu", 10, 0, 9, 2, ("tumour",))


def finished(accepted):
    return Finished(Path(), accepted, {"accepted": accepted, "before": 0.5, "after": 0.7})


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDSAGA_TAUGHT", str(tmp_path / "taught"))
    monkeypatch.setenv("MEDSAGA_EXAMPLES", str(tmp_path / "examples"))


@pytest.fixture
def client():
    return TeachableClient()


@pytest.fixture
def annotator(volume, segmentation, client):
    annotator = Annotator(volume, segmentation, client)
    yield annotator
    if annotator.closed is None:
        annotator.close()


def disc(column, row):
    return draw((20, 24), Prompts(((column, row),), (True,)))


def confirm(annotator, *indices, segment="tumour"):
    for index in indices:
        position = SlicePosition("k", index)
        mask = disc(5 + index, 8)
        write_slice(annotator.segmentation, segment, annotator.volume, position, mask)
        annotator.confirm("k", index)


def taught_by(annotator, *events, **options):
    """A job on the given events, with its client."""
    lessons = FakeTeachClient(*events)
    annotator.make_teach_client = lambda: lessons
    return annotator.teach(**options), lessons


def click(annotator, place, index=5):
    annotator.point_on("tumour", SlicePosition("k", index), place)
    annotator.wait()
    grid = grid_of(annotator.volume)
    return read_slice(annotator.segmentation, "tumour", grid, SlicePosition("k", index))


def test_examples_are_the_confirmed_slices_as_they_are(annotator):
    confirm(annotator, 3, 4)
    annotator.point_on("tumour", SlicePosition("k", 6), (11.0, 8.0))
    annotator.wait()
    annotator.confirm("k", 6)
    annotator.confirm("i", 2)
    write_slice(annotator.segmentation, "liver", annotator.volume, K5, disc(9, 9))
    annotation = annotator._annotation
    assert teachable_segments(annotation) == ("tumour",)
    examples = confirmed_examples(annotation, ("tumour",))
    assert examples.segments == ("tumour",)
    by_place = {example.place: example for example in examples.examples}
    assert sorted(by_place) == [("volume 1", "i", 2), *(("volume 1", "k", n) for n in (3, 4, 6))]
    four, side = by_place["volume 1", "k", 4], by_place["volume 1", "i", 2]
    np.testing.assert_array_equal(four.masks["tumour"], disc(9, 8))
    np.testing.assert_array_equal(four.pixels, pixels_of(annotator.volume, "k", 4))
    assert (four.spacing_mm, four.step_mm) == (pytest.approx((1.5, 1.0)), pytest.approx(3.0))
    assert (side.spacing_mm, side.step_mm) == (pytest.approx((3.0, 1.5)), pytest.approx(1.0))
    assert side.is_empty
    assert not four.prompts
    assert by_place["volume 1", "k", 6].prompts["tumour"].points == ((11.0, 8.0),)


def test_a_slice_that_was_changed_after_it_was_confirmed_is_no_example(annotator):
    confirm(annotator, 3, 4, 5)
    write_slice(annotator.segmentation, "tumour", annotator.volume, K5, disc(2, 2))
    _, lessons = taught_by(annotator)
    examples = read_examples(lessons.lessons[0].examples)
    assert [example.index for example in examples.examples] == [3, 4]


def test_teaching_says_what_it_lacks(annotator, segmentation):
    with pytest.raises(InputError, match="No slice is confirmed"):
        taught_by(annotator)
    annotator.confirm("k", 1)
    with pytest.raises(InputError, match="all empty"):
        taught_by(annotator)
    confirm(annotator, 3)
    with pytest.raises(InputError, match="no segment 'nothing'"):
        taught_by(annotator, segments=["nothing"])
    with pytest.raises(InputError, match="'liver'"):
        taught_by(annotator, segments=["tumour", "liver"])
    confirm(annotator, 4, segment="liver")
    segmentation.GetSegmentation().GetSegment("liver").SetName("tumour")
    with pytest.raises(InputError, match="Several segments are called 'tumour'"):
        taught_by(annotator)


def test_the_lesson_is_on_the_model_in_use_and_in_the_library(annotator, tmp_path):
    confirm(annotator, 3, 4)
    annotator.use_model("mobile_sam")
    config = TeachingConfig(steps=7, seed=3)
    _, lessons = taught_by(annotator, title="mine", config=config)
    (lesson,) = lessons.lessons
    assert (lesson.model, lesson.title) == ("mobile_sam", "mine")
    assert (lesson.config.steps, lesson.config.seed, lesson.config.method) == (7, 3, "auto")
    assert lesson.output.parent == tmp_path / "taught"
    assert not lesson.output.exists()
    (entry,) = ExampleLibrary().entries()
    assert (entry.segments, entry.slices) == (("tumour",), 2)
    confirm(annotator, 5)
    _, lessons = taught_by(annotator)
    (again,) = ExampleLibrary().entries()
    assert (again.slices, again.name != entry.name) == (3, True)
    assert lessons.lessons[0].work == lesson.work
    assert lessons.lessons[0].output != lesson.output


def test_examples_of_earlier_scenes_are_learned_from_as_well(annotator):
    confirm(annotator, 3, 4)
    earlier = ExampleLibrary().add(confirmed_examples(annotator._annotation, ("tumour",)))
    annotator.unconfirm("k", 3)
    _, lessons = taught_by(annotator, earlier=[earlier])
    places = [e.place for e in read_examples(lessons.lessons[0].examples).examples]
    assert places == [("volume 1", "k", 4), ("1: volume 1", "k", 3)]
    assert sorted(entry.slices for entry in ExampleLibrary().entries()) == [1, 2]


def test_a_better_model_answers_as_soon_as_it_is_there_and_one_call_goes_back(annotator, client):
    confirm(annotator, 3, 4)
    job, lessons = taught_by(
        annotator,
        STARTED,
        Validated("before", 0.5, 2),
        Progress(1, 10, 0.9, 0.4, 5.0),
        Validated("after", 0.7, 2),
        finished(True),
    )
    np.testing.assert_array_equal(click(annotator, (10, 8)), disc(10, 8))
    assert job.poll() == [STARTED]
    assert client.paused
    job.poll()
    job.poll()
    assert (job.before, job.fraction, job.seconds_left) == (0.5, 0.1, 5.0)
    assert [(point.step, point.loss) for point in job.curve] == [(1, 0.9)]
    end = job.wait()
    assert isinstance(end, Finished)
    assert (job.running, job.used, job.after) == (False, True, 0.7)
    assert not client.paused
    assert not job.lesson.work.exists()
    assert annotator.taught("tumour") == job.lesson.output
    np.testing.assert_array_equal(click(annotator, (10, 8), 7), ~disc(10, 8))
    assert client.asked_of[-1] == (str(job.lesson.output), "tumour")
    job.revert()
    assert annotator.taught("tumour") is None
    np.testing.assert_array_equal(click(annotator, (10, 8), 8), disc(10, 8))
    assert lessons.lessons == [job.lesson]


@pytest.mark.parametrize("accepted", [False, None])
def test_a_model_not_found_better_is_the_person_s_choice(annotator, accepted):
    confirm(annotator, 3, 4)
    job, _ = taught_by(annotator, STARTED, finished(accepted))
    with pytest.raises(InputError, match="no result"):
        job.adopt()
    job.wait()
    assert annotator.taught("tumour") is None
    job.adopt()
    assert annotator.taught("tumour") == job.lesson.output


def test_slices_kept_aside_stay_so_at_the_next_lesson(annotator):
    confirm(annotator, 3, 4)
    job, _ = taught_by(annotator, STARTED, finished(False))
    job.wait()
    _, lessons = taught_by(annotator)
    assert lessons.lessons[0].earlier_held_out == (("volume 1", "k", 5),)


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
