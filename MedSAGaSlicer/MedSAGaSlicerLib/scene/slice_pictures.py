"""Small pictures of slices, for lists to choose from, and what can be told of a slice."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np

from MedSAGaSlicerLib.scene.segments import LABELMAP, read_slice, segment_ids
from MedSAGaSlicerLib.scene.volumes import grid_of, pixels_of

if TYPE_CHECKING:
    import slicer
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.scene.slices import SlicePosition

_PAPER: Final = 0
_COVER: Final = 0.5
"""How much of a segment's colour lies over the grey."""


def slice_png(
    volume: slicer.vtkMRMLVolumeNode,
    segmentation: slicer.vtkMRMLSegmentationNode,
    position: SlicePosition,
    side: int,
) -> bytes:
    """A square PNG of a slice, ``side`` pixels wide, with the segments in their colours.

    It lies as slice views show it, with voxels as long and wide as they are.

    Raises:
        InputError: the volume or the segmentation cannot be read there.
    """
    # Here, not above: opening the panel needs neither, and both take their time.
    from PIL import Image

    from MedSAGaSlicerLib.engine.pictures import display_flip

    grid = grid_of(volume)
    picture = _coloured(volume, segmentation, position)
    spacing = grid.geometry.spacing_mm
    column, row = position.in_plane
    rows, columns = _sampling(picture.shape[:2], (spacing[row], spacing[column]), side)
    small = picture[np.ix_(rows, columns)]
    flip_rows, flip_columns = display_flip(grid.geometry, position.axis)
    small = small[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    square = np.full((side, side, 3), _PAPER, dtype=np.uint8)
    top, left = (side - small.shape[0]) // 2, (side - small.shape[1]) // 2
    square[top : top + small.shape[0], left : left + small.shape[1]] = small
    file = io.BytesIO()
    Image.fromarray(square).save(file, "PNG")
    return file.getvalue()


def is_empty_slice(
    volume: slicer.vtkMRMLVolumeNode,
    segmentation: slicer.vtkMRMLSegmentationNode,
    position: SlicePosition,
) -> bool:
    """Whether no segment is on a slice.

    Raises:
        InputError: there is no such slice, or a segment cannot be had as voxels.
    """
    grid = grid_of(volume)
    return not any(
        read_slice(segmentation, segment_id, grid, position).any()
        for segment_id in segment_ids(segmentation)
    )


def content_stamp(segmentation: slicer.vtkMRMLSegmentationNode) -> tuple[object, ...]:
    """Something that is different whenever voxels of the segmentation may be different."""
    core = segmentation.GetSegmentation()
    images = (
        (i, core.GetSegment(i).GetRepresentation(LABELMAP)) for i in segment_ids(segmentation)
    )
    return tuple((i, None if image is None else image.GetMTime()) for i, image in images)


def _coloured(
    volume: slicer.vtkMRMLVolumeNode,
    segmentation: slicer.vtkMRMLSegmentationNode,
    position: SlicePosition,
) -> NDArray[np.uint8]:
    pixels = pixels_of(volume, position.axis, position.index)
    picture = np.array(pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=-1))
    grid, core = grid_of(volume), segmentation.GetSegmentation()
    for segment_id in segment_ids(segmentation):
        mask = read_slice(segmentation, segment_id, grid, position)
        if mask.any():
            colour = np.array(core.GetSegment(segment_id).GetColor()) * 255
            mixed = picture[mask] * (1 - _COVER) + colour * _COVER
            picture[mask] = mixed.astype(np.uint8)
    return picture


def _sampling(
    shape: tuple[int, ...], spacing: tuple[float, float], side: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which rows and columns to take, so that the longer side in mm gets ``side`` pixels."""
    lengths = [size * step for size, step in zip(shape, spacing, strict=True)]
    found = []
    for size, length in zip(shape, lengths, strict=True):
        count = max(1, round(side * length / max(lengths)))
        found.append(((np.arange(count) + 0.5) * size / count).astype(np.int64))
    return found[0], found[1]
