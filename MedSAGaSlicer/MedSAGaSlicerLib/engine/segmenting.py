"""From a volume and prompts to masks: the work behind `medsaga segment`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import numpy as np

from MedSAGaSlicerLib.engine.geometry import check_axis, slice_of, slice_size
from MedSAGaSlicerLib.engine.images import Volume, read_image
from MedSAGaSlicerLib.engine.intensity import Normalisation, is_constant, measure
from MedSAGaSlicerLib.engine.neighbours import depth_of, neighbours_of, stacked
from MedSAGaSlicerLib.engine.progress import Progress, silent
from MedSAGaSlicerLib.engine.prompt_file import read_prompt_file
from MedSAGaSlicerLib.engine.prompts import Prompts, check_inside
from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.engine.segmentation_file import (
    SegmentMask,
    check_segmentation_path,
    write_segmentation,
)
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.embedding import Embedding
    from MedSAGaSlicerLib.engine.predictor import Prediction
    from MedSAGaSlicerLib.engine.prompts import MaskPrompt, SegmentPrompts
    from MedSAGaSlicerLib.engine.regions.window import Window

EVERYWHERE: Final = RegionChoice()
"""Nothing of the volume is left out."""


class SlicePredictor(Protocol):
    """What segmenting and evaluating ask of a model; `engine.predictor.Predictor` is one."""

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Embed a normalised slice, (rows, columns) or (rows, columns, 3)."""

    def predict(
        self,
        embedding: Embedding,
        prompts: Prompts,
        previous_logits: MaskPrompt | None = None,
    ) -> Prediction:
        """The mask of the prompted object on an embedded slice."""


@runtime_checkable
class SegmentSwitch(Protocol):
    """A model that answers differently for different segments; a taught one is one."""

    def for_segment(self, name: str) -> SlicePredictor:
        """The model for a segment of that name."""


def predictor_for(predictor: SlicePredictor, name: str) -> SlicePredictor:
    """What a model uses for a segment: itself, unless it was taught that segment."""
    return predictor.for_segment(name) if isinstance(predictor, SegmentSwitch) else predictor


def volume_normalisation(volume: Volume) -> Normalisation:
    """The one normalisation of a volume, refusing images that show nothing.

    Raises:
        InputError: all voxels are equal, or none is finite.
    """
    normalisation = measure(volume.array_kji, volume.modality)
    if is_constant(volume.array_kji):
        size = " x ".join(map(str, volume.geometry.shape_ijk))
        msg = (
            f"The image {volume.path} ({size} voxels) has the same value everywhere: there is "
            "nothing to segment. Check that it is the right file."
        )
        raise InputError(msg)
    return normalisation


def segment_file(
    volume_path: Path,
    prompt_path: Path,
    output: Path,
    load: Callable[[], SlicePredictor],
    *,
    frame: int | None = None,
    region: RegionChoice = EVERYWHERE,
    strategy: str | None = None,
    progress: Progress = silent,
) -> dict[str, int]:
    """Segment an image by a prompt file and write the segmentation: `medsaga segment`.

    With a ``strategy`` of `propagation.strategies` the prompted slices are carried through the
    volume by it; without, only they are segmented. All that can be wrong with the files is found
    before ``load`` is asked for the model.

    Returns:
        Voxels found, by segment name.

    Raises:
        InputError: a file cannot be used, or a prompt lies outside the volume.
    """
    check_segmentation_path(output)
    segments = read_prompt_file(prompt_path)
    volume = read_image(volume_path, frame)
    check_inside(segments, volume.geometry, is_2d=volume.is_2d)
    volume_normalisation(volume)
    check_in_region(segments, region, volume)
    if strategy is None:
        masks = segment(volume, segments, load(), progress, region)
    else:
        # Here, not above: propagating builds on what is in this module.
        from MedSAGaSlicerLib.engine.propagating import propagate

        masks = propagate(volume, segments, load(), progress, strategy=strategy, region=region)
    write_segmentation(output, masks, volume.geometry)
    return {mask.name: int(np.count_nonzero(mask.mask_kji)) for mask in masks}


