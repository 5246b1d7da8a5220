"""Stand-in for Slicer's Segment Editor widget, around Slicer's own logic of it.

It has a list of segments, two effects (Paint and Erase, see ``editor_effects``), undo and redo.
Names of methods, properties and signals are those of qMRMLSegmentEditorWidget.
"""

from typing import Any

import slicer
from harness.editor_effects import EFFECTS, Brush
from harness.listening import Listening
from PySide6.QtCore import Property, Qt, Signal
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QListWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from vtk import vtkCommand

_HIDDEN_PARTS = (
    "segmentationNodeSelectorVisible",
    "sourceVolumeNodeSelectorVisible",
    "switchToSegmentationsButtonVisible",
)


def _part(name: str) -> Property:
    """Something that the stand-in does not have, so that it can only be hidden."""

    def read(self: "qMRMLSegmentEditorWidget") -> bool:
        return self._parts[name]

    def write(self: "qMRMLSegmentEditorWidget", visible: bool) -> None:
        self._parts[name] = visible

    return Property(bool, read, write)


class qMRMLSegmentEditorWidget(QWidget):
    """Edits a segment of a segmentation by effects in the slice views."""

    currentSegmentIDChanged = Signal(str)
    segmentationNodeChanged = Signal(object)
    sourceVolumeNodeChanged = Signal(object)

    segmentationNodeSelectorVisible = _part(_HIDDEN_PARTS[0])
    sourceVolumeNodeSelectorVisible = _part(_HIDDEN_PARTS[1])
    switchToSegmentationsButtonVisible = _part(_HIDDEN_PARTS[2])

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._parts = dict.fromkeys(_HIDDEN_PARTS, True)
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        self._scene: slicer.vtkMRMLScene | None = None
        self._node: slicer.vtkMRMLSegmentEditorNode | None = None
        self._shown = ""
        self._node_listening, self._core_listening = Listening(self), Listening(self)
        self._brushes = {name: Brush(self._logic, name) for name in EFFECTS}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._list = QListWidget()
        self._list.setMaximumHeight(72)
        self._list.currentRowChanged.connect(self._choose)
        layout.addWidget(self._list)
        layout.addLayout(self._effect_buttons())
        self._history = QWidget()
        row = QHBoxLayout(self._history)
        for text, action in (("Undo", self.undo), ("Redo", self.redo)):
            button = QToolButton()
            button.setText(text)
            button.clicked.connect(action)
            row.addWidget(button)
        layout.addWidget(self._history)

    def _effect_buttons(self) -> QGridLayout:
        grid = QGridLayout()
        self._buttons: dict[str, QToolButton] = {}
        for n, name in enumerate(("", *EFFECTS)):
            button = QToolButton()
            button.setText(name or "None")
            button.setCheckable(True)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
            button.clicked.connect(
                lambda _checked=False, name=name: self.setActiveEffectByName(name)
            )
            self._buttons[name] = button
            grid.addWidget(button, 0, n)
        return grid

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        if scene is None:
            self.setSegmentationNode(None)
            self._node_listening.stop()
            self._node = None
        self._scene = scene
        self._logic.SetMRMLScene(scene)

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        return self._scene

    def setMRMLSegmentEditorNode(self, node: slicer.vtkMRMLSegmentEditorNode | None) -> None:
        self._node_listening.stop()
        self._node = node
        self._logic.SetSegmentEditorNode(node)
        if node is not None:
            self._node_listening.to(node, vtkCommand.ModifiedEvent, self._show)
        self._show()

    def mrmlSegmentEditorNode(self) -> slicer.vtkMRMLSegmentEditorNode | None:
        return self._node

    def setSegmentationNode(self, segmentation: slicer.vtkMRMLSegmentationNode | None) -> None:
        if self._node is None or segmentation is self.segmentationNode():
            return
        self._core_listening.stop()
        self._logic.SetSegmentationNode(segmentation)
        if segmentation is not None:
            core = segmentation.GetSegmentation()
            for event in (core.SegmentAdded, core.SegmentRemoved, core.SegmentModified):
                self._core_listening.to(core, event, self._fill)
        self._fill()
        self.segmentationNodeChanged.emit(segmentation)

    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        return None if self._node is None else self._node.GetSegmentationNode()

    def setSourceVolumeNode(self, volume: slicer.vtkMRMLVolumeNode | None) -> None:
        if self._node is not None and volume is not self.sourceVolumeNode():
            self._logic.SetSourceVolumeNode(volume)
            self.sourceVolumeNodeChanged.emit(volume)

    def sourceVolumeNode(self) -> slicer.vtkMRMLVolumeNode | None:
        return None if self._node is None else self._node.GetSourceVolumeNode()

    def currentSegmentID(self) -> str:
        return "" if self._node is None else self._node.GetSelectedSegmentID() or ""

    def setCurrentSegmentID(self, identifier: str) -> None:
        if self._node is not None:
            self._logic.SetCurrentSegmentID(identifier)
            self._show()

    def availableEffectNames(self) -> tuple[str, ...]:
        return EFFECTS

    def effectByName(self, name: str) -> Brush | None:
        return self._brushes.get(name)

    def activeEffect(self) -> Brush | None:
        return self._brushes.get(self._node.GetActiveEffectName() or "") if self._node else None

    def setActiveEffect(self, effect: Brush | None) -> None:
        if self._node is not None:
            self._node.SetActiveEffectName("" if effect is None else effect.name)
            self.setupViewObservations()
            self._show()

    def setActiveEffectByName(self, name: str) -> None:
        self.setActiveEffect(self.effectByName(name))

    def setupViewObservations(self) -> None:
        self.removeViewObservations()
        effect = self.activeEffect()
        if effect is not None:
            effect.observe(slicer.app.layoutManager())

    def removeViewObservations(self) -> None:
        for brush in self._brushes.values():
            brush.leave()

    def saveStateForUndo(self) -> None:
        self._logic.SaveStateForUndo()

    def undo(self) -> None:
        self._logic.Undo()

    def redo(self) -> None:
        self._logic.Redo()

    def _states(self) -> int:
        return int(self._logic.GetMaximumNumberOfUndoStates())

    def setMaximumNumberOfUndoStates(self, count: int) -> None:
        self._logic.SetMaximumNumberOfUndoStates(count)

    def _undo_enabled(self) -> bool:
        return bool(self._history.isVisible())

    def setUndoEnabled(self, enabled: bool) -> None:
        self._history.setVisible(enabled)

    maximumNumberOfUndoStates = Property(int, _states, setMaximumNumberOfUndoStates)
    undoEnabled = Property(bool, _undo_enabled, setUndoEnabled)

    def _identifiers(self) -> tuple[str, ...]:
        segmentation = self.segmentationNode()
        return () if segmentation is None else segmentation.GetSegmentation().GetSegmentIDs()

    def _fill(self, *_event: Any) -> None:
        self._list.blockSignals(True)
        self._list.clear()
        for identifier in self._identifiers():
            core = self.segmentationNode().GetSegmentation()
            self._list.addItem(core.GetSegment(identifier).GetName())
        self._list.blockSignals(False)
        identifiers = self._identifiers()
        if identifiers and self.currentSegmentID() not in identifiers:
            # As in Slicer, some segment is always selected.
            self.setCurrentSegmentID(identifiers[0])
        self._show()

    def _choose(self, row: int) -> None:
        if 0 <= row < len(self._identifiers()):
            self.setCurrentSegmentID(self._identifiers()[row])

    def _show(self, *_event: Any) -> None:
        active = (self._node.GetActiveEffectName() or "") if self._node else ""
        for name, button in self._buttons.items():
            button.setChecked(name == active)
            button.setEnabled(self._node is not None)
        current = self.currentSegmentID()
        if current in self._identifiers():
            self._list.setCurrentRow(self._identifiers().index(current))
        if current != self._shown:
            self._shown = current
            self.currentSegmentIDChanged.emit(current)
