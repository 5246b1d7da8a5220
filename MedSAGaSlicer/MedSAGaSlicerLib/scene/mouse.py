"""Prompts placed by the mouse in slice views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import vtk

from MedSAGaSlicerLib.errors import InputError, MedSAGaError
from MedSAGaSlicerLib.scene.observing import Observers
from MedSAGaSlicerLib.scene.rubber_band import RubberBand
from MedSAGaSlicerLib.scene.slices import shown_slice, to_plane
from MedSAGaSlicerLib.scene.volumes import array_of, grid_of, voxel_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import slicer
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.prompts import Point
    from MedSAGaSlicerLib.scene.annotator import Annotator
    from MedSAGaSlicerLib.scene.slices import SlicePosition

Kind = Literal["point", "box"]
"""What a tool places."""

# Above the Segment Editor's and the view's own: whoever aborts first has the event to himself.
_PRIORITY: Final = 10.0

# Hands are not steady: what moves less than this between press and release is no drag.
_STEADY_PIXELS: Final = 3


@dataclass(frozen=True)
class _Drag:
    xy: tuple[int, int]
    position: SlicePosition
    place: Point
    band: RubberBand


class MouseTool:
    """While it is in hand, the left button places prompts in slice views.

    A ``kind`` of "point" places one at each press, "box" draws one with each drag; with Ctrl held
    they are negative, and if it ``removes`` it is the other way round. They go to ``segment``,
    which may be changed at any time. A press on a prompt that is there takes hold of it, as without
    the tool; the other buttons and the wheel do what they always do. Escape, or scrolling, calls a
    drag off. ``refused`` is told why something could not be placed.
    """

    def __init__(
        self,
        annotator: Annotator,
        segment: str,
        kind: Kind,
        refused: Callable[[str], None],
    ) -> None:
        """Take the tool in hand; it works in no view yet."""
        self.segment, self.kind, self.removes = segment, kind, False
        self._annotator, self._refused = annotator, refused
        self._views: list[_ViewMouse] = []

    def add_view(
        self, view: slicer.vtkMRMLSliceNode, interactor: vtk.vtkRenderWindowInteractor
    ) -> None:
        """Work in a view, too."""
        self._views.append(_ViewMouse(self, view, interactor))

    def close(self) -> None:
        """Put the tool down: the views are as without it."""
        for view in self._views:
            view.close()
        self._views.clear()

    def takes_hold(self) -> bool:
        """Whether a press would take hold of a prompt that is there."""
        return self._annotator.hovers_prompt

    def locate(
        self, view: slicer.vtkMRMLSliceNode, xy: tuple[int, int]
    ) -> tuple[SlicePosition, Point] | None:
        """The slice that a view shows and the (column, row) at a position in it, None if refused.

        The place may be outside the slice.
        """
        try:
            grid = grid_of(self._annotator.volume)
            position = shown_slice(view, grid)
        except InputError as error:
            self._refused(str(error))
            return None
        ijk = grid.to_ijk((array_of(view.GetXYToRAS()) @ (*xy, 0.0, 1.0))[:3])
        return position, to_plane(ijk, position.axis)

    def is_inside(self, position: SlicePosition, place: Point) -> bool:
        """Whether a (column, row) is on the slice; if not, that is said."""
        voxel = voxel_of(place)
        if np.all(voxel >= 0) and np.all(voxel < self._sizes(position)):
            return True
        self._refused("That is outside the volume. Click where the image is.")
        return False

    def point(self, position: SlicePosition, place: Point, *, positive: bool) -> None:
        """Place a point, or say why not."""
        try:
            self._annotator.point_on(self.segment, position, place, positive=positive)
        except MedSAGaError as error:
            self._refused(str(error))

    def box(self, position: SlicePosition, start: Point, end: Point, *, positive: bool) -> None:
        """Draw a box as far as it is on the slice, or say why not."""
        left, top = np.clip(start, 0, self._sizes(position) - 1)
        right, bottom = np.clip(end, 0, self._sizes(position) - 1)
        corners = (float(left), float(top)), (float(right), float(bottom))
        try:
            self._annotator.box_on(self.segment, position, *corners, positive=positive)
        except MedSAGaError as error:
            self._refused(str(error))

    def _sizes(self, position: SlicePosition) -> NDArray[np.int64]:
        """How many columns and rows a slice has."""
        return np.asarray(grid_of(self._annotator.volume).shape_ijk)[list(position.in_plane)]


class _ViewMouse:
    """What the mouse does in one view."""

    def __init__(
        self,
        tool: MouseTool,
        view: slicer.vtkMRMLSliceNode,
        interactor: vtk.vtkRenderWindowInteractor,
    ) -> None:
        self._tool, self._view, self._interactor = tool, view, interactor
        self._is_pressed = False
        self._drag: _Drag | None = None
        reactions = {
            "LeftButtonPressEvent": self._on_press,
            "LeftButtonDoubleClickEvent": self._on_double_click,
            "MouseMoveEvent": self._on_move,
            "LeftButtonReleaseEvent": self._on_release,
            "KeyPressEvent": self._on_key,
        }
        self._observers = Observers()
        self._tags = {
            name: self._observers.add(interactor, name, reaction, _PRIORITY)
            for name, reaction in reactions.items()
        }
        self._observers.add(view, vtk.vtkCommand.ModifiedEvent, self._on_view_change)

    def close(self) -> None:
        self._call_off()
        self._observers.close()

    def _on_press(self, _caller: Any, event: str) -> None:
        if self._tool.takes_hold():
            return
        self._swallow(event)
        self._begin()

    def _on_double_click(self, _caller: Any, event: str) -> None:
        # Slicer would enlarge the view. Depending on Qt's version it comes after the second press,
        # or in its stead.
        self._swallow(event)
        if not self._is_pressed:
            self._begin()

    def _begin(self) -> None:
        self._is_pressed = True
        xy = self._xy()
        found = self._tool.locate(self._view, xy)
        if found is None or not self._tool.is_inside(*found):
            return
        if self._tool.kind == "point":
            self._tool.point(*found, positive=self._is_positive())
        else:
            self._drag = _Drag(xy, *found, RubberBand(self._interactor.GetRenderWindow()))

    def _on_move(self, _caller: Any, event: str) -> None:
        if self._drag is not None:
            self._swallow(event)
            self._drag.band.show(self._drag.xy, self._xy())

    def _on_release(self, _caller: Any, event: str) -> None:
        if not self._is_pressed:
            return
        self._is_pressed = False
        self._swallow(event)
        drag = self._drag
        self._call_off()
        if drag is None or np.abs(np.subtract(self._xy(), drag.xy)).max() < _STEADY_PIXELS:
            return
        found = self._tool.locate(self._view, self._xy())
        if found is not None:
            positive = self._is_positive()
            self._tool.box(drag.position, drag.place, found[1], positive=positive)

    def _on_key(self, _caller: Any, event: str) -> None:
        if self._drag is not None and self._interactor.GetKeySym() == "Escape":
            self._swallow(event)
            self._call_off()

    def _on_view_change(self, *_event: Any) -> None:
        if self._drag is not None:
            found = self._tool.locate(self._view, self._drag.xy)
            if found is None or found[0] != self._drag.position:
                self._call_off()

    def _call_off(self) -> None:
        if self._drag is not None:
            self._drag.band.remove()
        self._drag = None

    def _is_positive(self) -> bool:
        return bool(self._interactor.GetControlKey()) == self._tool.removes

    def _xy(self) -> tuple[int, int]:
        x, y = self._interactor.GetEventPosition()
        return x, y

    def _swallow(self, event: str) -> None:
        self._interactor.GetCommand(self._tags[event]).SetAbortFlag(1)
