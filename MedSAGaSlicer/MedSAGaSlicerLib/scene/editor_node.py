"""The Segment Editor node of ours: masking and overwriting as the person set them in the panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import slicer

from MedSAGaSlicerLib.scene.slice_pictures import content_stamp

if TYPE_CHECKING:
    from collections.abc import Callable

TAG: Final = "MedSAGaSlicer"
_PREPARED: Final = "MedSAGa.Prepared"


def editor_node(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLSegmentEditorNode:
    """The scene's node, made if there is none: one per scene, apart from the Segment Editor's own.

    At first other segments are not overwritten. Closing a scene keeps the node and empties it, so
    it is prepared anew then.
    """
    node = scene.GetSingletonNode(TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.vtkMRMLSegmentEditorNode()
        node.SetSingletonTag(TAG)
        node.SetName("MedSAGa editor")
        node.SetHideFromEditors(True)
        node = scene.AddNode(node)
    if node.GetAttribute(_PREPARED) is None:
        node.SetAttribute(_PREPARED, "1")
        # Slicer's default moves voxels from other segments into the one that is painted.
        node.SetOverwriteMode(node.OverwriteNone)
    return node


def told(
    segmentation: slicer.vtkMRMLSegmentationNode, action: Callable[[], object]
) -> Callable[[], bool]:
    """Make an action that answers nothing, as the editor's undo, tell whether it did anything."""

    def act() -> bool:
        before = content_stamp(segmentation)
        action()
        return content_stamp(segmentation) != before

    return act
