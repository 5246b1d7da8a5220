"""The frame that is drawn while a box is dragged."""

from __future__ import annotations

from typing import Final

import vtk

_COLOUR: Final = (1.0, 0.85, 0.1)
_WIDTH: Final = 1.5


class RubberBand:
    """A rectangle over a rendered view; positions are VTK display coordinates (pixels)."""

    def __init__(self, window: vtk.vtkRenderWindow) -> None:
        """Draw into a window's first renderer; nothing is shown yet."""
        self._window = window
        self._points = vtk.vtkPoints()
        self._points.SetNumberOfPoints(4)
        frame = vtk.vtkCellArray()
        frame.InsertNextCell(5)
        for corner in (0, 1, 2, 3, 0):
            frame.InsertCellPoint(corner)
        shape = vtk.vtkPolyData()
        shape.SetPoints(self._points)
        shape.SetLines(frame)
        # Display coordinates are what a 2-D mapper takes unless told otherwise.
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputData(shape)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(mapper)
        self._actor.GetProperty().SetColor(*_COLOUR)
        self._actor.GetProperty().SetLineWidth(_WIDTH)
        self._renderer = window.GetRenderers().GetFirstRenderer()
        self._renderer.AddViewProp(self._actor)

    def show(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Draw the rectangle between two corners."""
        (left, bottom), (right, top) = start, end
        corners = (left, bottom), (right, bottom), (right, top), (left, top)
        for number, (x, y) in enumerate(corners):
            self._points.SetPoint(number, x, y, 0.0)
        self._points.Modified()
        self._window.Render()

    def remove(self) -> None:
        """Take the rectangle away."""
        self._renderer.RemoveViewProp(self._actor)
        self._window.Render()
