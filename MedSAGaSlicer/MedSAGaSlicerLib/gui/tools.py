"""The point and the box tool: which of them is in hand, and in which views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
import slicer

from MedSAGaSlicerLib.scene.mouse import MouseTool
from MedSAGaSlicerLib.scene.observing import Observers

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from MedSAGaSlicerLib.scene.annotator import Annotator
    from MedSAGaSlicerLib.scene.mouse import Kind


class Tools:
    """Buttons that stay down while their tool is in hand; one of them at most.

    A tool stays in hand until its button is pressed again, the module is left, or something else in
    Slicer wants the mouse. ``say`` is told why a prompt could not be placed, ``picked_up`` that a
    tool was taken.
    """

    def __init__(
        self, ui: SimpleNamespace, say: Callable[[str], None], picked_up: Callable[[], None]
    ) -> None:
        """Nothing is in hand, and nothing can be, until ``aim``."""
        self.ui = ui
        self._say, self._picked_up = say, picked_up
        self._cursors: list[Any] = []
        self._annotator: Annotator | None = None
        self._segment_id = ""
        self._mouse: MouseTool | None = None
        self._interaction = slicer.app.applicationLogic().GetInteractionNode()
        event = slicer.vtkMRMLInteractionNode.InteractionModeChangedEvent
        self._observers = Observers()
        self._observers.add(self._interaction, event, self._on_mode)
        self.ui.pointButton.clicked.connect(self.onPoint)
        self.ui.boxButton.clicked.connect(self.onBox)
        self.ui.removeButton.toggled.connect(self.onRemove)

    def aim(self, annotator: Annotator, segment_id: str) -> None:
        """Have prompts go there, from the views there are now; a tool in hand stays in hand."""
        self._annotator, self._segment_id = annotator, segment_id
        if self._mouse is not None:
            self._take(self._mouse.kind)

    def put_down(self) -> None:
        """Have nothing in hand, and the views as they are without us."""
        if self._mouse is not None:
            self._mouse.close()
        self._mouse = None
        for view in self._cursors:
            view.unsetViewCursor()
        self._cursors.clear()
        self._show()

    def close(self) -> None:
        """The panel is about to be destroyed."""
        self.put_down()
        self._observers.close()

    def onPoint(self, checked: bool = False) -> None:
        """Take the point tool, or put it down."""
        self._toggle("point", checked)

    def onBox(self, checked: bool = False) -> None:
        """Take the box tool, or put it down."""
        self._toggle("box", checked)

    def onRemove(self, on: bool) -> None:
        """Have prompts say what does not belong, or again what does."""
        if self._mouse is not None:
            self._mouse.removes = on

    def _toggle(self, kind: Kind, checked: bool) -> None:
        if checked:
            self._picked_up()
            self._take(kind)
        else:
            self.put_down()

    def _take(self, kind: Kind) -> None:
        self.put_down()
        if self._annotator is None:
            return
        # Slicer's own placing of points, or its window/level tool, would get the clicks as well.
        self._interaction.SetCurrentInteractionMode(self._interaction.ViewTransform)
        self._mouse = MouseTool(self._annotator, self._segment_id, kind, self._say)
        self._mouse.removes = self.ui.removeButton.checked
        cursor = qt.QCursor(qt.Qt.CrossCursor)
        layout = slicer.app.layoutManager()
        for name in layout.sliceViewNames() if layout is not None else ():
            widget = layout.sliceWidget(name)
            view = widget.sliceView()
            self._mouse.add_view(widget.mrmlSliceNode(), view.interactorStyle().GetInteractor())
            view.setViewCursor(cursor)
            self._cursors.append(view)
        self._show()

    def _show(self) -> None:
        kind = None if self._mouse is None else self._mouse.kind
        self.ui.pointButton.setChecked(kind == "point")
        self.ui.boxButton.setChecked(kind == "box")

    def _on_mode(self, *_event: Any) -> None:
        if self._interaction.GetCurrentInteractionMode() != self._interaction.ViewTransform:
            self.put_down()
