"""The panel and slice views side by side in one window, as Slicer shows them."""

from collections.abc import Callable

import numpy as np
import slicer
from harness.case import Case
from harness.desktop import Desktop
from harness.live_view import qMRMLSliceWidget
from PySide6 import QtCore, QtWidgets
from PySide6.QtTest import QTest

from MedSAGaSlicerLib.engine.phantom import Phantom
from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.volumes import grid_of

PANEL_WIDTH = 340
COLOURS = ((0.3, 0.6, 0.95), (0.9, 0.55, 0.25), (0.95, 0.8, 0.3))
LEFT, NO_KEY = QtCore.Qt.MouseButton.LeftButton, QtCore.Qt.KeyboardModifier.NoModifier


def add_ct(case: Phantom | Case) -> slicer.vtkMRMLScalarVolumeNode:
    """A CT in the scene, in a window for soft tissue."""
    geometry = case.geometry
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = np.array(geometry.directions) * geometry.spacing_mm
    ijk_to_lps[:3, 3] = geometry.origin
    volume = slicer.util.addVolumeFromArray(
        case.ct_kji, np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijk_to_lps, "CT"
    )
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevel(400, 40)
    return volume


class Workplace:
    """A person at the module: sees the window, has the mouse."""

    def __init__(
        self,
        desktop: Desktop,
        views: tuple[str, ...] = ("Red",),
        panel_width: int = PANEL_WIDTH,
    ) -> None:
        self.desktop = desktop
        slicer.util.selectModule("MedSAGaSlicer")
        self.module = slicer.util.getModuleWidget("MedSAGaSlicer")
        self.ui = self.module.panel.ui
        self.window = desktop.main_window
        centre = QtWidgets.QWidget()
        row = QtWidgets.QHBoxLayout(centre)
        row.setContentsMargins(6, 6, 6, 6)
        # As in Slicer: a column that scrolls when the panel is longer than the window.
        self.column = QtWidgets.QScrollArea()
        self.column.setWidgetResizable(True)
        self.column.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.column.setFixedWidth(panel_width)
        self.column.setWidget(self.module.parent)
        row.addWidget(self.column)
        for name in views:
            row.addWidget(self.view(name))
        self.window.setCentralWidget(centre)
        self.window.show()

    @property
    def annotator(self) -> Annotator:
        return self.module.logic.annotators.current

    def view(self, name: str = "Red") -> qMRMLSliceWidget:
        return self.desktop.layout.sliceWidget(name)

    def choose(self, volume: slicer.vtkMRMLScalarVolumeNode, name: str) -> None:
        """Choose a volume and a new segment."""
        self.ui.volumeSelector.setCurrentNode(volume)
        self.ui.addSegmentButton.click()
        segmentation = self.ui.segmentationSelector.currentNode().GetSegmentation()
        segment = segmentation.GetSegment(self.ui.segmentSelector.currentSegmentID())
        segment.SetName(name)
        # Slicer has a table of them, which the wheel lacks: there they are drawn by lot.
        segment.SetColor(*COLOURS[segmentation.GetNumberOfSegments() % len(COLOURS)])

    def scroll_to(self, ijk: tuple[float, float, float], name: str = "Red") -> QtCore.QPoint:
        """Have a view show a voxel; where it is then, as Qt counts pixels."""
        volume = self.ui.volumeSelector.currentNode()
        ras = [float(x) for x in grid_of(volume).to_ras(ijk)]
        live = self.view(name).live
        live.node.JumpSliceByOffsetting(*ras)
        x, y = live.xy_of(ras)
        return QtCore.QPoint(round(x), live.size[1] - 1 - round(y))

    def click(self, ijk: tuple[float, float, float], name: str = "Red") -> None:
        """Take the point tool, if need be, and click there."""
        if not self.ui.pointButton.isChecked():
            QTest.mouseClick(self.ui.pointButton, LEFT)
        place = self.scroll_to(ijk, name)
        QTest.mouseClick(self.view(name).sliceView(), LEFT, NO_KEY, place)

    def drag(
        self,
        start: tuple[float, float, float],
        end: tuple[float, float, float],
        name: str = "Red",
    ) -> None:
        """Take the box tool, if need be, and drag from there to there."""
        if not self.ui.boxButton.isChecked():
            QTest.mouseClick(self.ui.boxButton, LEFT)
        first, last = self.scroll_to(start, name), self.scroll_to(end, name)
        surface = self.view(name).sliceView()
        QTest.mousePress(surface, LEFT, NO_KEY, first)
        QTest.mouseMove(surface, (first + last) / 2)
        QTest.mouseMove(surface, last)
        QTest.mouseRelease(surface, LEFT, NO_KEY, last)

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Let the application go on until something is so."""
        while not condition():
            self.desktop.app.processEvents(QtCore.QEventLoop.ProcessEventsFlag.WaitForMoreEvents)

    def wait_for_masks(self) -> None:
        """Until every prompt has its mask, and the panel says so."""
        annotators = self.module.logic.annotators
        self.wait_until(lambda: not self.annotator.busy and not annotators.busy)
        self.desktop.app.processEvents()

    def save_picture(self, path: str) -> None:
        """What the window looks like now."""
        self._settle()
        self.window.grab().save(path)

    def save_panel(self, path: str) -> None:
        """What the whole panel looks like now, however long it is."""
        self._settle()
        self.module.parent.grab().save(path)

    def _settle(self) -> None:
        """Until what was opened has its place: layouts tell each other by events."""
        for _ in range(4):
            self.desktop.app.processEvents()
            self.desktop.app.sendPostedEvents()

    def close(self) -> None:
        """Take the panel and the views out of the window before they go."""
        self.column.takeWidget()
        for widget in self.desktop.layout.widgets():
            widget.setParent(None)
        slicer.util.selectModule("")
        self.window.close()
