import numpy as np
import pytest
from harness.teachable import (
    STARTED,
    TeachableClient,
    click,
    confirm,
    disc,
    finished,
    taught_by,
)

from MedSAGaSlicerLib.engine.example_file import read_examples
from MedSAGaSlicerLib.engine.example_library import ExampleLibrary
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import (
    Finished,
    Progress,
    Validated,
)
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.exporting import confirmed_examples, teachable_segments
from MedSAGaSlicerLib.scene.segments import write_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import pixels_of

K5 = SlicePosition("k", 5)


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDSAGA_TAUGHT", str(tmp_path / "taught"))
    monkeypatch.setenv("MEDSAGA_EXAMPLES", str(tmp_path / "examples"))


@pytest.fixture
def client():
    return TeachableClient()


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
