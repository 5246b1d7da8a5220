"""Stand-ins for the plain widgets of CTK and Slicer that the panel uses."""

from typing import Any

import slicer
from PySide6.QtCore import Property, QRect, QSize, Signal
from PySide6.QtWidgets import (
    QAbstractButton,
    QSizePolicy,
    QStyle,
    QStyleOptionButton,
    QStylePainter,
    QWidget,
)

_NO_HEIGHT_LIMIT = 16777215


class ctkCollapsibleButton(QAbstractButton):
    """A headline that hides what is below it."""

    contentsCollapsed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(0, self._headline(), 0, 0)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.toggled.connect(self._fold)

    def _is_collapsed(self) -> bool:
        return not self.isChecked()

    def _collapse(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = Property(bool, _is_collapsed, _collapse)

    def _headline(self) -> int:
        return int(self.fontMetrics().height()) + 10

    def _fold(self, open_: bool) -> None:
        for child in self.children():
            if isinstance(child, QWidget):
                child.setVisible(open_)
        self.setMaximumHeight(_NO_HEIGHT_LIMIT if open_ else self._headline())
        self.contentsCollapsed.emit(not open_)
        self.updateGeometry()

    def hitButton(self, position: Any) -> bool:
        return bool(position.y() <= self._headline())

    def sizeHint(self) -> QSize:
        least = QSize(120, self._headline())
        layout = self.layout()
        return layout.sizeHint().expandedTo(least) if layout and self.isChecked() else least

    def minimumSizeHint(self) -> QSize:
        least = QSize(120, self._headline())
        layout = self.layout()
        return layout.totalMinimumSize().expandedTo(least) if layout and self.isChecked() else least

    def paintEvent(self, _event: Any) -> None:
        painter, option = QStylePainter(self), QStyleOptionButton()
        option.initFrom(self)
        option.rect = QRect(0, 0, self.width, self._headline())
        option.text = ("▾ " if self.isChecked() else "▸ ") + self.text
        option.state |= QStyle.StateFlag.State_Raised
        painter.drawControl(QStyle.ControlElement.CE_PushButton, option)


class qMRMLWidget(QWidget):
    """Tells its children which scene they show."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        return self._scene
