import numpy as np
import pytest
import slicer
from harness.fake_client import FakeClient
from harness.scene_files import load_scene, nodes, save_bundle, save_scene

from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.segments import LABELMAP, read_slice, segment_ids, write_slice
from MedSAGaSlicerLib.scene.session import sessions_in
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import NORMALISATION_ATTRIBUTE, grid_of, normalisation_of


def reopened(scene):
    """The annotator of the first session that a scene holds."""
    session = next(sessions_in(scene))
    return Annotator(session.volume, session.segmentation, FakeClient())


def ras(annotator, i, j, k):
    return grid_of(annotator.volume).to_ras((i, j, k))


def everything(annotator):
    """What must survive: voxels on the volume's grid, prompts, confirmations, choices."""
    grid = grid_of(annotator.volume)
    segments = {
        annotator.segmentation.GetSegmentation().GetSegment(segment).GetName(): [
            read_slice(annotator.segmentation, segment, grid, SlicePosition("k", k)).tobytes()
            for k in range(grid.shape_ijk[2])
        ]
        for segment in segment_ids(annotator.segmentation)
    }
    prompts = [(p.segment_id, p.position, p.positive, p.label) for p in annotator.prompts()]
    places = [np.round(p.coordinates, 3).tolist() for p in annotator.prompts()]
    choices = annotator.model, normalisation_of(annotator.volume)
    return segments, prompts, places, annotator.confirmed(), choices


def annotate(annotator):
    painted = np.zeros((20, 24), bool)
    painted[15:18, 2:9] = True
    write_slice(annotator.segmentation, "tumour", annotator.volume, SlicePosition("k", 5), painted)
    annotator.use_model("other")
    annotator.point("tumour", ras(annotator, 10, 8, 5))
    annotator.box("tumour", ras(annotator, 3, 3, 7), ras(annotator, 9, 9, 7))
    annotator.point("liver", ras(annotator, 12, 10, 6), axis="i")
    annotator.point("liver", ras(annotator, 12, 12, 6), positive=False, axis="i")
    annotator.wait()
    annotator.confirm("k", 2)
    annotator.confirm("k", 7)


@pytest.fixture
def annotator(volume, segmentation):
    """An annotation with something of everything, in a segmentation with awkward names."""
    volume.SetName("T1 / Köpfchen: 头部")
    segmentation.GetSegmentation().GetSegment("tumour").SetName("Tumor/links | ≥ 3 cm")
    annotator = Annotator(volume, segmentation, FakeClient())
    annotate(annotator)
    return annotator


@pytest.mark.parametrize("suffix", [".mrb", ".mrml"])
def test_everything_is_there_again_after_saving_and_loading(
    application, annotator, tmp_path, suffix
):
    before = everything(annotator)
    path = tmp_path / f"scene{suffix}"
    (save_bundle if suffix == ".mrb" else save_scene)(application, path)
    load_scene(application, path)
    assert annotator.closed is not None
    again = reopened(application.scene)
    assert everything(again) == before
    again.close()


def test_work_goes_on_after_loading_as_if_nothing_had_been(application, annotator, tmp_path):
    save_bundle(application, tmp_path / "scene.mrb")
    k5 = SlicePosition("k", 5)
    annotator.point("tumour", ras(annotator, 13, 8, 5), positive=False)
    annotator.wait()
    expected = read_slice(annotator.segmentation, "tumour", grid_of(annotator.volume), k5)
    load_scene(application, tmp_path / "scene.mrb")
    again = reopened(application.scene)
    again.use_model("other")
    again.point("tumour", ras(again, 13, 8, 5), positive=False)
    again.wait()
    got = read_slice(again.segmentation, "tumour", grid_of(again.volume), k5)
    assert np.array_equal(got, expected)
    again.clear_slice("tumour", "k", 5)
    left = read_slice(again.segmentation, "tumour", grid_of(again.volume), k5)
    assert left.sum() == 21  # only what was painted by hand
    again.close()


def test_an_annotation_survives_import_into_a_scene_that_has_the_same_nodes(
    application, annotator, tmp_path
):
    save_bundle(application, tmp_path / "scene.mrb")
    before = everything(annotator)
    load_scene(application, tmp_path / "scene.mrb", clear=False)
    assert everything(annotator) == before
    scene = application.scene
    sessions = list(sessions_in(scene))
    assert len(sessions) == 2
    (imported,) = (s for s in sessions if s.volume is not annotator.volume)
    assert imported.segmentation is not annotator.segmentation
    mine = {node.GetID() for node in next(iter(sessions)).prompt_nodes()}
    assert not mine & {node.GetID() for node in imported.prompt_nodes()}
    other = Annotator(imported.volume, imported.segmentation, FakeClient())
    assert everything(other) == before
    other.clear_slice("tumour", "k", 5)
    assert everything(annotator) == before
    other.close()
    annotator.close()


