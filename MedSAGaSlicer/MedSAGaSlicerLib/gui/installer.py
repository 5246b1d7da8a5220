"""Installing what Slicer's Python lacks: one question, then pip in a process of its own.

``slicer.packaging`` and ``slicer.util.pip_install`` do the same from Slicer's own process, which
stands still meanwhile (5.10) or cannot stop it; the packages are some GB. The build of torch is
chosen for the graphics driver by light-the-torch, as the PyTorch extension does.
"""

from __future__ import annotations

import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from slicer.i18n import tr as _

from MedSAGaSlicerLib.gui import overview
from MedSAGaSlicerLib.worker.command_run import CommandRun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import SimpleNamespace

    from MedSAGaSlicerLib.gui.desk import Desk

SIZES: Final = {
    "torch": "0.2 GB, with CUDA about 3 GB",
    "safetensors": "1 MB",
    "segment-anything": "0.1 MB",
}
"""What is downloaded, for the question."""
KEPT: Final = ("numpy", "SimpleITK", "scipy", "pillow", "requests", "pydicom", "vtk")
"""What Slicer brings and pip must leave as it is."""
_LIGHTER: Final = "light-the-torch>=0.5"


class Installer:
    """The notice at the panel's top as long as packages are missing.

    ``installed`` is called after an installation. ``make_run`` runs command lines.
    """

    def __init__(self, ui: SimpleNamespace, desk: Desk, installed: Callable[[], None]) -> None:
        """Nothing is asked before the button is pressed."""
        self.ui, self._desk, self._installed = ui, desk, installed
        self.make_run: Callable[[Sequence[Sequence[str]]], CommandRun] = CommandRun
        self._run: CommandRun | None = None
        self._constraints: tempfile.TemporaryDirectory[str] | None = None
        self._trouble = ""
        self.ui.installButton.clicked.connect(self.onInstall)
        self.ui.stopInstallButton.clicked.connect(self.onStop)

    @property
    def is_installing(self) -> bool:
        """Whether an installation goes on."""
        return self._run is not None

    def show(self, missing: Sequence[str]) -> None:
        """Say what is missing, or hide."""
        needed = bool(missing) or self.is_installing
        self.ui.setupWidget.setVisible(needed)
        self.ui.stopInstallButton.setVisible(self.is_installing)
        self.ui.installButton.setVisible(not self.is_installing)
        self.ui.installBar.setVisible(self.is_installing)
        if needed and not self.is_installing:
            text = _("The model needs Python packages that Slicer lacks: {names}.")
            self.ui.setupLabel.setText(self._trouble or text.format(names=", ".join(missing)))

    def poll(self) -> None:
        """See how far it is."""
        run = self._run
        if run is None:
            return
        ended = run.poll()
        self.ui.installBar.setMaximum(len(run.commands))
        self.ui.installBar.setValue(run.done)
        last = run.tail().splitlines()[-1:] or [_("Installing …")]
        self.ui.setupLabel.setText(last[0][:200])
        if ended:
            self._finish(run)

    def close(self) -> None:
        """The panel goes: end it."""
        if self._run is not None:
            self._run.close()
            self._run = None

    def onInstall(self, _checked: bool = False) -> None:
        """Ask, then install."""
        missing = overview.missing_packages()
        if not missing or self._run is not None:
            return
        names = "\n".join(f"• {name} ({SIZES.get(name, '?')})" for name in missing)
        question = _(
            "Download and install these packages into Slicer's Python? Slicer's own packages stay "
            "as they are.\n\n{names}"
        ).format(names=names)
        if self._desk.ask(question, _("Install packages")):
            self._trouble = ""
            self._constraints = tempfile.TemporaryDirectory(prefix="medsaga-")
            constraints = Path(self._constraints.name) / "constraints.txt"
            constraints.write_text("\n".join(_kept_versions()), encoding="utf-8")
            self._run = self.make_run(commands(missing, str(constraints)))
            self._installed()

    def onStop(self, _checked: bool = False) -> None:
        """End it."""
        if self._run is not None:
            self._run.stop()
            self._finish(self._run)

    def _finish(self, run: CommandRun) -> None:
        self._run, printed = None, run.tail()
        run.close()
        if self._constraints is not None:
            self._constraints.cleanup()
        if run.succeeded:
            self._desk.say(_("The packages are installed."))
        elif run.exit_status is None:
            self._desk.say(_("Stopped; what was installed already stays."))
        else:
            self._trouble = _(
                "Installing failed. Check the connection, the free disk space and whether Slicer's "
                "folder may be written; then try again. The reason:\n{reason}"
            ).format(reason="\n".join(printed.splitlines()[-3:]))
            self._desk.say(_("Installing failed; see the top of the panel."), printed)
        self._installed()


def commands(missing: Sequence[str], constraints: str) -> list[list[str]]:
    """The command lines that install these packages, with a file of versions to keep."""
    python = [sys.executable, "-m"]
    pip = [*python, "pip", "install", "--disable-pip-version-check", "--constraint", constraints]
    wanted = overview.requirements()
    lines: list[list[str]] = []
    if "torch" in missing:
        lines.append([*pip, _LIGHTER])
        torch = [*python, "light_the_torch", "install", "--constraint", constraints]
        lines.append([*torch, wanted["torch"]])
    rest = [wanted[name] for name in missing if name != "torch"]
    if rest:
        lines.append([*pip, *rest])
    return lines


def _kept_versions() -> list[str]:
    found = []
    for name in KEPT:
        try:
            found.append(f"{name}=={metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return found
