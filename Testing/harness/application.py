"""Slicer's scene and logics without Slicer's application: what the slicer-core wheel leaves to do.

The wheel has the MRML classes and logics but none of the objects that the application makes of
them at start-up. ``Application`` makes those that the scene layer, the slice views and
``slicer.util`` need; nothing in here is used by the product.
"""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import slicer
import slicer.util
import vtk

LOGICS = {
    "Colors": slicer.vtkMRMLColorLogic,
    "Data": slicer.vtkSlicerDataModuleLogic,
    "Markups": slicer.vtkSlicerMarkupsLogic,
    "Models": slicer.vtkSlicerModelsLogic,
    "Segmentations": slicer.vtkSlicerSegmentationsModuleLogic,
    "Sequences": slicer.vtkSlicerSequencesLogic,
    "SubjectHierarchy": slicer.vtkSlicerSubjectHierarchyModuleLogic,
    "Tables": slicer.vtkSlicerTablesLogic,
    "Texts": slicer.vtkSlicerTextsLogic,
    "Transforms": slicer.vtkSlicerTransformLogic,
    "Units": slicer.vtkSlicerUnitsLogic,
    "Volumes": slicer.vtkSlicerVolumesLogic,
}


class Application:
    """One scene with the logics that Slicer's loadable modules would have given it.

    ``slicer.mrmlScene`` and ``slicer.modules`` are set as well, for ``slicer.util`` wants them: the
    latest application holds them.
    """

    def __init__(self) -> None:
        self._messages = vtk.vtkStringOutputWindow()
        vtk.vtkOutputWindow.SetInstance(self._messages)
        self._temporary = tempfile.TemporaryDirectory(prefix="medsaga-scene-")
        self.scene = slicer.vtkMRMLScene()
        self._add_crosshair()
        self._add_cache()
        self.logic = slicer.vtkSlicerApplicationLogic()
        self.logic.SetTemporaryPath(self._temporary.name)
        # Makes the selection and interaction singletons too.
        self.logic.SetMRMLScene(self.scene)
        # Left unset, slice logics that are added later are lost.
        self.logic.SetSliceLogics(vtk.vtkCollection())
        self.logic.SetViewLogics(vtk.vtkCollection())
        self.modules = SimpleNamespace()
        self.logics = {name: self._register(name, kind()) for name, kind in LOGICS.items()}
        self.logics["Colors"].AddDefaultColorNodes()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        slicer.mrmlScene, slicer.modules = self.scene, self.modules

    @property
    def interaction(self) -> slicer.vtkMRMLInteractionNode:
        """What the mouse does in views: Place, ViewTransform or AdjustWindowLevel."""
        return self.logic.GetInteractionNode()

    def messages(self) -> str:
        """What VTK has complained about so far."""
        return self._messages.GetOutput()

    def close(self) -> None:
        """Empty the scene and let go of everything."""
        self.scene.Clear(1)
        self._temporary.cleanup()

    def _add_crosshair(self) -> None:
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)

    def _add_cache(self) -> None:
        # Scene bundles are unpacked there; the empty file marks a folder that Slicer may clean.
        Path(self._temporary.name, ".slicer-cache").touch()
        cache, transfers = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
        cache.SetRemoteCacheDirectory(self._temporary.name)
        cache.SetMRMLScene(self.scene)
        transfers.SetCacheManager(cache)
        self.scene.SetCacheManager(cache)
        self.scene.SetDataIOManager(transfers)

    def _register(self, name: str, logic: object) -> object:
        logic.SetMRMLApplicationLogic(self.logic)
        logic.SetMRMLScene(self.scene)
        self.logic.SetModuleLogic(name, logic)
        setattr(self.modules, name.lower(), SimpleNamespace(logic=lambda: logic))
        return logic
