"""What the panel's tests share; runs in Slicer and on the stand-in."""

import os
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import qt
import slicer
import vtk

from MedSAGaSlicerLib.engine import registry
from MedSAGaSlicerLib.scene.segments import read_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of
from MedSAGaSlicerLib.worker.client import InferenceClient
from MedSAGaSlicerLib.worker.teach_client import TeachClient

FAKES = Path(__file__).resolve().parent.parent / "fakes"
OWN_FOLDERS = ("MEDSAGA_CACHE", "MEDSAGA_EXAMPLES", "MEDSAGA_TAUGHT")
MODEL, OTHER_MODEL = "sam_vit_b", "mobile_sam"
SPACING = (1.0, 1.0, 2.0)
SHAPE_KJI = (12, 60, 80)


class AnnotatingTestCase(unittest.TestCase):
    """The module is open, there is a volume, and a worker would have a fake predictor.

    The fake's mask is what a box covers, or a disc of radius 3 about each positive point.
    """

    def setUp(self) -> None:
        # Everything of these tests lies where paths are not what programs are tried with.
        self.folder = tempfile.TemporaryDirectory(prefix="Größe 左 лево ")
        self.addCleanup(self.folder.cleanup)
        folders = {name: str(Path(self.folder.name) / name.lower()) for name in OWN_FOLDERS}
        own = mock.patch.dict(os.environ, {**folders, registry.FOLDER_VARIABLE: self.folder.name})
        own.start()
        self.addCleanup(own.stop)
        for name in (MODEL, OTHER_MODEL):
            (Path(self.folder.name) / registry.entry(name).file).touch()
        # Slicer answers its own questions in tests, but not the same in all versions.
        agreed = mock.patch("slicer.util.confirmYesNoDisplay", return_value=True)
        agreed.start()
        self.addCleanup(agreed.stop)
        qt.QSettings().remove("MedSAGaSlicer")
        slicer.mrmlScene.Clear()
        self.widget = slicer.util.getModuleWidget("MedSAGaSlicer")
        self.panel, self.ui = self.widget.panel, self.widget.panel.ui
        self.logic = slicer.util.getModuleLogic("MedSAGaSlicer")
        self.logic.annotators.make_client = self.make_client
        self.logic.annotators.make_teach_client = self.make_teach_client
        self.addCleanup(self.logic.annotators.close)
        self.volume = self.make_volume("CT")

    def make_volume(self, name: str) -> slicer.vtkMRMLScalarVolumeNode:
        """80 x 60 x 12 voxels of 1 x 1 x 2 mm with a bright disc in each slice."""
        k, j, i = np.mgrid[tuple(slice(size) for size in SHAPE_KJI)]
        voxels = np.where((i - 40) ** 2 + (j - 30) ** 2 < 15**2, 200, 20 + k).astype(np.int16)
        ijk_to_ras = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
        ijk_to_ras[:3, 3] = 40, 30, -12
        return slicer.util.addVolumeFromArray(voxels, ijk_to_ras, name)

    def make_client(self, model: str) -> InferenceClient:
        path = os.pathsep.join([str(FAKES), os.environ.get("PYTHONPATH", "")])
        return InferenceClient(
            model=model,
            predictor="fake_predictor:load",
            adapters="fake_predictor:adapt",
            cache_folder=str(Path(self.folder.name) / "cache"),
            environment={**os.environ, "PYTHONPATH": path, "PATIENT_LESSON": self.folder.name},
        )

    def make_teach_client(self, client: InferenceClient) -> TeachClient:
        return TeachClient.beside(client, lesson="patient_lesson:give")

    def open_panel(self) -> None:
        """Show the module and choose the volume and a new segment, as a person would."""
        slicer.util.selectModule("MedSAGaSlicer")
        self.addCleanup(slicer.util.selectModule, "")
        self.ui.volumeSelector.setCurrentNode(self.volume)
        self.ui.addSegmentButton.click()

    @property
    def segmentation(self) -> slicer.vtkMRMLSegmentationNode:
        return self.ui.segmentationSelector.currentNode()

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Let the application go on until something is so."""
        while not condition():
            slicer.app.processEvents(qt.QEventLoop.WaitForMoreEvents)

    def wait_for_masks(self) -> None:
        annotator = self.logic.annotators.current
        self.wait_until(lambda: not annotator.busy)

    def mask(self, k: int) -> np.ndarray:
        """The chosen segment on a slice."""
        segment_id = self.ui.segmentSelector.currentSegmentID()
        position = SlicePosition("k", k)
        return read_slice(self.segmentation, segment_id, grid_of(self.volume), position)

    def slice_widget(self, name: str = "Red") -> object:
        return slicer.app.layoutManager().sliceWidget(name)

    def click(self, i: float, j: float, k: int, *, ctrl: bool = False, view: str = "Red") -> None:
        """Scroll there and click, by events as a mouse makes them."""
        x, y = self.place_of(i, j, k, view)
        interactor = self.interactor(view)
        for event in ("MouseMove", "LeftButtonPress", "LeftButtonRelease"):
            interactor.SetEventInformation(x, y, int(ctrl), 0, chr(0), 0, None)
            getattr(interactor, f"{event}Event")()

    def drag(self, start: tuple[float, float], end: tuple[float, float], k: int) -> None:
        """Drag from one (i, j) of a slice to another in the red view."""
        self.drag_between((*start, k), (*end, k), "Red")

    def drag_between(
        self, start: tuple[float, float, float], end: tuple[float, float, float], view: str
    ) -> None:
        """Drag from one voxel to another of a slice that a view shows."""
        first, last = (self.place_of(*corner, view) for corner in (start, end))
        middle = ((first[0] + last[0]) // 2, (first[1] + last[1]) // 2)
        interactor = self.interactor(view)
        for event, (x, y) in (
            ("MouseMove", first),
            ("LeftButtonPress", first),
            ("MouseMove", middle),
            ("MouseMove", last),
            ("LeftButtonRelease", last),
        ):
            interactor.SetEventInformation(x, y, 0, 0, chr(0), 0, None)
            getattr(interactor, f"{event}Event")()

    def interactor(self, view: str) -> vtk.vtkRenderWindowInteractor:
        return self.slice_widget(view).sliceView().interactorStyle().GetInteractor()

    def ras(self, i: float, j: float, k: float) -> tuple[float, float, float]:
        """Where a voxel is in the world."""
        to_ras = vtk.vtkMatrix4x4()
        self.volume.GetIJKToRASMatrix(to_ras)
        return to_ras.MultiplyPoint((i, j, k, 1))[:3]

    def place_of(self, i: float, j: float, k: float, view: str) -> tuple[int, int]:
        """Where a voxel is in a view, which is scrolled to it."""
        ras = self.ras(i, j, k)
        node = self.slice_widget(view).mrmlSliceNode()
        node.JumpSliceByOffsetting(*ras)
        to_xy = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(node.GetXYToRAS(), to_xy)
        x, y, *_ = to_xy.MultiplyPoint((*ras, 1))
        return round(x), round(y)

    def look(self) -> None:
        """Let the panel look around once more, as its timer has it do."""
        self.panel.onTick()


def disc(i: int, j: int) -> np.ndarray:
    """The fake's mask about a point."""
    rows, columns = np.indices(SHAPE_KJI[1:])
    return (columns - i) ** 2 + (rows - j) ** 2 <= 3**2
