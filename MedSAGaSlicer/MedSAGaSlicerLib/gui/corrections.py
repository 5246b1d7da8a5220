"""Slicer's Segment Editor in the panel; its strokes are steps of our undo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import slicer
import vtk
from slicer.i18n import tr as _

from MedSAGaSlicerLib.errors import MedSAGaError
from MedSAGaSlicerLib.scene.editor_node import editor_node, told
from MedSAGaSlicerLib.scene.observing import Observers

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from MedSAGaSlicerLib.gui.desk import Desk
    from MedSAGaSlicerLib.scene.annotator import Annotator

_UNDO_STATES: Final = 10


class Corrections:
    """The editor is made when its section is first opened: it is large.

    Its own undo is off, buttons and shortcuts: ``record`` makes each stroke an entry of ours.
    ``picked_up`` is called when the person chooses one of its effects.
    """

    def __init__(self, ui: SimpleNamespace, desk: Desk, picked_up: Callable[[], None]) -> None:
        """Wait for the section to be opened."""
        self.ui, self._desk, self._picked_up = ui, desk, picked_up
        self._editor: Any = None
        self._node: slicer.vtkMRMLSegmentEditorNode | None = None
        self._observers = Observers()
        self.ui.correctCollapsibleButton.contentsCollapsed.connect(self.onCollapsed)

    @property
    def editor(self) -> Any:
        """The ``qMRMLSegmentEditorWidget``, None before the section was opened."""
        return self._editor

    def aim(self, annotator: Annotator | None, segment_id: str) -> None:
        """Have the editor work on what is annotated, if it is shown."""
        if self._editor is None or self.ui.correctCollapsibleButton.collapsed or annotator is None:
            return
        self._take_node(annotator.volume.GetScene())
        if self._editor.segmentationNode() is not annotator.segmentation:
            self._editor.setSegmentationNode(annotator.segmentation)
        if self._editor.sourceVolumeNode() is not annotator.volume:
            self._editor.setSourceVolumeNode(annotator.volume)
        if segment_id and self._editor.currentSegmentID() != segment_id:
            self._editor.setCurrentSegmentID(segment_id)

    def record(self) -> None:
        """Make what the active effect has done a step of our undo; nothing if it has done nothing.

        To be called before anything else writes.
        """
        annotator, editor = self._desk.annotator, self._editor
        if editor is None or annotator is None or editor.activeEffect() is None:
            return
        name = self._node.GetActiveEffectName() if self._node is not None else ""
        segmentation = annotator.segmentation
        try:
            annotator.record_edit(
                name or _("Correction"),
                told(segmentation, editor.undo),
                told(segmentation, editor.redo),
            )
        except MedSAGaError as error:
            self._desk.say(str(error))

    def put_down(self) -> None:
        """Have no effect active, so that the mouse is free."""
        if self._editor is not None:
            self.record()
            self._editor.setActiveEffectByName("")

    def leave(self) -> None:
        """The module is left, or the scene goes: let go of views and nodes."""
        if self._editor is None:
            return
        self.put_down()
        self._editor.removeViewObservations()
        self._editor.setSegmentationNode(None)
        self._editor.setSourceVolumeNode(None)
        self._forget_node()

    def close(self) -> None:
        """The panel is about to be destroyed."""
        self.leave()
        if self._editor is not None:
            self._editor.setMRMLScene(None)

    def onCollapsed(self, collapsed: bool) -> None:
        """The section was opened or closed."""
        if collapsed:
            self.put_down()
            return
        if self._editor is None:
            self._make()
        self.aim(self._desk.annotator, self._desk.segment_id)

    def onSegment(self, segment_id: str) -> None:
        """Another segment was chosen in the editor's list."""
        parameters = self._desk.parameters
        if parameters is not None and segment_id and segment_id != parameters.segmentId:
            self.ui.segmentSelector.setCurrentSegmentID(segment_id)

    def _make(self) -> None:
        self._editor = editor = slicer.qMRMLSegmentEditorWidget()
        editor.setMaximumNumberOfUndoStates(_UNDO_STATES)
        self._take_node(slicer.mrmlScene)
        editor.setMRMLScene(slicer.mrmlScene)
        editor.segmentationNodeSelectorVisible = False
        editor.sourceVolumeNodeSelectorVisible = False
        editor.switchToSegmentationsButtonVisible = False
        # Hides the buttons; strokes are still saved, which is what our own undo asks for.
        editor.undoEnabled = False
        editor.currentSegmentIDChanged.connect(self.onSegment)
        self.ui.correctCollapsibleButton.layout().addWidget(editor)

    def _take_node(self, scene: slicer.vtkMRMLScene) -> None:
        node = editor_node(scene)
        if node is not self._node:
            self._forget_node()
            self._node = node
            self._observers.add(node, vtk.vtkCommand.ModifiedEvent, self._on_node)
        if self._editor.mrmlSegmentEditorNode() is not node:
            self._editor.setMRMLSegmentEditorNode(node)

    def _forget_node(self) -> None:
        self._observers.close()
        self._node = None

    def _on_node(self, *_event: Any) -> None:
        if self._node is not None and self._node.GetActiveEffectName():
            self._picked_up()
