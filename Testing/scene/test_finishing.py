"""Finishing a volume by a taught model that finds the bright ball, and what to review then."""

import numpy as np
import pytest
from fake_lesson import leave_adapter
from harness.fake_client import draw
from harness.finder_client import FinderClient, at, paint

from MedSAGaSlicerLib.engine.finishing.settings import FinishSettings
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError, WorkerError
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of, voxels_of
from MedSAGaSlicerLib.worker.events import Failed


@pytest.fixture
def client():
    return FinderClient()


@pytest.fixture
def taught(annotator, tmp_path):
    leave_adapter(tmp_path / "taught", segments=("tumour", "liver"))
    annotator.use_taught("tumour", tmp_path / "taught", "tumour")
    return tmp_path / "taught"


def ball(annotator, k):
    return np.asarray(voxels_of(annotator.volume)[k] == 300)


def test_every_slice_is_segmented_and_undone_in_one_step(annotator, taught):
    job = annotator.finish("tumour")
    job.wait()
    assert job.state == "done"
    assert job.progress == (12, 12)
    for k in range(12):
        np.testing.assert_array_equal(at(annotator, k), ball(annotator, k))
    assert annotator.undo() == "Finish"
    assert not any(at(annotator, k).any() for k in range(12))
    assert annotator.redo() == "Finish"
    np.testing.assert_array_equal(at(annotator, 6), ball(annotator, 6))


def test_the_readmes_lines_work(annotator, taught, client, readme_code, capsys):
    client.unsure = (5,)
    exec(readme_code("annotator.finish"), {"annotator": annotator})  # noqa: S102
    assert at(annotator, 6).any()
    assert len(capsys.readouterr().out.splitlines()) == 10


def test_masks_come_while_others_are_still_asked_for(annotator, taught, client):
    job = annotator.finish("tumour")
    while job.progress[0] < 5:
        assert not job.poll()
    assert at(annotator, 4).any()
    assert not at(annotator, 8).any()
    assert len(client.found) < 12


def test_what_a_person_settled_stays_and_other_segments_too(annotator, taught):
    mine = draw((20, 24), Prompts(((3, 3),), (True,)))
    paint(annotator, 5, mine)
    paint(annotator, 6, mine, "spleen")
    annotator.confirm("k", 5)
    annotator.confirm("k", 7)
    annotator.point_on("tumour", SlicePosition("k", 8), (3.0, 3.0))
    annotator.wait()
    prompted = at(annotator, 8)
    annotator.confirm("j", 9)
    annotator.finish(["tumour"]).wait()
    np.testing.assert_array_equal(at(annotator, 5), mine)
    assert not at(annotator, 7).any()
    np.testing.assert_array_equal(at(annotator, 8), prompted)
    np.testing.assert_array_equal(at(annotator, 6, "spleen"), mine)
    free = ball(annotator, 6)
    free[9] = False
    np.testing.assert_array_equal(at(annotator, 6), free)
    assert not at(annotator, 9, axis="j").any()


def test_painted_voxels_stay(annotator, taught):
    mine = draw((20, 24), Prompts(((3, 3),), (True,)))
    paint(annotator, 6, mine)
    annotator.finish("tumour", clean=False).wait()
    np.testing.assert_array_equal(at(annotator, 6), ball(annotator, 6) | mine)


@pytest.mark.parametrize("count", [0, 1, 5, 9])
def test_stopping_at_any_slice_keeps_what_is_done(annotator, taught, client, count):
    job = annotator.finish("tumour", clean=False)
    while job.progress[0] < count:
        job.poll()
    job.stop()
    done = job.progress[0]
    assert job.state == "stopped"
    for _ in range(5):
        annotator.poll()
    for k in range(12):
        expected = ball(annotator, k) & (k < done)
        np.testing.assert_array_equal(at(annotator, k), expected)
    assert job.poll()
    annotator.undo()
    assert not any(at(annotator, k).any() for k in range(12))


def test_two_segments_compete_in_one_request_per_slice(annotator, taught, client):
    annotator.use_taught("liver", taught, "liver")
    annotator.finish(clean=False).wait()
    assert client.found == [(str(taught), ("tumour", "liver"))] * 12
    for k in range(12):
        np.testing.assert_array_equal(at(annotator, k), ball(annotator, k))
        np.testing.assert_array_equal(at(annotator, k, "liver"), ~ball(annotator, k))


