"""Stand-in for Slicer's selector of nodes."""

from typing import Any

import slicer
import vtk
from harness.listening import Listening
from PySide6.QtCore import Property, QObject, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QWidget

SETTINGS: dict[str, Any] = {
    "nodeTypes": [],
    "noneEnabled": False,
    "addEnabled": True,
    "removeEnabled": True,
    "renameEnabled": False,
    "editEnabled": False,
    "showChildNodeTypes": True,
    "showHidden": False,
    "selectNodeUponCreation": True,
    "baseName": "",
    "noneDisplay": "None",
}
_ADD = "add"


def _setting(name: str) -> Property:
    def read(self: "qMRMLNodeComboBox") -> Any:
        return self._settings[name]

    def write(self: "qMRMLNodeComboBox", value: Any) -> None:
        self._settings[name] = value
        self._fill()

    kind = "QStringList" if isinstance(SETTINGS[name], list) else type(SETTINGS[name])
    return Property(kind, read, write)


class qMRMLSortFilterProxyModel(QObject):
    """Which nodes are left out, as far as that is asked for."""

    def __init__(self, changed: Any, parent: QObject) -> None:
        super().__init__(parent)
        self._hidden: list[str] = []
        self._changed = changed

    def _read_hidden(self) -> list[str]:
        return self._hidden

    def _hide(self, identifiers: list[str]) -> None:
        self._hidden = list(identifiers)
        self._changed()

    hiddenNodeIDs = Property("QStringList", _read_hidden, _hide)


class qMRMLNodeComboBox(QWidget):
    """Chooses a node of certain classes; an entry at the end makes a new one.

    Of what Slicer's does on its own, only this: a node that leaves the scene is not chosen any
    more, and names follow the nodes'.
    """

    currentNodeIDChanged = Signal(str)
    nodeAddedByUser = Signal(object)

    nodeTypes = _setting("nodeTypes")
    noneEnabled = _setting("noneEnabled")
    addEnabled = _setting("addEnabled")
    removeEnabled = _setting("removeEnabled")
    renameEnabled = _setting("renameEnabled")
    editEnabled = _setting("editEnabled")
    showChildNodeTypes = _setting("showChildNodeTypes")
    showHidden = _setting("showHidden")
    selectNodeUponCreation = _setting("selectNodeUponCreation")
    baseName = _setting("baseName")
    noneDisplay = _setting("noneDisplay")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._box = QComboBox()
        layout.addWidget(self._box)
        self._box.activated.connect(self._choose)
        self._scene: slicer.vtkMRMLScene | None = None
        self._scene_listening, self._node_listening = Listening(self), Listening(self)
        self._settings = dict(SETTINGS)
        self._current = ""
        self._filter = qMRMLSortFilterProxyModel(self._fill, self)

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        self._scene_listening.stop()
        self._scene = scene
        if scene is not None:
            kind = slicer.vtkMRMLScene
            for event in (
                kind.NodeAddedEvent,
                kind.NodeRemovedEvent,
                kind.EndCloseEvent,
                kind.EndImportEvent,
            ):
                self._scene_listening.to(scene, event, self._fill)
        self._fill()

    def sortFilterProxyModel(self) -> qMRMLSortFilterProxyModel:
        return self._filter

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        return self._scene

    def currentNode(self) -> slicer.vtkMRMLNode | None:
        return self._scene.GetNodeByID(self._current) if self._scene and self._current else None

    def setCurrentNode(self, node: slicer.vtkMRMLNode | None) -> None:
        self.setCurrentNodeID("" if node is None else node.GetID())

    def setCurrentNodeID(self, identifier: str) -> None:
        known = {node.GetID() for node in self._nodes()}
        # As in Slicer, a node that does not fit is no node.
        identifier = identifier if identifier in known else ""
        changed = identifier != self._current
        self._current = identifier
        self._box.setCurrentIndex(self._box.findData(identifier))
        if changed:
            self.currentNodeIDChanged.emit(identifier)

    def _current_id(self) -> str:
        return self._current

    currentNodeID = Property(str, _current_id, setCurrentNodeID)

    def addNode(self) -> slicer.vtkMRMLNode:
        kind = self.nodeTypes[0]
        name = self.baseName or kind.removeprefix("vtkMRML").removesuffix("Node")
        node = self._scene.AddNewNodeByClass(kind, self._scene.GenerateUniqueName(name))
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def nodeCount(self) -> int:
        return len(self._nodes())

    def _fits(self, node: slicer.vtkMRMLNode) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        if node.GetID() in self._filter.hiddenNodeIDs:
            return False
        if self.showChildNodeTypes:
            return any(node.IsA(kind) for kind in self.nodeTypes)
        return node.GetClassName() in self.nodeTypes

    def _nodes(self) -> list[slicer.vtkMRMLNode]:
        if self._scene is None:
            return []
        nodes = self._scene.GetNodes()
        every = (nodes.GetItemAsObject(n) for n in range(nodes.GetNumberOfItems()))
        return [node for node in every if self._fits(node)]

    def _fill(self, *_event: Any) -> None:
        nodes = self._nodes()
        self._node_listening.stop()
        for node in nodes:
            self._node_listening.to(node, vtk.vtkCommand.ModifiedEvent, self._show_names)
        self._show_names()
        self.setCurrentNodeID(self._current)

    def _show_names(self, *_event: Any) -> None:
        entries = [(node.GetName(), node.GetID()) for node in self._nodes()]
        if self.noneEnabled:
            entries.insert(0, (self.noneDisplay, ""))
        if self.addEnabled and self.nodeTypes:
            entries.append(("Create new", _ADD))
        shown = [(self._box.itemText(n), self._box.itemData(n)) for n in range(self._box.count)]
        if entries != shown:
            self._box.clear()
            for name, identifier in entries:
                self._box.addItem(name, identifier)
            self._box.setCurrentIndex(self._box.findData(self._current))

    def _choose(self, row: int) -> None:
        identifier = self._box.itemData(row)
        if identifier == _ADD:
            self.addNode()
        else:
            self.setCurrentNodeID(identifier)
