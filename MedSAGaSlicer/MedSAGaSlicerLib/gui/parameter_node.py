"""What the panel has chosen, kept in the scene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from MedSAGaSlicerLib.engine.regions.choice import AUTO

if TYPE_CHECKING:
    import slicer

_VOLUME: Final = "volume"
_SEGMENTATION: Final = "segmentation"
_SEGMENT: Final = "segment"
_AUTO_PREDICT: Final = "autoPredict"
_REGION: Final = "region"
_ROI: Final = "roi"


class ParameterNode:
    """A typed view of the module's ``vtkMRMLScriptedModuleNode``.

    Slicer's ``parameterNodeWrapper`` would do, but lives in the application: this one is tested on
    real MRML without it. That one also takes misspelt names without a word, where ``__slots__``
    refuses them, and has no connector for the selector of segments.

    Nodes are stored as references, so that they survive being imported into another scene. Camel
    case, for the names are Slicer's way of writing parameters.
    """

    __slots__ = ("node",)

    def __init__(self, node: slicer.vtkMRMLScriptedModuleNode) -> None:
        """Look at a node; nothing is written to it."""
        self.node = node

    @property
    def volume(self) -> slicer.vtkMRMLVolumeNode | None:
        """The volume that is annotated, None if none is chosen or it is gone."""
        return self.node.GetNodeReference(_VOLUME)

    @volume.setter
    def volume(self, node: slicer.vtkMRMLVolumeNode | None) -> None:
        self._refer(_VOLUME, node)

    @property
    def segmentation(self) -> slicer.vtkMRMLSegmentationNode | None:
        """Where masks go, None if none is chosen or it is gone."""
        return self.node.GetNodeReference(_SEGMENTATION)

    @segmentation.setter
    def segmentation(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        self._refer(_SEGMENTATION, node)

    @property
    def segmentId(self) -> str:
        """The segment that prompts are for, "" if there is none."""
        segment_id = str(self.node.GetParameter(_SEGMENT) or "")
        segmentation = self.segmentation
        if segmentation is None or segmentation.GetSegmentation().GetSegment(segment_id) is None:
            return ""
        return segment_id

    @segmentId.setter
    def segmentId(self, segment_id: str) -> None:
        self.node.SetParameter(_SEGMENT, segment_id)

    @property
    def autoPredict(self) -> bool:
        """Whether the model is asked at each prompt, and not only when a button says so."""
        return bool(self.node.GetParameter(_AUTO_PREDICT) != "off")

    @autoPredict.setter
    def autoPredict(self, on: bool) -> None:
        self.node.SetParameter(_AUTO_PREDICT, "on" if on else "off")

    @property
    def region(self) -> str:
        """What of its slices the model looks at: "auto", "whole", or "roi", "auto" at first."""
        return str(self.node.GetParameter(_REGION) or AUTO)

    @region.setter
    def region(self, kind: str) -> None:
        self.node.SetParameter(_REGION, kind)

    @property
    def roi(self) -> slicer.vtkMRMLMarkupsROINode | None:
        """The region of interest chosen last, None if none ever was or it is gone."""
        return self.node.GetNodeReference(_ROI)

    @roi.setter
    def roi(self, node: slicer.vtkMRMLMarkupsROINode | None) -> None:
        self._refer(_ROI, node)

    def _refer(self, role: str, node: slicer.vtkMRMLNode | None) -> None:
        self.node.SetNodeReferenceID(role, None if node is None else node.GetID())
