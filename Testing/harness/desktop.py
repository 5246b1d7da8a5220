"""Slicer's application without Slicer: opens the unchanged module file beside live slice views."""

import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
if sys.platform == "linux":
    # Draws without a display, and without first complaining that there is none.
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import slicer
import slicer.util
from harness import pythonqt, scripted_module
from harness.application import Application
from harness.live_view import LayoutManager
from harness.pythonqt import SlotErrors
from harness.ui_files import UiLoader
from harness.widgets import WIDGETS
from PySide6 import QtCore, QtWidgets

MODULE_FILE = Path(__file__).resolve().parents[2] / "MedSAGaSlicer" / "MedSAGaSlicer.py"
ORIENTATIONS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}


class SlicerApplication(QtWidgets.QApplication):
    """``slicer.app``: one per process, with the scene of the desktop that is open."""

    startupCompleted = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__(["Slicer"])
        self.setApplicationName("Slicer")
        # As with --testing: settings are forgotten in the end, and the person's own are left alone.
        self._settings = tempfile.TemporaryDirectory(prefix="medsaga-settings-")
        settings = QtCore.QSettings
        settings.setDefaultFormat(settings.Format.IniFormat)
        scope = settings.Scope.UserScope
        settings.setPath(settings.Format.IniFormat, scope, self._settings.name)
        self.setQuitOnLastWindowClosed(False)
        self._desktop: Desktop | None = None

    def show_desktop(self, desktop: "Desktop | None") -> None:
        self._desktop = desktop

    def applicationLogic(self) -> slicer.vtkSlicerApplicationLogic:
        return self._desktop.application.logic

    def mrmlScene(self) -> slicer.vtkMRMLScene:
        return self._desktop.application.scene

    def layoutManager(self) -> LayoutManager | None:
        return None if self._desktop is None else self._desktop.layout

    def moduleManager(self) -> Any:
        return SimpleNamespace(module=self._desktop.module)

    def connect(self, signal: str, slot: Any) -> bool:
        # As PythonQt spells it; module files connect to this signal before there is any widget.
        getattr(self, signal.partition("(")[0]).connect(slot)
        return True

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        return QtCore.QProcessEnvironment.systemEnvironment()

    def testingEnabled(self) -> bool:
        # As with --testing: errors are logged, no dialog waits for a click that never comes.
        return True


class qSlicerScriptedLoadableModule:
    """What a module's class fills in, and by which other code finds the module."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = str(path), path.stem
        self.title = self.helpText = self.acknowledgementText = ""
        self.categories: list[str] = []
        self.dependencies: list[str] = []
        self.contributors: list[str] = []
        self.hidden = False
        self._widget: qSlicerScriptedLoadableModuleWidget | None = None
        self._source = _import(path)
        self.instance = getattr(self._source, self.name)(self)

    def widgetRepresentation(self) -> "qSlicerScriptedLoadableModuleWidget":
        if self._widget is None:
            kind = getattr(self._source, f"{self.name}Widget")
            self._widget = qSlicerScriptedLoadableModuleWidget(kind)
        return self._widget

    def unload(self) -> None:
        if self._widget is not None:
            self._widget.leave()
            self._widget.self().cleanup()
            self._widget.setMRMLScene(None)
            self._widget.deleteLater()
            self._widget = None
        sys.modules.pop(self.name, None)


class qSlicerScriptedLoadableModuleWidget(WIDGETS["qMRMLWidget"]):  # type: ignore[misc]
    """The panel's place in the application: calls ``setup``, ``enter`` and ``exit``."""

    def __init__(self, kind: type) -> None:
        super().__init__()
        QtWidgets.QVBoxLayout(self)
        self.setMRMLScene(slicer.mrmlScene)
        self._entered = False
        self._python = kind(self)
        self._python.setup()

    def self(self) -> Any:
        return self._python

    @property
    def isEntered(self) -> bool:
        return self._entered

    def enter(self) -> None:
        if not self._entered:
            self._entered = True
            self._python.enter()

    def leave(self) -> None:
        if self._entered:
            self._entered = False
            self._python.exit()


class Desktop:
    """A fresh scene, three live slice views and our module, until ``close``."""

    def __init__(self, view_size: tuple[int, int] = (320, 320)) -> None:
        self.qt = pythonqt.install(WIDGETS)
        self.qt.QUiLoader = UiLoader
        scripted_module.install()
        self.errors = SlotErrors()
        self.errors.watch()
        self.app = QtWidgets.QApplication.instance() or SlicerApplication()
        self.application = Application()
        self.layout = LayoutManager(self.application, ORIENTATIONS, view_size)
        self.app.show_desktop(self)
        slicer.app = self.app
        for kind in (qSlicerScriptedLoadableModule, qSlicerScriptedLoadableModuleWidget):
            setattr(slicer, kind.__name__, kind)
        for name, widget in WIDGETS.items():
            if name.startswith("q"):
                setattr(slicer, name, widget)
        self._selected = ""
        slicer.util.selectModule = self.select_module
        self.main_window = QtWidgets.QMainWindow()
        slicer.util.mainWindow = lambda: self.main_window
        self._modules: dict[str, qSlicerScriptedLoadableModule] = {}
        self._add_module(MODULE_FILE)

    @property
    def logic(self) -> Any:
        """What the console gets of our module."""
        return slicer.util.getModuleLogic(MODULE_FILE.stem)

    def module(self, name: str) -> qSlicerScriptedLoadableModule | None:
        return self._modules.get(name)

    def select_module(self, name: str) -> None:
        """Leave the module that is shown, and show another; "" is none."""
        if self._selected:
            self._modules[self._selected].widgetRepresentation().leave()
        self._selected = name
        if name:
            self._modules[name].widgetRepresentation().enter()

    def close(self) -> None:
        """End the module, close the scene and the views."""
        for module in self._modules.values():
            module.unload()
        self.layout.close()
        self.application.close()
        self.main_window.deleteLater()
        self.app.show_desktop(None)
        self.app.processEvents()
        sys.excepthook = sys.__excepthook__

    def _add_module(self, path: Path) -> None:
        module = qSlicerScriptedLoadableModule(path)
        self._modules[module.name] = module
        setattr(slicer.modules, module.name.lower(), module)


def _import(path: Path) -> ModuleType:
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    source = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = source
    spec.loader.exec_module(source)
    return source
