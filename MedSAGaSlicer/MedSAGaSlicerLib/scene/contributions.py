"""What jobs added to segments, slice by slice: voxels that no person has asked for one by one.

The segment stays the only truth. What is kept here says which of its voxels a later job may take
back, and which of them somebody has erased since and wants to stay so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from MedSAGaSlicerLib.engine.geometry import AXES
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.packed import PackedMask
from MedSAGaSlicerLib.scene.slices import SlicePosition

if TYPE_CHECKING:
    from collections.abc import Iterator

    import slicer
    from numpy.typing import NDArray

_PREFIX: Final = "added/"

Key = tuple[str, SlicePosition]


@dataclass(frozen=True)
class Contribution:
    """One slice of one segment: ``ours`` was written by a job, ``erased`` taken away since."""

    ours: PackedMask
    erased: PackedMask

    @classmethod
    def begin(cls, shape: tuple[int, ...]) -> Contribution:
        """Of a slice (rows, columns) on which no job has written."""
        nothing = PackedMask.of(np.zeros(shape, np.bool_))
        return cls(nothing, nothing)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be known."""
        return not (self.ours.unpack().any() or self.erased.unpack().any())

    def base(self, current: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """What is on the slice without the jobs' part; bool (rows, columns)."""
        without: NDArray[np.bool_] = current & ~self.ours.unpack()
        return without

    def composed(self, current: NDArray[np.bool_], mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The slice with ``mask`` in place of what jobs wrote before; erased voxels stay so."""
        erased = self._erased(current)
        return self.base(current) | (mask & ~erased)

    def after(self, before: NDArray[np.bool_], current: NDArray[np.bool_]) -> Contribution:
        """The state after a write that turned ``before`` into ``current``."""
        ours = current & ~self.base(before)
        return Contribution(PackedMask.of(ours), PackedMask.of(self._erased(before) & ~current))

    def crossed(self, touched: NDArray[np.bool_]) -> Contribution:
        """Without the voxels that another segment took: that was no person's erasing."""
        return Contribution(PackedMask.of(self.ours.unpack() & ~touched), self.erased)

    def _erased(self, current: NDArray[np.bool_]) -> NDArray[np.bool_]:
        erased: NDArray[np.bool_] = (self.erased.unpack() | self.ours.unpack()) & ~current
        return erased


class Contributions:
    """The slices that jobs wrote, kept as parameters of a session's node."""

    def __init__(self, node: slicer.vtkMRMLScriptedModuleNode) -> None:
        self._node = node
        self._known: dict[Key, Contribution] | None = None

    def get(self, key: Key) -> Contribution | None:
        """The state of a slice; None if no job has written there."""
        return self._all().get(key)

    def put(self, key: Key, state: Contribution | None) -> None:
        """Set or, with None, forget the state of a slice."""
        if state is None:
            if self._all().pop(key, None) is not None:
                self._node.UnsetParameter(_name_of(key))
        else:
            self._all()[key] = state
            text = f"{state.ours.to_text()} {state.erased.to_text()}"
            self._node.SetParameter(_name_of(key), text)

    def of_segment(self, segment_id: str) -> list[Key]:
        """The slices of a segment that jobs wrote."""
        return [key for key in self._all() if key[0] == segment_id]

    def drop_segment(self, segment_id: str) -> None:
        """Forget a segment that is gone."""
        for key in self.of_segment(segment_id):
            self.put(key, None)

    def _all(self) -> dict[Key, Contribution]:
        if self._known is None:
            self._known = dict(self._read())
        return self._known

    def _read(self) -> Iterator[tuple[Key, Contribution]]:
        for name in self._node.GetParameterNames():
            axis, _, rest = name.removeprefix(_PREFIX).partition("/")
            index, _, segment_id = rest.partition("/")
            if not name.startswith(_PREFIX) or axis not in AXES or not index.isdigit():
                continue
            texts = self._node.GetParameter(name).split(" ")
            try:
                masks = [PackedMask.from_text(text) for text in texts]
            except InputError:
                # Somebody edited the scene's file: the voxels then count as the person's.
                continue
            if len(masks) == 2 and masks[0].shape == masks[1].shape:
                yield (segment_id, SlicePosition(axis, int(index))), Contribution(*masks)


def _name_of(key: Key) -> str:
    segment_id, position = key
    return f"{_PREFIX}{position.axis}/{position.index}/{segment_id}"
