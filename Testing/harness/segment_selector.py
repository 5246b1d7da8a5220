"""Stand-in for Slicer's selector of segments."""

from typing import Any

import slicer
from harness.listening import Listening
from PySide6.QtCore import Property, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QWidget


class qMRMLSegmentSelectorWidget(QWidget):
    """Chooses a segment of a segmentation that it is given.

    Slicer's has a selector for the segmentation as well, which the panel hides.
    """

    currentNodeChanged = Signal(object)
    currentSegmentChanged = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._box = QComboBox()
        layout.addWidget(self._box)
        self._box.activated.connect(self._choose)
        self._scene: slicer.vtkMRMLScene | None = None
        self._node: slicer.vtkMRMLSegmentationNode | None = None
        self._scene_listening, self._node_listening = Listening(self), Listening(self)
        self._current, self._none = "", False

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        self._scene_listening.stop()
        self._scene = scene
        self.setCurrentNode(None)
        if scene is not None:
            for event in (scene.NodeRemovedEvent, scene.EndCloseEvent):
                self._scene_listening.to(scene, event, self._forget_removed)

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        return self._scene

    def currentNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        return self._node

    def setCurrentNode(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        if node is self._node:
            return
        self._node_listening.stop()
        self._node = node
        if node is not None:
            kind = slicer.vtkSegmentation
            for event in (kind.SegmentAdded, kind.SegmentRemoved, kind.SegmentModified):
                self._node_listening.to(node.GetSegmentation(), event, self._fill)
        self._fill()
        self.currentNodeChanged.emit(node)

    def currentSegmentID(self) -> str:
        return self._current

    def setCurrentSegmentID(self, identifier: str) -> None:
        identifier = identifier if identifier in self._identifiers() else ""
        changed = identifier != self._current
        self._current = identifier
        self._box.setCurrentIndex(self._box.findData(identifier))
        if changed:
            self.currentSegmentChanged.emit(identifier)

    def _none_enabled(self) -> bool:
        return self._none

    def _enable_none(self, enabled: bool) -> None:
        self._none = enabled
        self._fill()

    def _selector_visible(self) -> bool:
        return False

    def _show_selector(self, visible: bool) -> None:
        if visible:
            msg = "the stand-in has no selector of segmentations"
            raise NotImplementedError(msg)

    noneEnabled = Property(bool, _none_enabled, _enable_none)
    segmentationNodeSelectorVisible = Property(bool, _selector_visible, _show_selector)

    def _identifiers(self) -> list[str]:
        return [] if self._node is None else list(self._node.GetSegmentation().GetSegmentIDs())

    def _forget_removed(self, *_event: Any) -> None:
        if self._node is not None and self._node.GetScene() is None:
            self.setCurrentNode(None)

    def _fill(self, *_event: Any) -> None:
        identifiers = self._identifiers()
        self._box.clear()
        if self._none:
            self._box.addItem("None", "")
        for identifier in identifiers:
            name = self._node.GetSegmentation().GetSegment(identifier).GetName()
            self._box.addItem(name, identifier)
        fallback = "" if self._none or not identifiers else identifiers[0]
        self.setCurrentSegmentID(self._current if self._current in identifiers else fallback)

    def _choose(self, row: int) -> None:
        self.setCurrentSegmentID(self._box.itemData(row))
