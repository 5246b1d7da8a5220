"""Finishing a whole volume in one go, as the command line does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from MedSAGaSlicerLib.engine.finishing.axes import steps_of
from MedSAGaSlicerLib.engine.finishing.cleaning import clean_up
from MedSAGaSlicerLib.engine.finishing.evidence import Finding, mirrored_back, unknown
from MedSAGaSlicerLib.engine.finishing.finisher import FinishedSlice, Finisher, Opinion
from MedSAGaSlicerLib.engine.finishing.settings import FinishSettings
from MedSAGaSlicerLib.engine.geometry import check_axis, slice_of
from MedSAGaSlicerLib.engine.progress import Progress, silent
from MedSAGaSlicerLib.engine.review import Reviewed, suggest
from MedSAGaSlicerLib.engine.segmenting import normalised_slice, volume_normalisation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.embedding import Embedding
    from MedSAGaSlicerLib.engine.images import Volume
    from MedSAGaSlicerLib.engine.intensity import Normalisation

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
    progress: Progress = silent,
) -> FinishedVolume:
    """Segment every slice of a volume without prompts.

    Each slice is encoded once for all segments. Where segments compete for a pixel the surer one
    gets it. Beside the volume and its labels only a few slices are held.

    Raises:
        InputError: the image shows nothing, the axis is unknown, or the model does not know a
            segment.
    """
    settings = settings or FinishSettings()
    normalisation = volume_normalisation(volume)
    position = check_axis(axis)
    count = volume.geometry.shape_kji[position]
    labels = np.zeros(volume.geometry.shape_kji, np.uint8)
    step_mm, pixel_mm = steps_of(volume.geometry, axis)
    finisher = Finisher(settings, step_mm, pixel_mm)
    opinions = []

    def keep(finished: Iterator[FinishedSlice]) -> None:
        for one in finished:
            slice_of(labels, axis, one.index)[...] = one.labels
            opinions.append(one.opinion)

    for index in range(count):
        progress(index, count, f"slice {axis} {index}")
        found = _find(volume.array_kji, normalisation, axis, index, finder, segments, settings)
        keep(finisher.feed(index, *found))
    keep(finisher.close())
    steps = clean_up(
        settings,
        len(segments),
        count,
        step_mm,
        pixel_mm,
        lambda index: slice_of(labels, axis, index),
        lambda index, cleaned: np.copyto(slice_of(labels, axis, index), cleaned),
    )
    for _ in steps:
        progress(count, count, "cleaning up")
    progress(count, count, "done")
    return FinishedVolume(labels, tuple(segments), axis, tuple(opinions))


def _find(
    array_kji: NDArray[Any],
    normalisation: Normalisation,
    axis: str,
    index: int,
    finder: Finder,
    segments: Sequence[str],
    settings: FinishSettings,
) -> tuple[Finding, Finding | None]:
    """What is on a slice, and on its mirror image if that is asked for."""
    pixels = normalised_slice(array_kji, normalisation, axis, index)
    finding = finder.find(finder.encode(pixels), segments)
    if not np.isfinite(slice_of(array_kji, axis, index)).any():
        # Nothing was measured there: nothing is known, and the neighbours may speak.
        finding = unknown(finding)
    if not settings.flips:
        return finding, None
    flipped = finder.find(finder.encode(np.ascontiguousarray(pixels[:, ::-1])), segments)
    return finding, mirrored_back(flipped)