def test_a_scene_without_this_module_stays_a_normal_scene(application, annotator, tmp_path):
    path = tmp_path / "scene.mrb"
    save_bundle(application, path)
    annotator.close()
    load_scene(application, path)
    kinds = {node.GetClassName() for node in nodes(application.scene, "vtkMRMLNode")}
    assert kinds <= {name for name in dir(slicer) if name.startswith("vtkMRML")}
    (session,) = nodes(application.scene, "vtkMRMLScriptedModuleNode")
    assert session.GetHideFromEditors()
    # A second save by somebody who knows nothing of it loses nothing.
    save_bundle(application, tmp_path / "second.mrb")
    load_scene(application, tmp_path / "second.mrb")
    assert len(reopened(application.scene).prompts()) == 4


def test_two_annotators_of_the_same_nodes_share_one_session(annotator, scene):
    annotator.close()
    second = Annotator(annotator.volume, annotator.segmentation, FakeClient())
    assert len(list(sessions_in(scene))) == 1
    assert len(second.prompts()) == 4
    second.close()


def test_each_segmentation_of_a_volume_has_its_own_session(annotator, scene):
    other = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Second reader")
    second = Annotator(annotator.volume, other, FakeClient())
    assert second.prompts() == ()
    assert second.confirmed() == ()
    assert len(list(sessions_in(scene))) == 2
    second.close()


def test_damaged_text_in_the_scene_loses_only_what_it_stood_for(annotator):
    annotator.close()
    (session,) = sessions_in(annotator.volume.GetScene())
    node = session.node
    for name in node.GetParameterNames():
        if name.startswith("work/k/5"):
            node.SetParameter(name, "20x24:AAAA 20x24:AAAA 20x24:AAAA")
    node.SetParameter("confirmed", '[{"axis": "q"}, {"axis": "k", "index": 2, "segments": {}')
    node.SetParameter("grid", "[1, 2, NaN]")
    node.SetParameter("work/k/nonsense/liver", "x")
    again = Annotator(annotator.volume, annotator.segmentation, FakeClient())
    assert len(again.prompts()) == 4
    assert again.confirmed() == ()
    again.point("tumour", ras(again, 3, 8, 5))
    again.wait()
    again.close()


def test_a_scene_is_closed_and_loaded_again_and_again(application, annotator, tmp_path):
    save_bundle(application, tmp_path / "scene.mrb")
    before = everything(annotator)
    for _ in range(3):
        application.scene.Clear(0)
        load_scene(application, tmp_path / "scene.mrb")
        again = reopened(application.scene)
        assert everything(again) == before


def test_the_normalisation_is_the_one_of_the_first_session(application, annotator, tmp_path):
    stored = annotator.volume.GetAttribute(NORMALISATION_ATTRIBUTE)
    save_bundle(application, tmp_path / "scene.mrb")
    load_scene(application, tmp_path / "scene.mrb")
    volume = next(sessions_in(application.scene)).volume
    slicer.util.arrayFromVolume(volume)[:] = 0
    assert volume.GetAttribute(NORMALISATION_ATTRIBUTE) == stored


def test_edits_after_loading_are_noticed_whichever_segment_they_are_in(
    application, volume, segmentation, tmp_path
):
    for segment in segment_ids(segmentation):
        # Each has a labelmap of its own, for they overlap.
        write_slice(segmentation, segment, volume, SlicePosition("k", 3), np.ones((20, 24), bool))
    annotator = Annotator(volume, segmentation, FakeClient())
    annotator.confirm("k", 3)
    annotator.close()
    save_bundle(application, tmp_path / "scene.mrb")
    for segment in segment_ids(segmentation):
        load_scene(application, tmp_path / "scene.mrb")
        again = reopened(application.scene)
        assert again.confirmed() == (SlicePosition("k", 3),)
        # As another tool would: straight into the voxels.
        image = again.segmentation.GetSegmentation().GetSegment(segment).GetRepresentation(LABELMAP)
        image.GetPointData().GetScalars().Fill(0)
        image.Modified()
        assert again.confirmed() == ()
        again.close()
