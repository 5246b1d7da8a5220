"""What another tool just did to the segments, learnt from its own undo.

A tool that can undo (the Segment Editor) forgets how to redo as soon as anybody else writes, and
its undo takes back whatever has been written since. So it is asked once, right after its edit, to
undo and redo it; what changed in between is the edit, and from then on it is ours to undo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.history import Entry, OutsideEdit, SliceChange
from MedSAGaSlicerLib.scene.lattices import shape_of, union, window
from MedSAGaSlicerLib.scene.segments import layer_of, segment_ids, status_of
from MedSAGaSlicerLib.scene.slices import SlicePosition, meeting
from MedSAGaSlicerLib.scene.volumes import grid_of, voxel_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from MedSAGaSlicerLib.scene.annotation import Annotation
    from MedSAGaSlicerLib.scene.labelmaps import Layer
    from MedSAGaSlicerLib.scene.lattices import Extent
    from MedSAGaSlicerLib.scene.session import WorkKey


def entry_of(
    annotation: Annotation, label: str, undo: Callable[[], bool], redo: Callable[[], bool]
) -> Entry | None:
    """An entry for the undo stack of the edit that a tool just made; None if it cannot undo it.

    Edits that add or remove segments, or that are finer than the volume's voxels, stay the tool's:
    their entry calls ``undo`` and ``redo``.

    Raises:
        InputError: the tool took its edit back and could not do it again.
    """
    after = _snapshot(annotation)
    if after is not None and not undo():
        return None
    changes = None if after is None else _learn(annotation, after, redo)
    if changes is None:
        entry = Entry(label, [OutsideEdit(undo, redo)])
        for key, work in annotation.work.items():
            entry.note_work(key, work.state, work.state)
        return entry
    entry = Entry(label, list(changes))
    for key, work in annotation.work.items():
        mine = [change for change in changes if change.segment_id == key[0]]
        if any(_meets(change, key[1], work.state.base.shape) for change in mine):
            before, work.state = work.state, work.state.absorbed(annotation.read(key))
            entry.note_work(key, before, work.state)
    return entry


def _learn(
    annotation: Annotation, after: Mapping[str, _Voxels], redo: Callable[[], bool]
) -> list[SliceChange] | None:
    """What the edit, undone just now, had changed, slice by slice along k; it is redone.

    None if slices of segments do not describe it.
    """
    before = _snapshot(annotation)
    known = before is not None and before.keys() == after.keys()
    old: dict[WorkKey, NDArray[np.bool_]] = {}
    statuses: dict[str, int] = {}
    if known and before is not None:
        for segment_id, voxels in before.items():
            statuses[segment_id] = status_of(annotation.segmentation, segment_id)
            for k in voxels.slices_unlike(after[segment_id]):
                key = (segment_id, SlicePosition("k", k))
                old[key] = annotation.read(key)
    if not redo():
        msg = "The edit was taken back and the tool could not do it again. Please repeat it."
        raise InputError(msg)
    if not known:
        return None
    new = {key: annotation.read(key) for key in old}
    return [
        SliceChange.between(*key, old[key] ^ new[key], new[key], statuses[key[0]])
        for key in old
        if not np.array_equal(old[key], new[key])
    ]


@dataclass(frozen=True, eq=False)
class _Voxels:
    """A segment's voxels (k, j, i) on its own lattice, which is parallel to the volume's."""

    layer: Layer
    extent: Extent
    mask: NDArray[np.bool_]

    def slices_unlike(self, other: _Voxels) -> range:
        """The slices of the volume along k where another state of the segment may differ."""
        whole = union(self.extent, other.extent)
        if whole is None:
            return range(0)
        differing = self._on(whole) ^ other._on(whole)
        sides = []
        for label, others in enumerate(((0, 1), (0, 2), (1, 2))):
            indices = np.flatnonzero(differing.any(axis=others)) + whole[2 * label]
            if not indices.size:
                return range(0)
            sides.append((indices[0], indices[-1]))
        corners = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 3)
        to_volume = self.layer.lattice.to_volume
        k = voxel_of(corners @ to_volume[2, :3] + to_volume[2, 3])
        return range(max(0, int(k.min())), min(self.layer.grid.shape_ijk[2], int(k.max()) + 1))

    def _on(self, extent: Extent) -> NDArray[np.bool_]:
        if self.extent == extent:
            return self.mask
        voxels = np.zeros(shape_of(extent), dtype=np.bool_)
        if self.mask.size:
            voxels[window(extent, self.extent)] = self.mask
        return voxels


def _snapshot(annotation: Annotation) -> dict[str, _Voxels] | None:
    """All segments' voxels; None if a lattice is another than the volume's."""
    grid = grid_of(annotation.volume)
    found = {}
    for segment_id in segment_ids(annotation.segmentation):
        layer = layer_of(annotation.segmentation, segment_id, grid)
        axes = layer.lattice.axes
        if axes is None or any(abs(axis.scale) != 1 for axis in axes):
            return None
        mask = np.zeros((0, 0, 0), np.bool_) if layer.is_void else layer.voxels == layer.label
        found[segment_id] = _Voxels(layer, layer.extent, mask)
    return found


def _meets(change: SliceChange, position: SlicePosition, shape: tuple[int, int]) -> bool:
    touched = meeting(change.changed.unpack(), change.position, position, shape)
    return touched is not None and bool(touched.any())
