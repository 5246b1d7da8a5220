"""Observers that come and go together."""

from collections.abc import Callable
from typing import Any


class Listening:
    """Observers that are forgotten together."""

    def __init__(self) -> None:
        self._tags: list[tuple[Any, int]] = []

    def to(self, source: Any, event: int, reaction: Callable[..., None]) -> None:
        self._tags.append((source, source.AddObserver(event, reaction)))

    def stop(self) -> None:
        for source, tag in self._tags:
            source.RemoveObserver(tag)
        self._tags.clear()