def segment(
    volume: Volume,
    segments: tuple[SegmentPrompts, ...],
    predictor: SlicePredictor,
    progress: Progress = silent,
    region: RegionChoice = EVERYWHERE,
) -> list[SegmentMask]:
    """Segment the prompted slices of a volume; all other slices stay empty.

    Each slice is encoded once, however many segments have prompts on it. Slices of several axes
    are united. Segments may overlap: each keeps all of its voxels. Of a ``region`` with bounds
    nothing outside is shown to the model, and nothing is written there.

    Raises:
        InputError: a prompt lies outside the volume or the region, or the image shows nothing.
    """
    check_inside(segments, volume.geometry, is_2d=volume.is_2d)
    check_in_region(segments, region, volume)
    normalisation = volume_normalisation(volume)
    masks = [np.zeros(volume.geometry.shape_kji, bool) for _ in segments]
    predictors = [predictor_for(predictor, entry.name) for entry in segments]
    wanted: dict[tuple[str, int], list[tuple[int, Prompts]]] = {}
    for number, entry in enumerate(segments):
        for place in entry.slices:
            wanted.setdefault((place.axis, place.index), []).append((number, place.prompts))
    for done, ((axis, index), prompts) in enumerate(wanted.items()):
        progress(done, len(wanted), f"slice {axis} {index}")
        window = region.window(axis, slice_size(volume.geometry.shape_kji, axis))
        embeddings: dict[str, Embedding] = {}
        for number, prompt in prompts:
            chosen = predictors[number]
            # Models of several segments share the encoder, unless that was taught as well.
            encoder = str(getattr(chosen, "encoder_key", ""))
            if encoder not in embeddings:
                depth = depth_of(chosen)
                pixels = shown_slices(volume, normalisation, axis, index, region, depth)
                embeddings[encoder] = chosen.encode(pixels)
            inside = window.seen_from_within(prompt)
            prediction = chosen.predict(embeddings[encoder], inside)
            window.cut(slice_of(masks[number], axis, index))[...] |= prediction.mask
    progress(len(wanted), len(wanted), "done")
    return [
        SegmentMask(entry.name, entry.color, mask)
        for entry, mask in zip(segments, masks, strict=True)
    ]


def check_in_region(
    segments: tuple[SegmentPrompts, ...], region: RegionChoice, volume: Volume
) -> None:
    """Check that a region lies in the volume, and every prompt in the region.

    Raises:
        InputError: names what is outside.
    """
    region.check_fits(volume.geometry.shape_ijk)
    for segment in segments:
        for entry in segment.slices:
            where = f"Segment {segment.name!r}, axis {entry.axis}, index {entry.index}: "
            if not region.has_slice(entry.axis, entry.index):
                msg = f"{where}the slice lies outside the region {region}."
                raise InputError(msg)
            size = slice_size(volume.geometry.shape_kji, entry.axis)
            try:
                region.window(entry.axis, size).check_inside(entry.prompts)
            except InputError as error:
                msg = f"{where}{error}"
                raise InputError(msg) from error


def normalised_slice(
    array_kji: NDArray[Any],
    normalisation: Normalisation,
    axis: str,
    index: int,
    window: Window | None = None,
) -> NDArray[np.uint8]:
    """One slice, or a part of it, as models take it: uint8, contiguous.

    Its shape is (rows, columns) or (rows, columns, 3).
    """
    values = slice_of(array_kji, axis, index)
    return np.ascontiguousarray(
        normalisation.apply(values if window is None else window.cut(values))
    )


def shown_slices(
    volume: Volume,
    normalisation: Normalisation,
    axis: str,
    index: int,
    region: RegionChoice = EVERYWHERE,
    depth: int = 1,
) -> NDArray[np.uint8]:
    """What a model that looks at so many slices is shown of a region: a slice, or a stack.

    See `neighbours`; what lies outside the region is never shown.
    """
    array, shape = volume.array_kji, volume.geometry.shape_kji
    window = region.window(axis, slice_size(shape, axis))
    if depth == 1:
        return normalised_slice(array, normalisation, axis, index, window)
    count = shape[check_axis(axis)]
    around = neighbours_of(index, depth, lambda n: 0 <= n < count and region.has_slice(axis, n))
    made = {n: normalised_slice(array, normalisation, axis, n, window) for n in {*around}}
    return stacked([made[n] for n in around])
