"""The confirmed slices as a row of small pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import qt
from slicer.i18n import tr as _

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.gui.wording import slice_name
from MedSAGaSlicerLib.scene.slice_pictures import is_empty_slice, slice_png

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from MedSAGaSlicerLib.gui.controls import Controls, Situation
    from MedSAGaSlicerLib.gui.desk import Desk
    from MedSAGaSlicerLib.scene.annotator import Annotator
    from MedSAGaSlicerLib.scene.slices import SlicePosition

ENOUGH: Final = 15
"""How many confirmed slices a lesson is planned with."""
_SIDE: Final = 64
_NEW_PER_LOOK: Final = 2
"""Pictures made at a time: each takes a few milliseconds of the application's."""


class Gallery:
    """Shows what is confirmed; a click goes there, a button takes the confirmation back."""

    def __init__(self, ui: SimpleNamespace, desk: Desk, controls: Controls) -> None:
        """Connect the list; it is filled by ``show``."""
        self.ui, self._desk, self._controls = ui, desk, controls
        self._positions: list[SlicePosition] = []
        self._empty: set[SlicePosition] = set()
        self._of: Annotator | None = None
        self.ui.galleryList.itemClicked.connect(self.onJump)
        self.ui.galleryList.itemSelectionChanged.connect(self.onSelection)
        self.ui.unconfirmButton.clicked.connect(self.onUnconfirm)
        self.onSelection()

    def show(self, situation: Situation) -> None:
        """Show what is confirmed now; a few pictures at a time."""
        annotator = None if situation.obstacle else self._desk.annotator
        if annotator is not self._of:
            self._of = annotator
            self._forget(lambda _position: True)
        wanted = set(situation.confirmed)
        if wanted != set(self._positions):
            self._forget(lambda position: position not in wanted)
            new = [position for position in situation.confirmed if position not in self._positions]
            if annotator is not None:
                for position in new[:_NEW_PER_LOOK]:
                    self._add(annotator, position)
            self.onSelection()
        text = _("Confirmed slices: {count} of {enough}").format(count=len(wanted), enough=ENOUGH)
        if self._empty:
            text += _(", {count} of them empty").format(count=len(self._empty))
        self.ui.galleryLabel.setText(text)

    def onJump(self) -> None:
        """Go to the slice that was clicked."""
        position = self._chosen()
        if position is not None:
            self._desk.jump(position)

    def onSelection(self) -> None:
        """Say whether there is a confirmation to take back."""
        reason = "" if self._chosen() else _("Click one of the confirmed slices first.")
        self._controls.allow(self.ui.unconfirmButton, reason)

    def onUnconfirm(self, _checked: bool = False) -> None:
        """Take back the confirmation of the slice that is chosen."""
        position = self._chosen()
        if position is not None:
            self._desk.do(lambda annotator: annotator.unconfirm(position.axis, position.index))

    def _chosen(self) -> SlicePosition | None:
        row = self.ui.galleryList.currentRow
        chosen = self.ui.galleryList.selectedItems()
        return self._positions[row] if chosen and 0 <= row < len(self._positions) else None

    def _add(self, annotator: Annotator, position: SlicePosition) -> None:
        item = qt.QListWidgetItem(f"{position.axis} {position.index}")
        try:
            png = slice_png(annotator.volume, annotator.segmentation, position, _SIDE)
            if is_empty_slice(annotator.volume, annotator.segmentation, position):
                self._empty.add(position)
        except InputError as error:
            item.setToolTip(str(error))
        else:
            pixmap = qt.QPixmap()
            pixmap.loadFromData(png)
            item.setIcon(qt.QIcon(pixmap))
            item.setToolTip(_("Go to {slice}").format(slice=slice_name(position)))
        row = sum(other < position for other in self._positions)
        self._positions.insert(row, position)
        self.ui.galleryList.insertItem(row, item)

    def _forget(self, is_gone: Callable[[SlicePosition], bool]) -> None:
        for row in reversed(range(len(self._positions))):
            if is_gone(self._positions[row]):
                self._empty.discard(self._positions.pop(row))
                self.ui.galleryList.takeItem(row)
