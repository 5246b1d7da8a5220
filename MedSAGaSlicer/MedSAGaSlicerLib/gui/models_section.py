"""The published models: which are here, and how to have others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import qt
from slicer.i18n import tr as _

from MedSAGaSlicerLib.engine import registry
from MedSAGaSlicerLib.engine.files import copy_file
from MedSAGaSlicerLib.errors import MedSAGaError
from MedSAGaSlicerLib.gui import overview
from MedSAGaSlicerLib.gui.controls import unless
from MedSAGaSlicerLib.gui.wording import size_text
from MedSAGaSlicerLib.worker.fetch_client import FetchClient, Fetched, FetchEvent, Fetching

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from MedSAGaSlicerLib.engine.registry import ModelEntry
    from MedSAGaSlicerLib.gui.controls import Controls
    from MedSAGaSlicerLib.gui.desk import Desk


class ModelsSection:
    """Lists, downloads and deletes models; ``changed`` is called after each look.

    ``make_fetch_client`` makes what downloads.
    """

    def __init__(
        self, ui: SimpleNamespace, desk: Desk, controls: Controls, changed: Callable[[], None]
    ) -> None:
        """Look for the first time when asked to."""
        self.ui, self._desk, self._controls = ui, desk, controls
        self._changed = changed
        self.make_fetch_client: Callable[[], FetchClient] = FetchClient
        self._fetching: FetchClient | None = None
        self._name = ""
        self.missing: tuple[str, ...] = ()
        self.present: tuple[str, ...] = ()
        self.ui.downloadWidget.setVisible(False)
        self.ui.refreshButton.clicked.connect(self.onRefresh)
        self.ui.downloadButton.clicked.connect(self.onDownload)
        self.ui.stopDownloadButton.clicked.connect(self.onStopDownload)
        self.ui.importModelButton.clicked.connect(self.onImport)
        self.ui.deleteModelButton.clicked.connect(self.onDelete)
        self.ui.modelsTable.itemSelectionChanged.connect(self.onSelection)

    @property
    def is_downloading(self) -> bool:
        """Whether a download goes on."""
        return self._fetching is not None

    def refresh(self) -> None:
        """Show the packages and models as they are now."""
        own = self._desk.annotators.settings.is_own_python
        # What another Python has, that one tells when it is started.
        self.missing = overview.missing_packages() if own else ()
        self.present = overview.present_models()
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
        self.onSelection()

    def poll(self) -> None:
        """See how far the download is."""
        if self._fetching is not None:
            for event in self._fetching.poll():
                self._hear(event)

    def close(self) -> None:
        """The panel goes: a download ends now and can be gone on with later."""
        if self._fetching is not None:
            self._fetching.close()
            self._fetching = None

    def onRefresh(self, _checked: bool = False) -> None:
        """Look again, for files and packages come and go."""
        self.refresh()
        self._changed()

    def onSelection(self) -> None:
        """Say what can be done with the model that is chosen."""
        entry = self._chosen()
        none = unless(entry, _("Click a model in the table first."))
        here = entry is not None and registry.installed(entry) is not None
        by_hand = _("Its authors publish no checked file: fetch it from them, then use From file.")
        busy = _("A download is under way.") if self.is_downloading else ""
        downloadable = entry is not None and entry.downloadable
        there = _("It is on this machine already.")
        allow, ui = self._controls.allow, self.ui
        allow(
            ui.downloadButton,
            none or busy or unless(not here, there) or unless(downloadable, by_hand),
        )
        allow(ui.importModelButton, none or unless(not here, there))
        shipped = entry is not None and entry.shipped
        kept = unless(not shipped, _("It comes with MedSAGaSlicer."))
        allow(ui.deleteModelButton, none or kept or unless(here, _("There is no file of it.")))

    def onDownload(self, _checked: bool = False) -> None:
        """Fetch the model that is chosen, after asking."""
        entry = self._chosen()
        if entry is None or self.is_downloading:
            return
        question = _("Download {name} ({size}) from {url}? Its licence is {licence}.").format(
            name=entry.name, size=size_text(entry.size or 0), url=entry.url, licence=entry.licence
        )
        if not self._desk.ask(question, _("Download a model")):
            return
        self._name, client = entry.name, self.make_fetch_client()
        try:
            client.start(entry.name, registry.model_folder())
        except MedSAGaError as error:
            self._desk.say(str(error))
        else:
            self._fetching = client
            self.ui.downloadBar.setValue(0)
            self.ui.downloadWidget.setVisible(True)
            self._desk.say(_("Downloading {name} …").format(name=entry.name))
        self.onSelection()
        self._changed()

    def onStopDownload(self, _checked: bool = False) -> None:
        """End the download; what came is kept."""
        if self._fetching is not None:
            self._fetching.stop()

    def onImport(self, _checked: bool = False) -> None:
        """Copy a file of the person's to where the model is looked for."""
        entry = self._chosen()
        if entry is None:
            return
        title = _("The checkpoint of {name}").format(name=entry.name)
        found = qt.QFileDialog.getOpenFileName(None, title)
        path = found if isinstance(found, str) else found[0]
        if path:
            self.import_file(entry, Path(path))

    def import_file(self, entry: ModelEntry, path: Path) -> None:
        """Copy a file to where a model is looked for."""
        try:
            copy_file(path, registry.path_of(entry))
            self._desk.say(_("{name} is on this machine now.").format(name=entry.name))
        except MedSAGaError as error:
            self._desk.say(str(error))
        self.onRefresh()

    def onDelete(self, _checked: bool = False) -> None:
        """Delete the file of the model that is chosen, after asking."""
        entry = self._chosen()
        question = _("Delete the file of {name}?")
        if entry is None or not self._desk.ask(question.format(name=entry.name), _("Delete")):
            return
        # Here, not above: it brings all of Python's http along.
        from MedSAGaSlicerLib.engine import downloads

        try:
            freed = downloads.delete(entry, registry.model_folder())
            self._desk.say(_("Deleted, {size}.").format(size=size_text(freed)))
        except (MedSAGaError, OSError) as error:
            self._desk.say(str(error))
        self.onRefresh()

    def _chosen(self) -> ModelEntry | None:
        row, entries = self.ui.modelsTable.currentRow(), registry.entries()
        chosen = self.ui.modelsTable.selectedItems()
        return entries[row] if chosen and 0 <= row < len(entries) else None

    def _hear(self, event: FetchEvent) -> None:
        if isinstance(event, Fetching):
            self.ui.downloadBar.setMaximum(100 if event.total else 0)
            self.ui.downloadBar.setValue(100 * event.done // event.total if event.total else 0)
            return
        self._fetching = None
        self.ui.downloadWidget.setVisible(False)
        if isinstance(event, Fetched):
            stopped = _("Stopped; the next download of {name} goes on from there.")
            text = stopped if event.path is None else _("{name} is on this machine now.")
            self._desk.say(text.format(name=self._name))
        else:
            self._desk.say(event.message)
        self.onRefresh()
