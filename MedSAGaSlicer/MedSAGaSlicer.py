"""The module as Slicer sees it: four classes that hand everything on to MedSAGaSlicerLib.

The library is imported when the panel is opened, never here: an error in it shows up in the module
and not at Slicer's start.
"""

import sys
import unittest
from pathlib import Path

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class MedSAGaSlicer(ScriptedLoadableModule):
    """What the module list and the help section show."""

    def __init__(self, parent):
        super().__init__(parent)
        parent.title = _("MedSAGaSlicer")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = ["Segmentations", "SegmentEditor", "Markups"]
        parent.contributors = ["The MedSAGaSlicer authors"]
        parent.helpText = Path(self.resourcePath("help.html")).read_text(encoding="utf-8")
        parent.acknowledgementText = _(
            "Built on Segment Anything (Meta AI), its medical relatives, and GaLore."
        )
        slicer.app.connect("startupCompleted()", self.onStartupCompleted)

    def onStartupCompleted(self):
        """Called once, when all modules are there."""
        from MedSAGaSlicerLib.gui.sample_data import register

        register(self.resourcePath)


class MedSAGaSlicerWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Keeps the panel and passes Slicer's life-cycle calls to it."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None

    def setup(self):
        """Build the panel; called once, when the module is first opened."""
        super().setup()
        from MedSAGaSlicerLib.gui.sections import load_sections
        from MedSAGaSlicerLib.gui.widget import Panel

        root = slicer.util.loadUI(self.resourcePath("UI/MedSAGaSlicer.ui"))
        self.layout.addWidget(root)
        root.setMRMLScene(slicer.mrmlScene)
        self.logic = MedSAGaSlicerLogic()
        ui = load_sections(root, self.resourcePath)
        self.panel = Panel(ui, self.logic.annotators, self.logic.parameters)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneClosing)
        for event in (slicer.mrmlScene.EndCloseEvent, slicer.mrmlScene.EndImportEvent):
            self.addObserver(slicer.mrmlScene, event, self.onSceneReplaced)

    def enter(self):
        """Called each time the module is shown."""
        if self.panel:
            self.panel.enter()

    def exit(self):
        """Called each time the module is left."""
        if self.panel:
            self.panel.exit()

    def onSceneClosing(self, _caller, _event):
        """Called when the scene is about to be closed."""
        self.panel.onSceneAboutToClose()

    def onSceneReplaced(self, _caller, _event):
        """Called when the scene was closed, or another one was loaded."""
        self.panel.onSceneReplaced()

    def cleanup(self):
        """Called before a reload and when Slicer closes."""
        self.removeObservers()
        if self.panel:
            self.panel.cleanup()

    def onReload(self):
        """Forget the library first: Slicer's reload only runs this file again."""
        for name in [name for name in sys.modules if name.split(".")[0] == "MedSAGaSlicerLib"]:
            del sys.modules[name]
        super().onReload()


class MedSAGaSlicerLogic(ScriptedLoadableModuleLogic):
    """The way in for other modules and for Slicer's Python console."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleLogic.__init__(self, parent)
        from MedSAGaSlicerLib.gui.annotators import Annotators

        self.annotators = Annotators()

    def annotator(self, volumeNode, segmentationNode):
        """The annotator of a volume and a segmentation, the very one that the panel uses."""
        return self.annotators.of(volumeNode, segmentationNode)

    def parameters(self):
        """What the panel has chosen in the present scene."""
        from MedSAGaSlicerLib.gui.parameter_node import ParameterNode

        return ParameterNode(self.getParameterNode())


class MedSAGaSlicerTest(ScriptedLoadableModuleTest):
    """Runs the checkout's GUI tests where there is a checkout, else a smoke test."""

    def setUp(self):
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Called by "Reload and Test" and by the extension's build."""
        self.setUp()
        self.test_the_panel_opens()
        folder = Path(__file__).resolve().parent.parent / "Testing" / "gui"
        if not folder.is_dir():
            return
        tests = unittest.defaultTestLoader.discover(str(folder), pattern="*_test.py")
        result = unittest.TextTestRunner(verbosity=2).run(tests)
        self.assertTrue(result.wasSuccessful())

    def test_the_panel_opens(self):
        """Opening the module shows the panel, with the library's version in it."""
        from MedSAGaSlicerLib import __version__

        slicer.util.selectModule("MedSAGaSlicer")
        widget = slicer.util.getModuleWidget("MedSAGaSlicer")
        self.assertIn(__version__, widget.panel.ui.versionLabel.text)
