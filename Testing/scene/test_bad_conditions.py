"""What others do to nodes at the worst moment: while a question is out, or between two polls."""

import numpy as np
import pytest
import slicer
from harness.fake_client import FakeClient, draw
from harness.orientations import add_transform, add_warp

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.events import MaskWritten
from MedSAGaSlicerLib.scene.segments import read_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of

K5 = SlicePosition("k", 5)
SHEAR = np.eye(4)
SHEAR[0, 1] = 0.3


@pytest.fixture
def annotator(volume, segmentation, client):
    annotator = Annotator(volume, segmentation, client)
    yield annotator
    annotator.close()


def click(annotator, i=6, j=8, k=5, segment="tumour"):
    return annotator.point(segment, grid_of(annotator.volume).to_ras((i, j, k)))


def mask_of(annotator, segment="tumour", position=K5):
    return read_slice(annotator.segmentation, segment, grid_of(annotator.volume), position)


def disc(*points):
    return draw((20, 24), Prompts(points, (True,) * len(points)))


def messages(events):
    return [event.message for event in events if hasattr(event, "message")]


@pytest.mark.parametrize(
    ("what", "kind"), [("volume", "warp"), ("volume", "shear"), ("segmentation", "warp")]
)
def test_a_transform_that_cannot_be_followed_holds_masks_back_until_it_is_gone(
    annotator, client, scene, what, kind
):
    client.hold = True
    click(annotator)
    transform = add_warp(scene) if kind == "warp" else add_transform(scene, SHEAR)
    node = getattr(annotator, what)
    node.SetAndObserveTransformNodeID(transform.GetID())
    client.hold = False
    events = [event for _ in range(5) for event in annotator.poll()]
    assert len(set(messages(events))) == 1
    assert not any(isinstance(event, MaskWritten) for event in events)
    node.SetAndObserveTransformNodeID(None)
    annotator.poll()
    annotator.wait()
    assert len(annotator.prompts()) == 1
    assert np.array_equal(mask_of(annotator), disc((6, 8)))
    assert annotator.undo() == "Point"
    assert not mask_of(annotator).any()


def test_a_volume_that_gets_other_voxels_of_another_size_is_said_and_survived(
    annotator, client, volume
):
    click(annotator)
    annotator.wait()
    annotator.confirm("k", 2)
    client.hold = True
    click(annotator, 10, 8)
    former = volume.GetImageData()
    other = slicer.util.addVolumeFromArray(np.zeros((5, 16, 12), np.int16))
    volume.SetAndObserveImageData(other.GetImageData())
    client.hold = False
    events = [event for _ in range(5) for event in annotator.poll()]
    assert not any(isinstance(event, MaskWritten) for event in events)
    assert len(set(messages(events))) == 1
    with pytest.raises(InputError, match="voxels now"):
        click(annotator, 3, 3, 3)
    with pytest.raises(InputError, match="voxels now"):
        annotator.undo()
    volume.SetAndObserveImageData(former)
    annotator.poll()
    annotator.wait()
    assert np.array_equal(mask_of(annotator), disc((6, 8), (10, 8)))
    assert annotator.confirmed() == (SlicePosition("k", 2),)


def test_a_volume_that_loses_its_image_is_said_and_survived(annotator, client, volume):
    client.hold = True
    click(annotator)
    former = volume.GetImageData()
    volume.SetAndObserveImageData(None)
    client.hold = False
    events = [event for _ in range(5) for event in annotator.poll()]
    assert len(set(messages(events))) == 1
    with pytest.raises(InputError, match="image"):
        annotator.point("tumour", (0, 0, 0))
    volume.SetAndObserveImageData(former)
    annotator.poll()
    annotator.wait()
    assert np.array_equal(mask_of(annotator), disc((6, 8)))


def test_another_segmentation_inside_the_node_is_annotated_from_then_on(annotator, client):
    click(annotator)
    annotator.wait()
    client.hold = True
    click(annotator, 10, 8)
    other = slicer.vtkSegmentation()
    annotator.segmentation.SetAndObserveSegmentation(other)
    client.hold = False
    for _ in range(5):
        annotator.poll()
    click(annotator, 4, 4, segment="new")
    annotator.wait()
    (segment,) = other.GetSegmentIDs()
    assert np.array_equal(mask_of(annotator, segment), disc((4, 4)))


@pytest.mark.parametrize("kind", ["vtkMRMLLabelMapVolumeNode", "vtkMRMLVectorVolumeNode"])
def test_label_maps_and_photographs_are_annotated_like_any_volume(scene, client, kind):
    voxels = np.random.default_rng(0).integers(0, 5, (4, 20, 24, 3), dtype=np.uint8)
    if "Label" in kind:
        voxels = voxels[..., 0].copy()
    volume = slicer.util.addVolumeFromArray(voxels, nodeClassName=kind)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Ä/Ö: 分割")
    annotator = Annotator(volume, node, client)
    annotator.point("Läsion/1: 病变", (6, 8, 2))
    annotator.wait()
    (segment,) = node.GetSegmentation().GetSegmentIDs()
    assert np.array_equal(mask_of(annotator, segment, SlicePosition("k", 2)), disc((6, 8)))
    assert np.array_equal(slicer.util.arrayFromVolume(volume), voxels)
    annotator.close()


def test_a_sheared_segmentation_is_brought_onto_the_volumes_grid(annotator, scene):
    annotator.segmentation.SetAndObserveTransformNodeID(add_transform(scene, SHEAR).GetID())
    click(annotator)
    annotator.wait()
    assert np.array_equal(mask_of(annotator), disc((6, 8)))
    assert annotator.undo() == "Point"
    assert not mask_of(annotator).any()


def test_what_was_confirmed_on_a_larger_volume_is_no_hindrance_on_a_smaller_one(
    annotator, volume, segmentation
):
    for axis, index in (("k", 5), ("k", 11), ("i", 20)):
        annotator.confirm(axis, index)
    click(annotator, k=11)
    click(annotator)
    annotator.wait()
    annotator.close()
    other = slicer.util.addVolumeFromArray(np.zeros((8, 16, 12), np.int16))
    volume.SetAndObserveImageData(other.GetImageData())
    again = Annotator(volume, segmentation, FakeClient())
    again.poll()
    click(again, 3, 3, 5)
    again.wait()
    assert mask_of(again)[3, 3]
    again.confirm("k", 5)
    again.undo()
    again.close()
