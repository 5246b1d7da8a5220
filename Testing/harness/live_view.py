"""Slice views as Qt widgets: drawn by Slicer's own classes, which also get the mouse events."""

from typing import Any

from harness.application import Application
from harness.slice_view import SliceView
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QWidget

_BUTTONS = {
    Qt.MouseButton.LeftButton: "LeftButton",
    Qt.MouseButton.MiddleButton: "MiddleButton",
    Qt.MouseButton.RightButton: "RightButton",
}


class InteractorStyle:
    """The one thing that Slicer's modules ask a view's style for."""

    def __init__(self, view: SliceView) -> None:
        self._view = view

    def GetInteractor(self) -> Any:
        return self._view.interactor


class qMRMLSliceView(QWidget):
    """The part of a slice widget that draws and takes mouse events."""

    def __init__(self, view: SliceView, parent: QWidget) -> None:
        super().__init__(parent)
        self._view = view
        self._style = InteractorStyle(view)
        self.setFixedSize(*view.size)
        self.setMouseTracking(True)

    def interactorStyle(self) -> InteractorStyle:
        return self._style

    def mrmlSliceNode(self) -> Any:
        return self._view.node

    def setViewCursor(self, cursor: Any) -> None:
        self.setCursor(cursor)

    def unsetViewCursor(self) -> None:
        self.unsetCursor()

    def scheduleRender(self) -> None:
        self.update()

    def forceRender(self) -> None:
        self.repaint()

    def paintEvent(self, _event: Any) -> None:
        pixels = self._view.grab()
        height, width, _ = pixels.shape
        image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
        painter = QPainter(self)
        painter.drawImage(0, 0, image)
        painter.end()

    def mouseMoveEvent(self, event: Any) -> None:
        self._pass_on(event, "MouseMove")

    def mousePressEvent(self, event: Any) -> None:
        # A press without a move before it does not happen with a real mouse.
        self._pass_on(event, "MouseMove")
        self._pass_on(event, f"{_BUTTONS[event.button()]}Press")

    def mouseReleaseEvent(self, event: Any) -> None:
        self._pass_on(event, f"{_BUTTONS[event.button()]}Release")

    def wheelEvent(self, event: Any) -> None:
        forward = event.angleDelta().y() > 0
        self._pass_on(event, "MouseWheelForward" if forward else "MouseWheelBackward")

    def leaveEvent(self, _event: QEvent) -> None:
        self._view.interactor.LeaveEvent()

    def _pass_on(self, event: Any, name: str) -> None:
        place, modifiers = event.position(), event.modifiers()
        # Qt counts rows from the top, VTK from the bottom.
        self._view.interactor.SetEventInformation(
            round(place.x()),
            self._view.size[1] - 1 - round(place.y()),
            int(bool(modifiers & Qt.KeyboardModifier.ControlModifier)),
            int(bool(modifiers & Qt.KeyboardModifier.ShiftModifier)),
            chr(0),
            0,
            None,
        )
        getattr(self._view.interactor, f"{name}Event")()
        self.update()


class qMRMLSliceWidget(QWidget):
    """A slice view; Slicer's has a bar with a slider above."""

    def __init__(
        self, application: Application, name: str, orientation: str, size: tuple[int, int]
    ) -> None:
        super().__init__()
        self._live = SliceView(application, name, orientation, size)
        self._view = qMRMLSliceView(self._live, self)
        self.setFixedSize(*size)

    def sliceView(self) -> qMRMLSliceView:
        return self._view

    def sliceLogic(self) -> Any:
        return self._live.logic

    def mrmlSliceNode(self) -> Any:
        return self._live.node

    def fitSliceToBackground(self) -> None:
        self._live.logic.FitSliceToBackground(*self._live.size)

    @property
    def live(self) -> SliceView:
        """For tests on the stand-in: pixels, positions, mouse."""
        return self._live


class LayoutManager:
    """The views of a layout."""

    def __init__(
        self,
        application: Application,
        orientations: dict[str, str],
        size: tuple[int, int],
    ) -> None:
        self._application, self._size = application, size
        self._widgets: dict[str, qMRMLSliceWidget] = {}
        for name, orientation in orientations.items():
            self.add_view(name, orientation)

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._widgets)

    def sliceWidget(self, name: str) -> qMRMLSliceWidget | None:
        return self._widgets.get(name)

    def add_view(self, name: str, orientation: str) -> qMRMLSliceWidget:
        """Go to a layout with one more view."""
        widget = qMRMLSliceWidget(self._application, name, orientation, self._size)
        self._widgets[name] = widget
        return widget

    def widgets(self) -> tuple[qMRMLSliceWidget, ...]:
        """For tests on the stand-in."""
        return tuple(self._widgets.values())

    def mrmlSliceLogics(self) -> Any:
        return self._application.logic.GetSliceLogics()

    def close(self) -> None:
        for widget in self._widgets.values():
            widget.live.close()
            widget.deleteLater()
        self._widgets.clear()
