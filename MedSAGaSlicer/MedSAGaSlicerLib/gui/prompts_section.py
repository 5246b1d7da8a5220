"""The buttons about prompts: tools, undo, predict, clear."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from MedSAGaSlicerLib.gui.tools import Tools
from MedSAGaSlicerLib.scene.slices import align
from MedSAGaSlicerLib.scene.volumes import grid_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from MedSAGaSlicerLib.gui.desk import Desk
    from MedSAGaSlicerLib.scene.annotator import Annotator


class PromptsSection:
    """Acts on the chosen segment and the slice that is looked at."""

    def __init__(self, ui: SimpleNamespace, desk: Desk, picked_up: Callable[[], None]) -> None:
        """Connect the buttons; ``picked_up`` is called when a tool was taken in hand."""
        self.ui, self._desk = ui, desk
        self._tools = Tools(ui, desk.say, picked_up)
        self.ui.undoButton.clicked.connect(self.onUndo)
        self.ui.redoButton.clicked.connect(self.onRedo)
        self.ui.predictButton.clicked.connect(self.onPredict)
        self.ui.clearButton.clicked.connect(self.onClear)
        self.ui.alignButton.clicked.connect(self.onAlign)

    def aim(self, annotator: Annotator, segment_id: str) -> None:
        """Have prompts go there."""
        self._tools.aim(annotator, segment_id)

    def put_down(self) -> None:
        """Have no tool in hand."""
        self._tools.put_down()

    def close(self) -> None:
        """The panel is about to be destroyed."""
        self._tools.close()

    def onUndo(self, _checked: bool = False) -> None:
        """Take the last action back."""
        self._desk.do(lambda a: self._desk.say(_("Undone: {action}.").format(action=a.undo())))

    def onRedo(self, _checked: bool = False) -> None:
        """Do again what was undone last."""
        self._desk.do(lambda a: self._desk.say(_("Done again: {action}.").format(action=a.redo())))

    def onPredict(self, _checked: bool = False) -> None:
        """Ask the model about the prompts placed so far."""
        self._desk.do(lambda annotator: annotator.predict())

    def onClear(self, _checked: bool = False) -> None:
        """Remove the segment's prompts from the slice."""
        segment_id = self._desk.segment_id
        self._desk.do_there(lambda a, p: a.clear_slice(segment_id, p.axis, p.index))

    def onAlign(self, _checked: bool = False) -> None:
        """Turn the view onto the volume's nearest slice."""
        self._desk.do(lambda a: align(self._desk.focus.view, grid_of(a.volume)))
