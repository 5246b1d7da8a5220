"""The taught models: chosen, renamed, carried to and from other machines, deleted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import qt
from slicer.i18n import tr as _

from MedSAGaSlicerLib.engine.teaching.adapter_folder import (
    delete_adapter,
    export_adapter,
    import_adapter,
    list_adapters,
    rename_adapter,
)
from MedSAGaSlicerLib.errors import MedSAGaError
from MedSAGaSlicerLib.gui.controls import unless
from MedSAGaSlicerLib.scene.own_folders import taught_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from MedSAGaSlicerLib.engine.teaching.adapter_folder import AdapterDescription
    from MedSAGaSlicerLib.gui.controls import Controls, Situation
    from MedSAGaSlicerLib.gui.desk import Desk
    from MedSAGaSlicerLib.scene.annotator import Annotator

_NAME = 0


class TaughtSection:
    """Lists what was taught on this machine, and which of it answers for the chosen segment."""

    def __init__(self, ui: SimpleNamespace, desk: Desk, controls: Controls) -> None:
        """Connect the table; it is filled by ``refresh``."""
        self.ui, self._desk, self._controls = ui, desk, controls
        self._adapters: tuple[AdapterDescription, ...] = ()
        self._used: Path | None = None
        self._shown: tuple[object, ...] = ()
        self._filling = False
        self.ui.taughtTable.itemChanged.connect(self.onRenamed)
        self.ui.taughtTable.itemSelectionChanged.connect(self.onSelection)
        self.ui.useTaughtButton.clicked.connect(self.onUse)
        self.ui.useBaseButton.clicked.connect(self.onUseBase)
        self.ui.importTaughtButton.clicked.connect(self.onImport)
        self.ui.exportTaughtButton.clicked.connect(self.onExport)
        self.ui.deleteTaughtButton.clicked.connect(self.onDelete)

    def refresh(self) -> None:
        """Look which there are."""
        self._adapters = list_adapters(taught_folder())
        self._fill()

    def show(self, situation: Situation) -> None:
        """Show which one answers for the chosen segment."""
        annotator, segment_id = self._desk.annotator, self._desk.segment_id
        used = None
        if annotator is not None and not situation.obstacle and segment_id:
            used = self._answering(annotator, segment_id)
        state = (situation.obstacle, segment_id, used)
        if state == self._shown:
            return
        if used != self._used and used is not None and used not in self._folders():
            # One that was taught just now.
            self._adapters = list_adapters(taught_folder())
        self._shown, self._used = state, used
        self._fill()
        plain = _("No taught model answers for the segment.")
        self._controls.allow(self.ui.useBaseButton, situation.obstacle or unless(used, plain))
        names = [adapter.name for adapter in self._adapters if adapter.folder == used]
        text = _("The taught model {name} answers for this segment.").format(name="".join(names))
        self.ui.taughtStateLabel.setText(text if used else "")
        self.ui.taughtStateLabel.setVisible(used is not None)

    def onSelection(self) -> None:
        """Say what can be done with the one that is chosen."""
        chosen = self._chosen()
        none = unless(chosen, _("Click a taught model in the table first."))
        annotator = self._desk.annotator
        idle = unless(annotator and self._desk.segment_id, _("Choose volume and segment first."))
        allow, ui = self._controls.allow, self.ui
        allow(ui.useTaughtButton, none or idle)
        allow(ui.exportTaughtButton, none)
        allow(ui.deleteTaughtButton, none)
        box, names = ui.knownAsSelector, () if chosen is None else chosen.segments
        box.clear()
        box.addItems(list(names))
        own = self._desk.segment_name
        box.setCurrentIndex(names.index(own) if own in names else 0)
        allow(box, none or unless(len(names) > 1, _("It knows one segment only.")))

    def onUse(self, _checked: bool = False) -> None:
        """Have the one that is chosen answer for the chosen segment."""
        chosen, segment_id = self._chosen(), self._desk.segment_id
        known_as = str(self.ui.knownAsSelector.currentText)
        if chosen is None or not segment_id:
            return

        def use(annotator: Annotator) -> None:
            annotator.use_taught(segment_id, chosen.folder, known_as)
            if annotator.model != chosen.base:
                # It says nothing beside another model than the one it was taught from.
                annotator.use_model(chosen.base)
            self._desk.say(_("{name} answers now.").format(name=chosen.name))

        self._desk.do(use)

    def onUseBase(self, _checked: bool = False) -> None:
        """Have no taught model answer for the chosen segment."""
        segment_id = self._desk.segment_id
        if segment_id:
            self._desk.do(lambda annotator: annotator.use_taught(segment_id, None))

    def onRenamed(self, item: qt.QTableWidgetItem) -> None:
        """A name was edited in the table."""
        if not self._filling and item.column() == _NAME and item.row() < len(self._adapters):
            adapter = self._adapters[item.row()]
            name = str(item.text()).removeprefix("* ")
            self._try(lambda: rename_adapter(adapter.folder, name))

    def onImport(self, _checked: bool = False) -> None:
        """Copy one from another folder."""
        title = _("The folder of a taught model")
        folder = str(qt.QFileDialog.getExistingDirectory(None, title))
        if folder:
            self._try(lambda: import_adapter(Path(folder), taught_folder()))

    def onExport(self, _checked: bool = False) -> None:
        """Copy the one that is chosen into another folder."""
        chosen = self._chosen()
        if chosen is None:
            return
        title = _("Where to put a copy of {name}").format(name=chosen.name)
        folder = str(qt.QFileDialog.getExistingDirectory(None, title))
        if folder:
            target = Path(folder) / chosen.folder.name
            self._try(lambda: export_adapter(chosen.folder, target))

    def onDelete(self, _checked: bool = False) -> None:
        """Delete the one that is chosen, after asking."""
        chosen = self._chosen()
        question = _("Delete the taught model {name}? Segments that it answers for go back.")
        if chosen is None or not self._desk.ask(
            question.format(name=chosen.name), _("Delete a taught model")
        ):
            return
        if chosen.folder == self._used:
            self.onUseBase()
        self._try(lambda: delete_adapter(chosen.folder))

    def _answering(self, annotator: Annotator, segment_id: str) -> Path | None:
        try:
            return annotator.taught(segment_id)
        except MedSAGaError:
            # The segment has just gone.
            return None

    def _folders(self) -> set[Path]:
        return {adapter.folder for adapter in self._adapters}

    def _chosen(self) -> AdapterDescription | None:
        row = self.ui.taughtTable.currentRow()
        chosen = self.ui.taughtTable.selectedItems()
        return self._adapters[row] if chosen and 0 <= row < len(self._adapters) else None

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except (MedSAGaError, OSError) as error:
            self._desk.say(str(error))
        self.refresh()
        self._desk.acted()

    def _fill(self) -> None:
        self._filling = True
        table = self.ui.taughtTable
        table.setRowCount(len(self._adapters))
        for row, adapter in enumerate(self._adapters):
            measured = adapter.before is not None and adapter.after is not None
            texts = (
                f"* {adapter.name}" if adapter.folder == self._used else adapter.name,
                ", ".join(adapter.segments),
                f"{adapter.before:.2f} → {adapter.after:.2f}" if measured else _("not measured"),
                f"{adapter.base}, {adapter.created[:10]}",
            )
            for column, text in enumerate(texts):
                item = qt.QTableWidgetItem(text)
                if column != _NAME:
                    item.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled)
                table.setItem(row, column, item)
        table.resizeColumnsToContents()
        self._filling = False
        self.onSelection()
