"""Putting a mask into a segment by the rules that the person set in the Segment Editor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer

from MedSAGaSlicerLib.engine.geometry import slice_of, slice_size
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.history import SliceChange
from MedSAGaSlicerLib.scene.segments import read_slice, segment_ids, status_of, write_slice
from MedSAGaSlicerLib.scene.volumes import grid_of, voxels_of, world_from_node

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from MedSAGaSlicerLib.scene.slices import SlicePosition
    from MedSAGaSlicerLib.scene.volumes import Grid

    Shield = Callable[[str], NDArray[np.bool_]]


class Editing:
    """Writes masks on a volume's slices into segments of a segmentation.

    ``editor`` is the Segment Editor node whose masking, intensity range and overwrite mode hold;
    without one, masks go everywhere and other segments are never changed. Its overwrite mode is the
    only thing by which a mask takes voxels from other segments.
    """

    def __init__(
        self,
        volume: slicer.vtkMRMLVolumeNode,
        segmentation: slicer.vtkMRMLSegmentationNode,
        editor: slicer.vtkMRMLSegmentEditorNode | None,
    ) -> None:
        self._volume = volume
        self._segmentation = segmentation
        self.editor = editor
        self._shape_ijk = grid_of(volume).shape_ijk

    def check(self) -> Grid:
        """The volume's grid, if masks can be read and written.

        Raises:
            InputError: the volume or the segmentation cannot be used (any more), or the volume has
                another size than it had at first.
        """
        grid = grid_of(self._volume)
        if grid.shape_ijk != self._shape_ijk:
            now, then = (" x ".join(map(str, s)) for s in (grid.shape_ijk, self._shape_ijk))
            msg = (
                f"{self._volume.GetName()!r} has {now} voxels now, and had {then} when its "
                "annotation began. Put its former image back, or start another annotation."
            )
            raise InputError(msg)
        world_from_node(self._segmentation)
        return grid

    def write(
        self,
        segment_id: str,
        position: SlicePosition,
        target: NDArray[np.bool_],
        shield: Shield,
    ) -> list[SliceChange]:
        """Make a slice of a segment equal to ``target`` where that is allowed; what it changed.

        ``shield`` tells for a segment which voxels (rows, columns) must stay as they are.

        Raises:
            InputError: the volume, the segmentation or the segment cannot be used (any more).
        """
        grid = self.check()
        current = read_slice(self._segmentation, segment_id, grid, position)
        free = self.editable(segment_id, position) & ~shield(segment_id)
        wanted = np.where(free, target, current)
        changes = []
        for other in self.overwritten(segment_id):
            theirs = read_slice(self._segmentation, other, grid, position)
            lost = theirs & wanted & ~current & ~shield(other)
            if lost.any():
                changes.append(self.put(other, position, theirs & ~lost))
        if not np.array_equal(wanted, current):
            changes.append(self.put(segment_id, position, wanted))
        return changes

    def put(self, segment_id: str, position: SlicePosition, mask: NDArray[np.bool_]) -> SliceChange:
        """Make a slice of a segment equal to ``mask``, rules or not; what it changed.

        Raises:
            InputError: see ``segments.write_slice``.
        """
        status = status_of(self._segmentation, segment_id)
        changed = write_slice(self._segmentation, segment_id, self._volume, position, mask)
        return SliceChange.between(segment_id, position, changed, mask, status)

    def editable(self, segment_id: str, position: SlicePosition) -> NDArray[np.bool_]:
        """Where on a slice the Segment Editor's masking lets a segment be changed.

        The same as Slicer's own ``GenerateEditMask``, which takes up to 0.1 s for it.
        """
        grid = grid_of(self._volume)
        size = slice_size(grid.geometry.shape_kji, position.axis)
        editor, node = self.editor, slicer.vtkMRMLSegmentationNode
        if editor is None:
            return np.ones(size, dtype=np.bool_)
        mode = editor.GetMaskMode()
        ids = segment_ids(self._segmentation)
        if mode in (node.EditAllowedInsideVisibleSegments, node.EditAllowedOutsideVisibleSegments):
            ids = self._visible(ids)
        outside = mode in (
            node.EditAllowedOutsideAllSegments,
            node.EditAllowedOutsideVisibleSegments,
        )
        if mode == node.EditAllowedEverywhere:
            ids, outside = (), True
        elif mode == node.EditAllowedInsideSingleSegment:
            ids = tuple(i for i in ids if i == editor.GetMaskSegmentID())
        elif outside:
            ids = tuple(i for i in ids if i != segment_id)
        covered = np.zeros(size, dtype=np.bool_)
        for other in ids:
            covered |= read_slice(self._segmentation, other, grid, position)
        allowed = ~covered if outside else covered
        if editor.GetSourceVolumeIntensityMask():
            values = slice_of(voxels_of(self._volume), position.axis, position.index)
            # Of colours the Segment Editor looks at the first component.
            values = values[..., 0] if values.ndim == 3 else values
            low, high = editor.GetSourceVolumeIntensityMaskRange()
            allowed &= (values >= low) & (values <= high)
        return allowed

    def overwritten(self, segment_id: str) -> tuple[str, ...]:
        """The segments that lose the voxels that this one gains."""
        editor = self.editor
        if editor is None or editor.GetOverwriteMode() == editor.OverwriteNone:
            return ()
        others = tuple(i for i in segment_ids(self._segmentation) if i != segment_id)
        if editor.GetOverwriteMode() == editor.OverwriteVisibleSegments:
            return self._visible(others)
        return others

    def _visible(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        display = self._segmentation.GetDisplayNode()
        return ids if display is None else tuple(i for i in ids if display.GetSegmentVisibility(i))
