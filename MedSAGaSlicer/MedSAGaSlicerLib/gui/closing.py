"""Closing Slicer while a lesson goes on: asked, and then nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from collections.abc import Callable

    from MedSAGaSlicerLib.gui.desk import Desk


class _Filter(qt.QObject):  # type: ignore[misc]
    """Asks before its window closes."""

    def __init__(self, may_close: Callable[[], bool]) -> None:
        qt.QObject.__init__(self)
        self._may_close = may_close

    def eventFilter(self, _window: Any, event: Any) -> bool:
        """Keep the window open if the person wants that."""
        if event.type() == qt.QEvent.Close and not self._may_close():
            event.ignore()
            return True
        return False


class Closing:
    """Stands at the door of the main window; ``is_teaching`` says whether there is a reason to."""

    def __init__(self, desk: Desk, is_teaching: Callable[[], bool]) -> None:
        """Start; where there is no main window nothing can be asked."""
        self._desk, self._is_teaching = desk, is_teaching
        self._window = slicer.util.mainWindow()
        self._filter = _Filter(self.may_close)
        if self._window is not None:
            self._window.installEventFilter(self._filter)

    def may_close(self) -> bool:
        """Whether the application may close, asking if a lesson goes on."""
        question = _(
            "A model is being taught. Close anyway? What it has learned so far is kept: teach "
            "again with the same confirmed slices, and it goes on from there."
        )
        return not self._is_teaching() or self._desk.ask(question, _("Teaching is under way"))

    def close(self) -> None:
        """No longer ask."""
        if self._window is not None:
            self._window.removeEventFilter(self._filter)
            self._window = None
