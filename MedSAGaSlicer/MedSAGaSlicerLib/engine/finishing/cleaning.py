"""Cleaning up a finished volume in 3-D: the cleaners that the settings ask for, in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from MedSAGaSlicerLib.engine.finishing.components import (
    Cleaner,
    SmallHoles,
    SmallParts,
    reach_of,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.finishing.settings import FinishSettings

Read = Callable[[int], "NDArray[np.uint8]"]
Write = Callable[[int, "NDArray[np.uint8]"], None]


def clean_up(
    settings: FinishSettings,
    segments: int,
    slices: int,
    step_mm: float,
    pixel_mm: float,
    read: Read,
    write: Write,
) -> Iterator[None]:
    """Clean a labelled volume, a slice at each step of the iterator, so that others may work too.

    ``read`` gives a slice's labels, uint8 (rows, columns), ``write`` takes those that changed. What
    was written need not be what is read afterwards, and slices may be edited meanwhile: what is
    there counts.
    """
    cleaners: list[Cleaner] = []
    if settings.components:
        cleaners.append(SmallParts(segments, settings.smallest, reach_of(step_mm, pixel_mm)))
    if settings.holes:
        cleaners.append(SmallHoles(segments, settings.largest_hole, slices))
    for cleaner in cleaners:
        for index in range(slices):
            cleaner.survey(read(index))
            yield
        for index in range(slices):
            labels = read(index)
            cleaned = cleaner.cleaned(labels)
            if (cleaned != labels).any():
                write(index, cleaned)
            yield
