"""Observers that come and go together."""

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject


class Listening:
    """Observers of a widget that are forgotten together, with the widget at the latest."""

    def __init__(self, owner: QObject) -> None:
        self._tags: list[tuple[Any, int]] = []
        owner.destroyed.connect(self.stop)

    def to(self, source: Any, event: int, reaction: Callable[..., None]) -> None:
        self._tags.append((source, source.AddObserver(event, reaction)))

    def stop(self) -> None:
        for source, tag in self._tags:
            source.RemoveObserver(tag)
        self._tags.clear()
