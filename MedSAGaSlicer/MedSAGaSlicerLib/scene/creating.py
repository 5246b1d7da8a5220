"""Segmentations and segments made for a person who has none yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from MedSAGaSlicerLib.scene.segments import segment_ids

if TYPE_CHECKING:
    import slicer


def new_segmentation(volume: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLSegmentationNode:
    """An empty segmentation in the volume's scene, laid out like the volume and moved with it."""
    scene = volume.GetScene()
    name = scene.GenerateUniqueName(f"{volume.GetName()} segmentation")
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    return node


def new_segment(node: slicer.vtkMRMLSegmentationNode) -> str:
    """Add an empty segment with a name and a colour of its own; its identifier."""
    segmentation = node.GetSegmentation()
    names = {segmentation.GetSegment(i).GetName() for i in segment_ids(node)}
    number = next(n for n in range(1, len(names) + 2) if f"Segment {n}" not in names)
    return str(segmentation.AddEmptySegment("", f"Segment {number}"))
