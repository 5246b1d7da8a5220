"""What of a volume an annotator shows models: a ROI's voxels, or all, small boxes from near."""

from pathlib import Path

import numpy as np
import pytest
import slicer
from harness.fake_client import FakeClient

from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.exporting import confirmed_examples
from MedSAGaSlicerLib.scene.jobs import DONE, Job
from MedSAGaSlicerLib.scene.prompt_markups import put_box
from MedSAGaSlicerLib.scene.region import region_of
from MedSAGaSlicerLib.scene.segments import read_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of, pixels_of


def roi_over(volume, low, high, name="R"):
    """A ROI along the volume's axes from the edge of voxel ``low`` to the edge of ``high``."""
    node = volume.GetScene().AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    node.CreateDefaultDisplayNodes()
    grid = grid_of(volume)
    put_box(node, grid, SlicePosition("k", 0), (0, 0, 1, 1))
    extent = np.array(high) - low + 1
    node.SetSize(*(float(x) for x in extent * grid.geometry.spacing_mm))
    node.SetCenterWorld(*(float(x) for x in grid.to_ras((np.array(low) + high) / 2)))
    return node


@pytest.fixture
def client():
    return FakeClient(delay=0)


@pytest.fixture
def annotator(volume, segmentation, client):
    annotator = Annotator(volume, segmentation, client)
    yield annotator
    annotator.close()


def mask_of(annotator, position, segment="tumour"):
    grid = grid_of(annotator.volume)
    return read_slice(annotator.segmentation, segment, grid, position)


def ras(annotator, i, j, k):
    return grid_of(annotator.volume).to_ras((i, j, k))


def test_a_roi_is_the_voxels_whose_centres_it_holds(volume):
    grid = grid_of(volume)
    assert str(region_of(roi_over(volume, (3, 4, 2), (14, 15, 9)), grid)) == "3:15,4:16,2:10"
    beyond = region_of(roi_over(volume, (-5, 4, 2), (99, 15, 9)), grid)
    assert str(beyond) == "0:24,4:16,2:10"
    thin = roi_over(volume, (3, 4, 2), (3, 4, 2))
    thin.SetSize(0.2, 0.2, 0.2)
    assert str(region_of(thin, grid)) == "3:4,4:5,2:3"


def test_a_roi_that_is_turned_or_beside_the_volume_is_refused(volume, annotator):
    straight = slicer.vtkMRMLMarkupsROINode()
    straight.SetName("turned")
    turned = volume.GetScene().AddNode(straight)
    turned.SetSize(10, 10, 10)
    # The volume is turned by ten degrees, a new ROI is not.
    with pytest.raises(InputError, match="'turned' is turned against the voxels"):
        annotator.region = turned
    with pytest.raises(InputError, match="lies beside the volume"):
        annotator.region = roi_over(volume, (50, 4, 2), (60, 15, 9))
    for wrong in ("tiles", "3:4,5:6,:", volume):
        with pytest.raises(InputError, match="is no region"):
            annotator.region = wrong
    assert annotator.region == "auto"


class TestWithARoi:
    @pytest.fixture
    def roi(self, volume, annotator):
        roi = roi_over(volume, (3, 4, 2), (14, 15, 9))
        annotator.region = roi
        return roi

    def test_the_model_is_shown_nothing_else(self, annotator, client, volume, roi):
        annotator.box("tumour", ras(annotator, 5, 6, 5), ras(annotator, 9, 10, 5))
        annotator.wait()
        key, prompts, _ = client.asked[0]
        assert key == slice_key(pixels_of(volume, "k", 5)[4:16, 3:15].copy())
        assert prompts.box == (2, 2, 6, 6)
        expected = np.zeros((20, 24), bool)
        expected[6:11, 5:10] = True
        assert np.array_equal(mask_of(annotator, SlicePosition("k", 5)), expected)

    def test_on_the_other_axes_too(self, annotator, client, roi):
        annotator.box("tumour", ras(annotator, 5, 8, 3), ras(annotator, 9, 8, 6), axis="j")
        annotator.wait()
        assert client.asked[0][1].box == (2, 1, 6, 4)
        mask = mask_of(annotator, SlicePosition("j", 8))
        assert mask.sum() == 5 * 4
        assert mask[3:7, 5:10].all()

    def test_prompts_outside_are_refused_by_name(self, annotator, roi):
        with pytest.raises(InputError, match="outside the region"):
            annotator.point("tumour", ras(annotator, 20, 8, 5))
        with pytest.raises(InputError, match="outside the region"):
            annotator.point("tumour", ras(annotator, 5, 8, 11))
        assert annotator.prompts() == ()
        assert annotator.undo_names() == (None, None)

    def test_moved_it_is_the_new_voxels_that_count(self, annotator, client, roi, volume):
        roi.SetCenterWorld(*(float(x) for x in grid_of(volume).to_ras((10.5, 9.5, 5.5))))
        annotator.box("tumour", ras(annotator, 6, 6, 5), ras(annotator, 9, 10, 5))
        annotator.wait()
        assert client.asked[0][1].box == (1, 2, 4, 6)

    def test_turned_afterwards_it_is_said_and_nothing_is_written(self, annotator, roi):
        matrix = slicer.vtkMRMLMarkupsROINode().GetObjectToNodeMatrix()
        roi.SetAndObserveObjectToNodeMatrix(matrix)
        with pytest.raises(InputError, match="turned against"):
            annotator.point("tumour", ras(annotator, 5, 8, 5))

    def test_a_lesson_sees_the_same_part(self, annotator, roi):
        annotator.box("tumour", ras(annotator, 5, 6, 5), ras(annotator, 9, 10, 5))
        annotator.wait()
        annotator.confirm("k", 5)
        annotator.confirm("k", 0)
        (example,) = confirmed_examples(annotator._annotation, ["tumour"]).examples
        assert example.size == (12, 12)
        assert example.masks["tumour"].sum() == 25
        assert example.prompts["tumour"].box == (2, 2, 6, 6)
        assert example.index == 5

    def test_the_person_is_told(self, annotator, roi):
        annotator.look_at("k", 5)
        assert annotator.region_plan.startswith(
            "Region of interest 12 x 12 px of 24 x 20, 1 embedding per slice"
        )
        annotator.region = None
        assert annotator.region_plan.startswith("Whole slice, 24 x 20 px, 1 embedding")

    def test_it_is_saved_with_the_scene(self, annotator, roi, tmp_path: Path):
        session = annotator._annotation.session
        assert session.node.GetNodeReference("MedSAGaRegion") is roi
        annotator.region = "whole"
        assert annotator.region == "whole"
        assert session.node.GetNodeReference("MedSAGaRegion") is None

    def test_without_its_node_all_of_the_slice_counts_again(self, annotator, roi, scene):
        scene.RemoveNode(roi)
        assert annotator.region == "auto"
        annotator.point("tumour", ras(annotator, 20, 8, 5))
        annotator.wait()


