"""Paint and Erase of the Segment Editor's stand-in: a round brush, written as Slicer writes."""

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

EFFECTS = ("Paint", "Erase")


class Brush:
    """Gathers a stroke in a slice view, and applies it when the button is let go, as Slicer does.

    Between volume, segmentation and world there may be no transforms. ``BrushAbsoluteDiameter`` is
    in mm.
    """

    def __init__(self, logic: slicer.vtkSlicerSegmentEditorLogic, name: str) -> None:
        self.name = name
        self._logic = logic
        self._parameters = {"BrushAbsoluteDiameter": "8"}
        self._tags: list[tuple[Any, int]] = []
        self._stroke: list[np.ndarray] = []
        self._pressed = False

    def parameter(self, name: str) -> str:
        return self._parameters[name]

    def setParameter(self, name: str, value: object) -> None:
        self._parameters[name] = str(value)

    def observe(self, layout: Any) -> None:
        for view in layout.sliceViewNames():
            widget = layout.sliceWidget(view)
            interactor = widget.sliceView().interactorStyle().GetInteractor()
            for event in ("LeftButtonPressEvent", "MouseMoveEvent", "LeftButtonReleaseEvent"):
                self._add(interactor, event, widget.mrmlSliceNode())

    def leave(self) -> None:
        for interactor, tag in self._tags:
            interactor.RemoveObserver(tag)
        self._tags.clear()
        self._stroke.clear()
        self._pressed = False

    def _add(self, interactor: Any, event: str, view: slicer.vtkMRMLSliceNode) -> None:
        def react(caller: Any, name: str) -> None:
            if name == "LeftButtonPressEvent":
                self._pressed = True
            if not self._pressed:
                return
            x, y = caller.GetEventPosition()
            ras = view.GetXYToRAS().MultiplyPoint((x, y, 0.0, 1.0))
            self._stroke.append(np.array(ras[:3]))
            caller.GetCommand(tag).SetAbortFlag(1)
            if name == "LeftButtonReleaseEvent":
                self._pressed = False
                self._apply(view)

        tag = interactor.AddObserver(event, react, 1.0)
        self._tags.append((interactor, tag))

    def _apply(self, view: slicer.vtkMRMLSliceNode) -> None:
        stroke, self._stroke = self._stroke, []
        logic, node = self._logic, self._logic.GetSegmentEditorNode()
        logic.SaveStateForUndo()
        logic.ResetModifierLabelmapToDefault()
        image = logic.GetModifierLabelmap()
        self._stamp(image, stroke, view)
        image.Modified()
        mode = logic.ModificationModeAdd if self.name == "Paint" else logic.ModificationModeRemove
        logic.ModifySegmentByLabelmap(
            node.GetSegmentationNode(), node.GetSelectedSegmentID(), image, mode, True, False
        )

    def _stamp(self, image: Any, stroke: list[np.ndarray], view: slicer.vtkMRMLSliceNode) -> None:
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        to_ras = slicer.util.arrayFromVTKMatrix(matrix)
        first = np.array(image.GetExtent()[::2])
        sizes = np.array(image.GetDimensions())
        voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(sizes[::-1])
        normal = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())[:3, 2]
        half = np.abs(normal @ to_ras[:3, :3]).max() / 2
        radius = float(self._parameters["BrushAbsoluteDiameter"]) / 2
        reach = np.ceil(radius / np.linalg.norm(to_ras[:3, :3], axis=0)).astype(int) + 1
        for point in stroke:
            at = np.linalg.solve(to_ras[:3, :3], point - to_ras[:3, 3]).round().astype(int) - first
            low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, sizes)
            if np.any(low >= high):
                continue
            window = np.moveaxis(np.indices(high - low), 0, -1) + low + first
            away = window @ to_ras[:3, :3].T + to_ras[:3, 3] - point
            across = away @ normal
            flat = np.linalg.norm(away - across[..., None] * normal, axis=-1)
            inside = (np.abs(across) <= half) & (flat <= radius)
            part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))[::-1]
            voxels[part][np.moveaxis(inside, (0, 1, 2), (2, 1, 0))] = 1
