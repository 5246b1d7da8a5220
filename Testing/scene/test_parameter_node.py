"""What the panel has chosen, kept in the scene."""

from pathlib import Path

import pytest
import slicer

from MedSAGaSlicerLib.gui.parameter_node import ParameterNode


@pytest.fixture
def parameters(scene: slicer.vtkMRMLScene) -> ParameterNode:
    return ParameterNode(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "MedSAGaSlicer"))


def test_nothing_is_chosen_at_first(parameters: ParameterNode) -> None:
    assert (parameters.volume, parameters.segmentation, parameters.segmentId) == (None, None, "")
    assert parameters.autoPredict


def test_choices_are_read_back(
    parameters: ParameterNode,
    volume: slicer.vtkMRMLScalarVolumeNode,
    segmentation: slicer.vtkMRMLSegmentationNode,
) -> None:
    parameters.volume, parameters.segmentation = volume, segmentation
    parameters.segmentId, parameters.autoPredict = "liver", False
    again = ParameterNode(parameters.node)
    assert again.volume is volume
    assert again.segmentation is segmentation
    assert (again.segmentId, again.autoPredict) == ("liver", False)


def test_the_region_is_the_whole_volume_until_another_is_chosen(
    parameters: ParameterNode, scene: slicer.vtkMRMLScene
) -> None:
    assert (parameters.region, parameters.roi) == ("auto", None)
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    parameters.region, parameters.roi = "roi", roi
    again = ParameterNode(parameters.node)
    assert (again.region, again.roi) == ("roi", roi)
    scene.RemoveNode(roi)
    assert again.roi is None


def test_what_is_gone_is_not_chosen(
    parameters: ParameterNode,
    scene: slicer.vtkMRMLScene,
    segmentation: slicer.vtkMRMLSegmentationNode,
) -> None:
    parameters.segmentation, parameters.segmentId = segmentation, "liver"
    segmentation.GetSegmentation().RemoveSegment("liver")
    assert parameters.segmentId == ""
    scene.RemoveNode(segmentation)
    assert parameters.segmentation is None


def test_a_misspelt_choice_is_refused(parameters: ParameterNode) -> None:
    with pytest.raises(AttributeError):
        parameters.segmentID = "liver"


def test_choices_follow_their_nodes_into_another_scene(
    parameters: ParameterNode, volume: slicer.vtkMRMLScalarVolumeNode, tmp_path: Path
) -> None:
    parameters.volume = volume
    path = tmp_path / "scene.mrml"
    volume.GetScene().SetURL(str(path))
    assert volume.GetScene().Commit()
    other = slicer.vtkMRMLScene()
    # Takes the identifier that the volume had.
    other.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "there already")
    other.SetURL(str(path))
    other.Import()
    node = other.GetFirstNodeByClass("vtkMRMLScriptedModuleNode")
    assert ParameterNode(node).volume.GetName() == volume.GetName()
