import pytest
from fake_lesson import leave_adapter
from harness.fake_client import draw
from harness.finder_client import FinderClient, at, paint

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.annotator import Annotator


@pytest.fixture
def client():
    return FinderClient()


@pytest.fixture
def taught(annotator, tmp_path):
    leave_adapter(tmp_path / "taught", segments=("tumour", "liver"))
    annotator.use_taught("tumour", tmp_path / "taught", "tumour")
    return tmp_path / "taught"


def test_without_a_taught_model_there_is_nothing_to_finish_by(annotator):
    with pytest.raises(InputError, match="No taught model answers for any"):
        annotator.finish()
    with pytest.raises(InputError, match="No taught model answers for 'tumour'"):
        annotator.finish("tumour")


def test_what_belongs_to_another_model_is_refused(annotator, taught):
    annotator.use_model("sam_vit_b")
    with pytest.raises(InputError, match="belongs to the model 'starter'"):
        annotator.finish("tumour")


def test_one_job_after_the_other(annotator, taught, client):
    first, second = annotator.finish("tumour"), annotator.review("tumour")
    first.wait()
    assert second.progress[0] == 0
    second.wait()
    assert second.state == "done"


class TestReview:
    def test_the_least_sure_slices_come_first_and_confirmed_ones_not_at_all(
        self, annotator, taught, client
    ):
        assert annotator.suggestions("tumour") == ()
        client.unsure = (5,)
        annotator.finish("tumour", clean=False).wait()
        found = annotator.suggestions("tumour")
        assert found[0].index == 5
        assert found[0].axis == "k"
        assert 0 < found[0].uncertainty <= 1
        assert annotator.suggestions("tumour") is found
        annotator.confirm("k", 5)
        assert 5 not in [one.index for one in annotator.suggestions("tumour")]
        annotator.undo()
        assert annotator.suggestions("tumour")[0].index == 5

    def test_a_review_writes_nothing(self, annotator, taught, client):
        client.unsure = (4,)
        job = annotator.review("tumour")
        job.wait()
        assert not any(at(annotator, k).any() for k in range(12))
        assert annotator.undo_names() == (None, None)
        assert annotator.suggestions("tumour")[0].index == 4

    def test_another_taught_model_is_reviewed_anew(self, annotator, taught, client, tmp_path):
        client.unsure = (5, 20)
        annotator.finish("tumour", clean=False).wait()
        assert annotator.suggestions("tumour")[0].index == 5
        leave_adapter(tmp_path / "better")
        annotator.use_taught("tumour", tmp_path / "better")
        assert annotator.suggestions("tumour") == ()
        while annotator.busy:
            annotator.poll()
        assert annotator.suggestions("tumour")[0].index == 8
        annotator.use_taught("tumour", None)
        assert annotator.suggestions("tumour") == ()

    def test_what_was_reviewed_is_there_after_reopening(
        self, annotator, taught, client, volume, segmentation
    ):
        client.unsure = (5,)
        annotator.finish("tumour", clean=False).wait()
        first = annotator.suggestions("tumour")[0]
        annotator.close()
        again = Annotator(volume, segmentation, client)
        found = again.suggestions("tumour")
        assert (found[0].axis, found[0].index) == ("k", 5)
        assert found[0].uncertainty == pytest.approx(first.uncertainty, abs=1e-3)
        again.close()

    def test_a_stopped_job_leaves_what_it_learned(self, annotator, taught, client):
        client.unsure = (3,)
        job = annotator.finish("tumour", clean=False)
        while job.progress[0] < 6:
            job.poll()
        job.stop()
        assert annotator.suggestions("tumour")[0].index == 3

    def test_a_propagation_tells_as_well_what_is_doubtful(self, annotator):
        for k, radius in ((3, 3.0), (9, 3.0)):
            paint(annotator, k, draw((20, 24), Prompts(((11, 9),), (True,)), radius))
            annotator.confirm("k", k)
        job = annotator.propagate("tumour")
        job.wait()
        assert job.doubts
        found = annotator.suggestions("tumour")
        assert {one.index for one in found} == set(job.doubts)
        first = found[0]
        assert first.uncertainty == pytest.approx(job.doubts[first.index], abs=1e-3)
