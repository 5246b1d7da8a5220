"""The panel: fills the widgets of MedSAGaSlicer.ui and turns their signals into calls."""

from types import SimpleNamespace

import qt
from slicer.i18n import tr as _

from MedSAGaSlicerLib import __version__
from MedSAGaSlicerLib.gui import overview


class Panel:
    """Shows what is there: version, packages, models.

    ``ui`` has the named widgets of MedSAGaSlicer.ui as attributes.
    """

    def __init__(self, ui: SimpleNamespace) -> None:
        self.ui = ui
        self.ui.versionLabel.setText(_("MedSAGaSlicer {version}").format(version=__version__))
        self.ui.refreshButton.clicked.connect(self.onRefresh)
        self.refresh()

    def enter(self) -> None:
        """The module is shown: files and packages may have come or gone since."""
        self.refresh()

    def exit(self) -> None:
        """The module is left."""

    def cleanup(self) -> None:
        """The panel is about to be destroyed."""
        self.ui.refreshButton.clicked.disconnect(self.onRefresh)

    def onRefresh(self, _checked: bool = False) -> None:
        """Look again."""
        self.refresh()

    def refresh(self) -> None:
        """Show the packages and models as they are now."""
        self._show_packages()
        self._show_models()

    def _show_packages(self) -> None:
        missing = overview.missing_packages()
        text = (
            _("Missing: {names}. They are asked for on first use.").format(names=", ".join(missing))
            if missing
            else _("All needed Python packages are installed.")
        )
        self.ui.packagesLabel.setText(text)

    def _show_models(self) -> None:
        table = self.ui.modelsTable
        rows = overview.model_rows()
        table.setRowCount(len(rows))
        for row, texts in enumerate(rows):
            for column, text in enumerate(texts):
                table.setItem(row, column, qt.QTableWidgetItem(text))
        table.resizeColumnsToContents()
