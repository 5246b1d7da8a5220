"""Carries prompted slices through a volume, all segments together: for files, without Slicer."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from MedSAGaSlicerLib.engine.geometry import slice_of, slice_size
from MedSAGaSlicerLib.engine.neighbours import depth_of
from MedSAGaSlicerLib.engine.progress import Progress, silent
from MedSAGaSlicerLib.engine.prompts import check_inside
from MedSAGaSlicerLib.engine.propagation.course import Course
from MedSAGaSlicerLib.engine.propagation.names import TRACKED
from MedSAGaSlicerLib.engine.propagation.strategies import axis_of, guide_for, spacing_across
from MedSAGaSlicerLib.engine.segmentation_file import SegmentMask
from MedSAGaSlicerLib.engine.segmenting import (
    EVERYWHERE,
    SlicePredictor,
    check_in_region,
    predictor_for,
    shown_slices,
    volume_normalisation,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.embedding import Embedding
    from MedSAGaSlicerLib.engine.images import Volume
    from MedSAGaSlicerLib.engine.prompts import SegmentPrompts, SlicePrompts
    from MedSAGaSlicerLib.engine.propagation.guides import Guide
    from MedSAGaSlicerLib.engine.propagation.steps import Found
    from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
    from MedSAGaSlicerLib.engine.regions.window import Window

Place = tuple[str, int]

# Embeddings kept meanwhile: segments reach a slice at different times.
_KEPT_BYTES: Final = 256 << 20


class Slices:
    """A volume's slices as models take them, each encoded once as long as there is room."""

    def __init__(self, volume: Volume, region: RegionChoice = EVERYWHERE) -> None:
        self.volume, self.region = volume, region
        self._normalisation = volume_normalisation(volume)
        self._embeddings: OrderedDict[tuple[str, Place], Embedding] = OrderedDict()
        self._bytes = 0
        # Looked at, and then encoded.
        self._last: tuple[tuple[Place, int], NDArray[np.uint8]] | None = None

    def pixels(self, place: Place, depth: int = 1) -> NDArray[np.uint8]:
        """A slice, or what the region has of it: uint8 (rows, columns) or (rows, columns, 3).

        For a model that looks at more than one slice, a stack of so many.
        """
        if self._last is None or self._last[0] != (place, depth):
            known, (axis, index) = self._normalisation, place
            pixels = shown_slices(self.volume, known, axis, index, self.region, depth)
            self._last = (place, depth), pixels
        return self._last[1]

    def embedding(self, predictor: SlicePredictor, place: Place) -> Embedding:
        """The slice's embedding; models that share their encoder share it."""
        key = str(getattr(predictor, "encoder_key", "")), place
        if key in self._embeddings:
            self._embeddings.move_to_end(key)
            return self._embeddings[key]
        found = self._embeddings[key] = predictor.encode(self.pixels(place, depth_of(predictor)))
        self._bytes += found.features.nbytes
        while self._bytes > _KEPT_BYTES and len(self._embeddings) > 1:
            _, dropped = self._embeddings.popitem(last=False)
            self._bytes -= dropped.features.nbytes
        return found

    def has_embedding(self, place: Place) -> bool:
        """Whether some model's embedding of the slice is there."""
        return any(known == place for _, known in self._embeddings)

    def cut(self, mask_kji: NDArray[np.bool_], place: Place) -> NDArray[np.bool_]:
        """What lies on a slice, within the region, of a volume's mask; a view."""
        axis, index = place
        found: NDArray[np.bool_] = self.window(axis).cut(slice_of(mask_kji, axis, index))
        return found

    def reach(self, axis: str) -> range:
        """The slices along an axis that the region has."""
        count = self.volume.geometry.shape_ijk["ijk".index(axis)]
        inside = [index for index in range(count) if self.region.has_slice(axis, index)]
        return range(inside[0], inside[-1] + 1)

    def window(self, axis: str) -> Window:
        """What the region has of the slices along an axis."""
        return self.region.window(axis, slice_size(self.volume.geometry.shape_kji, axis))


@dataclass(eq=False)
class Journey:
    """A segment's course, the axis it runs along, and who answers."""

    axis: str
    course: Course
    predictor: SlicePredictor