def test_segments_of_two_adapters_compete_as_well(annotator, taught, client, tmp_path):
    leave_adapter(tmp_path / "other", segments=("liver",))
    annotator.use_taught("liver", tmp_path / "other")
    annotator.finish(clean=False).wait()
    assert len(client.found) == 24
    np.testing.assert_array_equal(at(annotator, 6, "liver"), ~ball(annotator, 6))


def test_the_clean_up_removes_what_is_small_but_not_what_a_person_painted(annotator, taught):
    voxels = voxels_of(annotator.volume)
    voxels[1, 2:4, 2:4] = 300
    annotator.volume.GetImageData().Modified()
    speck = np.zeros((20, 24), bool)
    speck[17, 20] = True
    paint(annotator, 2, speck)
    annotator.finish("tumour").wait()
    assert not at(annotator, 1).any()
    np.testing.assert_array_equal(at(annotator, 2), speck)
    np.testing.assert_array_equal(at(annotator, 6), ball(annotator, 6))
    annotator.undo()
    annotator.finish("tumour", settings=FinishSettings(components=False)).wait()
    assert at(annotator, 1).any()


def test_finishing_again_replaces_what_was_finished_before(annotator, taught, client):
    annotator.finish("tumour").wait()
    voxels_of(annotator.volume)[6] = 40
    annotator.volume.GetImageData().Modified()
    annotator.finish("tumour", clean=False).wait()
    assert not at(annotator, 6).any()
    np.testing.assert_array_equal(at(annotator, 5), ball(annotator, 5))


def test_a_failing_slice_fails_the_job_and_keeps_the_rest(annotator, taught, client):
    client.fails = (8,)
    job = annotator.finish("tumour", clean=False)
    with pytest.raises(InputError, match="cannot be read"):
        job.wait()
    assert job.state == "failed"
    np.testing.assert_array_equal(at(annotator, 5), ball(annotator, 5))


def test_a_worker_that_dies_fails_the_job_and_keeps_the_rest(annotator, taught, client):
    job = annotator.finish("tumour", clean=False)
    while job.progress[0] < 7:
        job.poll()
    request = job.requests[0]
    client._waiting.insert(0, (0, Failed(request, "died", "The worker ended.")))
    with pytest.raises(WorkerError, match="ended"):
        job.wait()
    np.testing.assert_array_equal(at(annotator, 5), ball(annotator, 5))


def test_a_slice_of_nan_is_left_and_the_least_sure(annotator, taught, scene):
    import slicer

    array = np.array(voxels_of(annotator.volume), np.float32)
    array[6] = np.nan
    slicer.util.updateVolumeFromArray(annotator.volume, array)
    annotator.finish("tumour", clean=False).wait()
    assert not at(annotator, 6).any()
    np.testing.assert_array_equal(at(annotator, 5), ball(annotator, 5))
    assert annotator.suggestions("tumour")[0].index == 6


def test_mirrored_slices_are_asked_about_if_wanted(annotator, taught, client):
    job = annotator.finish("tumour", settings=FinishSettings(smooth=False, flips=True))
    job.wait()
    assert len(client.found) == 24
    assert all(one.doubts[0].flip == pytest.approx(0, abs=1e-6) for one in job.opinions)
    np.testing.assert_array_equal(at(annotator, 6), ball(annotator, 6))


def test_only_the_region_is_finished(annotator, taught, scene):
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    matrix = grid_of(annotator.volume).ijk_to_ras
    import vtk

    to_world = vtk.vtkMatrix4x4()
    directions = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    centre = matrix @ (11, 9, 6, 1)
    for row in range(3):
        for column in range(3):
            to_world.SetElement(row, column, directions[row, column])
        to_world.SetElement(row, 3, centre[row])
    roi.SetAndObserveObjectToNodeMatrix(to_world)
    roi.SetSize(8, 9, 6.2)
    annotator.region = roi
    annotator.finish("tumour", clean=False).wait()
    assert [k for k in range(12) if at(annotator, k).any()] == [5, 6, 7]
    inside = np.zeros((20, 24), bool)
    inside[6:13, 7:16] = True
    np.testing.assert_array_equal(at(annotator, 6), ball(annotator, 6) & inside)
