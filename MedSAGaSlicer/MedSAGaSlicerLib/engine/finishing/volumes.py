"""Finishing a whole volume in one go, as the command line does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from MedSAGaSlicerLib.engine.finishing.axes import steps_of
from MedSAGaSlicerLib.engine.finishing.cleaning import clean_up
from MedSAGaSlicerLib.engine.finishing.evidence import Finding, mirrored_back, unknown
from MedSAGaSlicerLib.engine.finishing.finisher import FinishedSlice, Finisher, Opinion
from MedSAGaSlicerLib.engine.finishing.settings import FinishSettings
from MedSAGaSlicerLib.engine.geometry import check_axis, slice_of, slice_size
from MedSAGaSlicerLib.engine.neighbours import depth_of, mirrored
from MedSAGaSlicerLib.engine.progress import Progress, silent
from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.engine.review import Reviewed, suggest
from MedSAGaSlicerLib.engine.segmenting import EVERYWHERE, shown_slices, volume_normalisation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.embedding import Embedding
    from MedSAGaSlicerLib.engine.images import Volume

_SUGGESTED = 5


class Finder(Protocol):
    """What finishing asks of a model; `engine.teaching.taught.TaughtPredictor` is one."""

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Embed a normalised slice."""

    def find(self, embedding: Embedding, segments: Sequence[str]) -> Finding:
        """Find segments without prompts."""


@dataclass(frozen=True, eq=False)
class FinishedVolume:
    """Labels, and what is doubtful about them.

    Attributes:
        labels_kji: uint8 (k, j, i): 0, or 1, 2, ... for the segments.
        segments: their names, in order.
        axis: the slices' normal.
        opinions: how sure each slice is, in order.
    """

    labels_kji: NDArray[np.uint8]
    segments: tuple[str, ...]
    axis: str
    opinions: tuple[Opinion, ...]

    def suggestions(self, count: int = _SUGGESTED) -> list[Reviewed]:
        """The slices worth correcting next, the most useful first."""
        slices = [Reviewed(one.index, one.uncertainty, one.pooled) for one in self.opinions]
        return suggest(slices, [], count)


def finish_volume(
    volume: Volume,
    finder: Finder,
    segments: Sequence[str],
    settings: FinishSettings | None = None,
    *,
    axis: str = "k",
    region: RegionChoice = EVERYWHERE,
    progress: Progress = silent,
) -> FinishedVolume:
    """Segment every slice of a volume without prompts.

    Each slice is encoded once for all segments. Where segments compete for a pixel the surer one
    gets it. Beside the volume and its labels only a few slices are held. Of a ``region`` with
    bounds nothing outside is shown to the model, and nothing is found there.

    Raises:
        InputError: the image shows nothing, the axis is unknown, the model does not know a
            segment, or the region is not in the volume.
    """
    settings = settings or FinishSettings()
    normalisation = volume_normalisation(volume)
    region.check_fits(volume.geometry.shape_ijk)
    window = region.window(axis, slice_size(volume.geometry.shape_kji, axis))
    every = range(volume.geometry.shape_kji[check_axis(axis)])
    indices = [index for index in every if region.has_slice(axis, index)]
    count = len(indices)
    labels = np.zeros(volume.geometry.shape_kji, np.uint8)
    step_mm, pixel_mm = steps_of(volume.geometry, axis)
    finisher = Finisher(settings, step_mm, pixel_mm)
    opinions = []

    def part(index: int) -> NDArray[np.uint8]:
        return window.cut(slice_of(labels, axis, index))

    def keep(finished: Iterator[FinishedSlice]) -> None:
        for one in finished:
            part(one.index)[...] = one.labels
            opinions.append(one.opinion)

    for done, index in enumerate(indices):
        progress(done, count, f"slice {axis} {index}")
        pixels = shown_slices(volume, normalisation, axis, index, region, depth_of(finder))
        values = window.cut(slice_of(volume.array_kji, axis, index))
        found = _find(pixels, finder, segments, settings, known=bool(np.isfinite(values).any()))
        keep(finisher.feed(index, *found))
    keep(finisher.close())
    steps = clean_up(
        settings,
        len(segments),
        count,
        step_mm,
        pixel_mm,
        lambda index: part(indices[index]),
        lambda index, cleaned: np.copyto(part(indices[index]), cleaned),
    )
    progress(count, count, "cleaning up")
    for _ in steps:
        pass
    progress(count, count, "done")
    return FinishedVolume(labels, tuple(segments), axis, tuple(opinions))


def _find(
    pixels: NDArray[np.uint8],
    finder: Finder,
    segments: Sequence[str],
    settings: FinishSettings,
    *,
    known: bool,
) -> tuple[Finding, Finding | None]:
    """What is on a slice, and on its mirror image if that is asked for."""
    finding = finder.find(finder.encode(pixels), segments)
    if not known:
        # Nothing was measured there: nothing is known, and the neighbours may speak.
        finding = unknown(finding)
    if not settings.flips:
        return finding, None
    flipped = finder.find(finder.encode(mirrored(pixels)), segments)
    return finding, mirrored_back(flipped)