def propagate(
    volume: Volume,
    segments: tuple[SegmentPrompts, ...],
    predictor: SlicePredictor,
    progress: Progress = silent,
    *,
    strategy: str = TRACKED,
    region: RegionChoice = EVERYWHERE,
) -> list[SegmentMask]:
    """Segment the prompted slices, and from these on both ways what belongs to the same objects.

    Each segment is carried along the axis on which most of its slices were prompted; what was
    prompted on other axes is united with it. The segments share the slices' embeddings. One whose
    prompts find nothing stays empty.

    Raises:
        InputError: a prompt lies outside the volume or the region, the image shows nothing, or the
            strategy is unknown.
    """
    check_inside(segments, volume.geometry, is_2d=volume.is_2d)
    check_in_region(segments, region, volume)
    slices = Slices(volume, region)
    masks = [np.zeros(volume.geometry.shape_kji, np.bool_) for _ in segments]
    journeys, numbers = [], []
    for number, (entry, mask) in enumerate(zip(segments, masks, strict=True)):
        model = predictor_for(predictor, entry.name)
        anchors: dict[Place, NDArray[np.bool_]] = {}
        for spot in entry.slices:
            place = spot.axis, spot.index
            anchors[place] = prompted(slices, model, spot)
            slices.cut(mask, place)[...] |= anchors[place]
        axis = axis_of(anchors)
        known = {index: anchors[axis, index] for along, index in anchors if along == axis}
        spacing = spacing_across(volume.geometry.spacing_mm, axis)
        guide = guide_for(strategy, spacing)
        if any(found.any() for found in known.values()):
            journeys.append(journey(slices, axis, known, guide, model))
            numbers.append(number)
    for way, found in travel(journeys, slices, progress):
        place = journeys[way].axis, found.index
        slices.cut(masks[numbers[way]], place)[...] |= found.mask
    return [
        SegmentMask(entry.name, entry.color, mask)
        for entry, mask in zip(segments, masks, strict=True)
    ]


def prompted(slices: Slices, model: SlicePredictor, spot: SlicePrompts) -> NDArray[np.bool_]:
    """What a model finds by the prompts on one slice."""
    place = spot.axis, spot.index
    inside = slices.window(spot.axis).seen_from_within(spot.prompts)
    return model.predict(slices.embedding(model, place), inside).mask


def journey(
    slices: Slices,
    axis: str,
    known: dict[int, NDArray[np.bool_]],
    guide: Guide,
    predictor: SlicePredictor,
    direction: str = "both",
) -> Journey:
    """Make ready to carry one segment along an axis from its known slices.

    Raises:
        InputError: see `Course`.
    """

    def look(index: int) -> NDArray[np.uint8]:
        return slices.pixels((axis, index))

    course = Course(known, slices.reach(axis), guide, look, direction=direction)
    return Journey(axis, course, predictor)


def travel(
    journeys: Sequence[Journey], slices: Slices, progress: Progress = silent
) -> Iterator[tuple[int, Found]]:
    """Carry segments through their slices; yields a journey's number and a slice found, as found.

    Segments that want the same slice are answered together, so that it is encoded once.
    """
    last: Place = "", 0
    while wanted := _wanted(journeys):
        done, total = (sum(n) for n in zip(*(j.course.progress for j in journeys), strict=True))
        last = _next(wanted, last, slices.has_embedding)
        axis, index = last
        progress(done, total, f"slice {axis} {index}")
        for number in wanted[last]:
            course, predictor = journeys[number].course, journeys[number].predictor
            answers = [
                predictor.predict(slices.embedding(predictor, last), part.prompts, part.mask)
                for part in course.question(index).parts
            ]
            for found in course.take(index, answers):
                yield number, found
    progress(1, 1, "done")


def _wanted(journeys: Sequence[Journey]) -> dict[Place, list[int]]:
    wanted: dict[Place, list[int]] = {}
    for number, one in enumerate(journeys):
        for index in one.course.wanted:
            wanted.setdefault((one.axis, index), []).append(number)
    return wanted


def _next(wanted: dict[Place, list[int]], last: Place, is_ready: Callable[[Place], bool]) -> Place:
    """The slice that is there already, else that most segments want, else the nearest one."""

    def worth(place: Place) -> tuple[bool, int, int]:
        near = abs(place[1] - last[1]) if place[0] == last[0] else 1 << 30
        return is_ready(place), len(wanted[place]), -near

    return max(wanted, key=worth)
