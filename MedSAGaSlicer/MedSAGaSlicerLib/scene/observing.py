"""Reactions to events of VTK objects, which end with the object that reacts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import vtk


class Observers:
    """The observers that one object has put on VTK objects; they go when it goes.

    VTK keeps alive what it calls, and goes on calling it while the garbage collector takes both
    apart: an annotation that was dropped together with its scene brought the application down. So
    reactions, which must be methods, are held weakly, and taken off before anything is taken apart.
    """

    def __init__(self) -> None:
        """None so far."""
        self._tags: dict[vtk.vtkObject, list[int]] = {}

    def add(
        self,
        observed: vtk.vtkObject,
        event: str | int,
        reaction: Callable[..., None],
        priority: float = 0.0,
    ) -> int:
        """Have a method called at an event; returns VTK's number of the observer."""
        tag: int = observed.AddObserver(event, _weak(reaction), priority)
        self._tags.setdefault(observed, []).append(tag)
        return tag

    def remove(self, observed: vtk.vtkObject) -> None:
        """Take all observers off one object, if there are any."""
        for tag in self._tags.pop(observed, ()):
            observed.RemoveObserver(tag)

    def close(self) -> None:
        """Take all observers off."""
        for observed in list(self._tags):
            self.remove(observed)

    def __contains__(self, observed: vtk.vtkObject) -> bool:
        return observed in self._tags

    def __iter__(self) -> Iterator[vtk.vtkObject]:
        return iter(tuple(self._tags))

    def __del__(self) -> None:
        self.close()


def _weak(reaction: Callable[..., None]) -> Callable[..., None]:
    method = WeakMethod(reaction)

    def react(*event: Any) -> None:
        found = method()
        if found is not None:
            found(*event)

    # How VTK is told to hand an event's data over.
    kind = getattr(reaction, "CallDataType", None)
    if kind is not None:
        react.CallDataType = kind  # type: ignore[attr-defined]
    return react
