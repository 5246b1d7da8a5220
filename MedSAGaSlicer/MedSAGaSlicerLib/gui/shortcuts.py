"""Keys that work while the module is shown, and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import qt
import slicer

if TYPE_CHECKING:
    from types import SimpleNamespace

KEYS: Final = {
    "P": "pointButton",
    "X": "boxButton",
    "M": "removeButton",
    "C": "confirmButton",
    "E": "confirmEmptyButton",
    "N": "nextReviewButton",
    "Ctrl+Z": "undoButton",
    "Ctrl+Y": "redoButton",
}
"""The button that each key presses; the help lists them. None is used in Slicer's slice views."""


class Shortcuts:
    """Made when the module is shown and deleted when it is left."""

    def __init__(self, ui: SimpleNamespace) -> None:
        """There are none yet."""
        self.ui = ui
        self.made: dict[str, Any] = {}

    def enter(self) -> None:
        """Listen to the keys; without a main window there are none."""
        window = slicer.util.mainWindow()
        if window is None or self.made:
            return
        for key, name in KEYS.items():
            shortcut = qt.QShortcut(qt.QKeySequence(key), window)
            # A button that is disabled is not pressed.
            shortcut.activated.connect(vars(self.ui)[name].click)
            self.made[key] = shortcut

    def leave(self) -> None:
        """Leave the keys to others."""
        for shortcut in self.made.values():
            shortcut.setParent(None)
            shortcut.deleteLater()
        self.made.clear()