class TestFromNear:
    """A model whose input is smaller than the slice looks at small boxes once more."""

    @pytest.fixture
    def client(self):
        return FakeClient(delay=0, input_size=8)

    def test_a_small_box_is_asked_in_its_surroundings(self, annotator, client):
        annotator.box("tumour", ras(annotator, 5, 6, 5), ras(annotator, 7, 8, 5))
        annotator.wait()
        ((key, prompts, _),) = client.asked
        assert key not in client.encoded
        left, top, right, bottom = prompts.box
        assert (right - left, bottom - top) == (2, 2)
        expected = np.zeros((20, 24), bool)
        expected[6:9, 5:8] = True
        assert np.array_equal(mask_of(annotator, SlicePosition("k", 5)), expected)

    def test_a_correction_refines_what_was_found_there(self, annotator, client):
        annotator.box("tumour", ras(annotator, 5, 6, 5), ras(annotator, 8, 9, 5))
        annotator.wait()
        annotator.point("tumour", ras(annotator, 6, 7, 5), positive=False)
        annotator.wait()
        (first, _, _), (second, _, previous) = client.asked
        assert first == second
        assert previous is not None

    def test_a_large_box_and_whole_slices_are_not(self, annotator, client, volume):
        annotator.box("tumour", ras(annotator, 2, 2, 5), ras(annotator, 20, 15, 5))
        annotator.wait()
        annotator.region = "whole"
        annotator.box("liver", ras(annotator, 5, 6, 5), ras(annotator, 7, 8, 5))
        annotator.wait()
        assert {key for key, _, _ in client.asked} == {slice_key(pixels_of(volume, "k", 5))}

    def test_at_the_border_of_the_volume(self, annotator):
        annotator.box("tumour", ras(annotator, 22, 18, 0), ras(annotator, 23, 19, 0))
        annotator.wait()
        mask = mask_of(annotator, SlicePosition("k", 0))
        assert mask[18:, 22:].all()
        assert mask.sum() == 4

    def test_a_click_looks_at_the_whole_slice(self, annotator, client, volume):
        annotator.point("tumour", ras(annotator, 6, 7, 5))
        annotator.wait()
        assert client.asked[0][0] == slice_key(pixels_of(volume, "k", 5))
        assert len(client.asked) == 1


class BoxOnSlices(Job):
    """The same box on some slices along k, each with the mask that is expected."""

    def __init__(self, place, box, mask):
        super().__init__(place, "Boxes", 3)
        self.box, self.mask = box, mask

    def _step(self):
        if self._count.done == 3:
            self._end(DONE, "All done.")
        elif not self.requests:
            position = SlicePosition("k", 4 + self._count.done)
            self._ask(self._count.done, position, Prompts(box=self.box), mask=self.mask)

    def _answered(self, tag, answer):
        self._write(("tumour", SlicePosition("k", 4 + tag)), answer.mask)
        self._count.done += 1


class TestJobs:
    def run(self, annotator, mask):
        job = BoxOnSlices(annotator._workplace(), (5, 6, 7, 8), mask)
        annotator._jobs.add(job)
        job.wait(10)
        for k in (4, 5, 6):
            found = mask_of(annotator, SlicePosition("k", k))
            assert found[6:9, 5:8].all()
            assert found.sum() == 9

    def test_they_look_at_small_boxes_from_near(self, annotator, client, volume, monkeypatch):
        client.input_size, masks = 8, []
        mask = np.zeros((20, 24), bool)
        mask[6:9, 5:8] = True

        def decode(key, prompts, *, mask, **options):
            masks.append(mask)
            return FakeClient.decode(client, key, prompts, **options)

        monkeypatch.setattr(client, "decode", decode)
        self.run(annotator, mask)
        assert all(key != slice_key(pixels_of(volume, "k", 4)) for key, _, _ in client.asked)
        assert {given.sum() for given in masks} == {9}
        assert {given.shape for given in masks} != {(20, 24)}

    def test_they_look_at_a_region_alone(self, annotator, client, volume):
        annotator.region = roi_over(volume, (3, 4, 2), (14, 15, 9))
        self.run(annotator, None)
        assert {prompts.box for _, prompts, _ in client.asked} == {(2, 2, 4, 4)}

    def test_another_region_ends_them(self, annotator, volume):
        job = BoxOnSlices(annotator._workplace(), (5, 6, 7, 8), None)
        annotator._jobs.add(job)
        annotator.region = roi_over(volume, (3, 4, 2), (14, 15, 9))
        assert job.state == "stopped"
        assert "another region" in job.message
