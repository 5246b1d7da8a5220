"""The selectors at the top of the panel: what is annotated, and by which model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer

from MedSAGaSlicerLib.scene.creating import new_segment, new_segmentation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import SimpleNamespace

    from MedSAGaSlicerLib.gui.parameter_node import ParameterNode


class Choices:
    """Keeps selectors and parameter node alike; ``changed`` is called when a person chose."""

    def __init__(
        self,
        ui: SimpleNamespace,
        changed: Callable[[], None],
        model_chosen: Callable[[str], None],
    ) -> None:
        """Connect the selectors; they do nothing until ``bind``."""
        self.ui = ui
        self._changed, self._model_chosen = changed, model_chosen
        self._parameters: ParameterNode | None = None
        # Of currentNodeChanged there are two, which PythonQt cannot tell apart by name.
        self.ui.volumeSelector.currentNodeIDChanged.connect(self.onVolume)
        self.ui.segmentationSelector.currentNodeIDChanged.connect(self.onSegmentation)
        self.ui.segmentSelector.currentSegmentChanged.connect(self.onSegment)
        self.ui.addSegmentButton.clicked.connect(self.onAddSegment)
        self.ui.modelSelector.textActivated.connect(self.onModel)
        self.ui.autoPredictCheckBox.toggled.connect(self.onAutoPredict)

    def bind(self, parameters: ParameterNode | None) -> None:
        """Show what a parameter node says, and write choices there from now on."""
        self._parameters = None
        if parameters is not None:
            # In this order: a selector of segments knows those of its segmentation alone.
            segment_id = parameters.segmentId
            self.ui.volumeSelector.setCurrentNode(parameters.volume)
            self.ui.segmentationSelector.setCurrentNode(parameters.segmentation)
            self.ui.segmentSelector.setCurrentNode(parameters.segmentation)
            if segment_id:
                self.ui.segmentSelector.setCurrentSegmentID(segment_id)
            self.ui.autoPredictCheckBox.setChecked(parameters.autoPredict)
            parameters.segmentId = self.ui.segmentSelector.currentSegmentID()
        self._parameters = parameters

    def list_models(self, names: Sequence[str]) -> None:
        """Offer these models."""
        box = self.ui.modelSelector
        if [box.itemText(n) for n in range(box.count)] != list(names):
            box.clear()
            box.addItems(list(names))

    def show_model(self, name: str) -> None:
        """Show which model is used."""
        self.ui.modelSelector.setCurrentIndex(self.ui.modelSelector.findText(name))

    def onVolume(self, _node_id: str = "") -> None:
        """Another volume was chosen: show it, too."""
        if self._parameters is not None:
            volume = self.ui.volumeSelector.currentNode()
            self._parameters.volume = volume
            if volume is not None:
                _show(volume)
            self._changed()

    def onSegmentation(self, _node_id: str = "") -> None:
        """Another segmentation was chosen."""
        if self._parameters is not None:
            segmentation = self.ui.segmentationSelector.currentNode()
            self._parameters.segmentation = segmentation
            self.ui.segmentSelector.setCurrentNode(segmentation)
            self._changed()

    def onSegment(self, segment_id: str) -> None:
        """Another segment was chosen, or the one there was is gone."""
        if self._parameters is not None:
            self._parameters.segmentId = segment_id
            self._changed()

    def onAddSegment(self, _checked: bool = False) -> None:
        """Make a segment, in a new segmentation if need be, and choose it."""
        parameters = self._parameters
        if parameters is None or parameters.volume is None:
            return
        if parameters.segmentation is None:
            self.ui.segmentationSelector.setCurrentNode(new_segmentation(parameters.volume))
        self.ui.segmentSelector.setCurrentSegmentID(new_segment(parameters.segmentation))

    def onModel(self, name: str) -> None:
        """Another model was chosen."""
        self._model_chosen(name)

    def onAutoPredict(self, on: bool) -> None:
        """The model is to be asked at each prompt, or not."""
        if self._parameters is not None:
            self._parameters.autoPredict = on
            self._changed()


def active_volume(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLVolumeNode | None:
    """The volume that was loaded or shown last, None if there is none."""
    node_id = slicer.app.applicationLogic().GetSelectionNode().GetActiveVolumeID()
    node = scene.GetNodeByID(node_id) if node_id else None
    return node if node is not None and node.IsA("vtkMRMLScalarVolumeNode") else None


def _show(volume: slicer.vtkMRMLVolumeNode) -> None:
    """Have the slice views show a volume unless one of them does."""
    scene = volume.GetScene()
    count = scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")
    composites = [scene.GetNthNodeByClass(n, "vtkMRMLSliceCompositeNode") for n in range(count)]
    if not any(volume.GetID() == _background(composite) for composite in composites):
        # Turned onto the volume's slices: prompts cannot be placed between them.
        slicer.util.setSliceViewerLayers(background=volume, fit=True, rotateToVolumePlane=True)


def _background(composite: Any) -> str:
    return str(composite.GetBackgroundVolumeID())
