"""The table of models: which are here, and which can be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import qt
from slicer.i18n import tr as _

from MedSAGaSlicerLib import __version__
from MedSAGaSlicerLib.gui import overview

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from MedSAGaSlicerLib.gui.controls import Controls
    from MedSAGaSlicerLib.gui.desk import Desk


class ModelsSection:
    """Shows what is on this machine; ``changed`` is called after each look."""

    def __init__(
        self, ui: SimpleNamespace, desk: Desk, controls: Controls, changed: Callable[[], None]
    ) -> None:
        """Look for the first time when asked to."""
        self.ui, self._desk, self._controls = ui, desk, controls
        self._changed = changed
        self.missing: tuple[str, ...] = ()
        self.present: tuple[str, ...] = ()
        self.ui.versionLabel.setText(_("MedSAGaSlicer {version}").format(version=__version__))
        self.ui.refreshButton.clicked.connect(self.onRefresh)

    def onRefresh(self, _checked: bool = False) -> None:
        """Look again, for files and packages come and go."""
        self.refresh()
        self._changed()

    def refresh(self) -> None:
        """Show the packages and models as they are now."""
        self.missing, self.present = overview.missing_packages(), overview.present_models()
        self.ui.packagesLabel.setText(
            _("Missing: {names}.").format(names=", ".join(self.missing))
            if self.missing
            else _("All needed Python packages are installed.")
        )
        table = self.ui.modelsTable
        rows = overview.model_rows()
        table.setRowCount(len(rows))
        for row, texts in enumerate(rows):
            for column, text in enumerate(texts):
                table.setItem(row, column, qt.QTableWidgetItem(text))
        table.resizeColumnsToContents()
