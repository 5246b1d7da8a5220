"""Which slice view the person works in, and which slice that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer

from MedSAGaSlicerLib.scene.observing import Observers
from MedSAGaSlicerLib.scene.slices import show_slice, shown_axis, shown_slice
from MedSAGaSlicerLib.scene.volumes import grid_of

if TYPE_CHECKING:
    from MedSAGaSlicerLib.scene.slices import SlicePosition


class Focus:
    """Remembers the slice view that the mouse was over last, by the scene's crosshair node."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        """Start watching the mouse."""
        self._scene = scene
        self._view: slicer.vtkMRMLSliceNode | None = None
        self._observers = Observers()
        # Missing where the application runs without a window.
        self._crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        if self._crosshair is not None:
            event = slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent
            self._observers.add(self._crosshair, event, self._on_cursor)

    @property
    def view(self) -> slicer.vtkMRMLSliceNode | None:
        """That view, or the first if the mouse has not been over any; None if there is none."""
        if self._view is None or self._view.GetScene() is None:
            self._view = next(iter(shown_views(self._scene)), None)
        return self._view

    def position(self, volume: slicer.vtkMRMLVolumeNode) -> SlicePosition | None:
        """The slice of a volume that the view shows, None if there is no view.

        Raises:
            InputError: the view shows no slice of the volume as it is, or the volume has none.
        """
        return None if self.view is None else shown_slice(self.view, grid_of(volume))

    def jump(self, volume: slicer.vtkMRMLVolumeNode, position: SlicePosition) -> bool:
        """Scroll a view to a slice, the one in focus if it can; whether there is such a view.

        Raises:
            InputError: the volume has no such slice.
        """
        grid = grid_of(volume)
        views = shown_views(self._scene)
        for view in sorted(views, key=lambda view: view is not self.view):
            if shown_axis(view, grid) == position.axis:
                show_slice(view, grid, position)
                self._view = view
                return True
        return False

    def close(self) -> None:
        """Stop watching the mouse."""
        self._observers.close()

    def _on_cursor(self, *_event: Any) -> None:
        view = self._crosshair.GetCursorPositionXYZ([0.0, 0.0, 0.0])
        if view is not None:
            self._view = view


def shown_views(scene: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLSliceNode]:
    """The slice views of the present layout, red first, as Slicer names them."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")
    views = (scene.GetNthNodeByClass(n, "vtkMRMLSliceNode") for n in range(count))
    return sorted(
        (view for view in views if view.IsMappedInLayout()),
        key=lambda view: (view.GetLayoutName() != "Red", view.GetLayoutName()),
    )
