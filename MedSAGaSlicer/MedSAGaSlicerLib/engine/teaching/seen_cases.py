"""Whether images took part in a lesson: a score on those says nothing about others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.geometry import check_axis, slice_size
from MedSAGaSlicerLib.engine.images import read_image
from MedSAGaSlicerLib.engine.regions.examples import shown_windows
from MedSAGaSlicerLib.engine.segmenting import normalised_slice, volume_normalisation
from MedSAGaSlicerLib.engine.teaching.adapter_folder import taught_region
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.cases import Case
    from MedSAGaSlicerLib.engine.teaching.adapter_folder import AdapterDescription


def refuse_seen(cases: Sequence[Case], description: AdapterDescription) -> None:
    """Refuse cases from which an adapter learned, whatever their files are called now.

    Raises:
        InputError: names them.
    """
    seen = [case.name for case in cases if _is_seen(case, description)]
    if seen:
        more = f" and {len(seen) - 5} more" if len(seen) > 5 else ""
        msg = (
            f"{description.folder} was taught on {', '.join(seen[:5])}{more}: their scores would "
            "be too good. Evaluate on other cases, or add --allow-seen."
        )
        raise InputError(msg)


def _is_seen(case: Case, description: AdapterDescription) -> bool:
    """By name, or by a slice that is the same pixel by pixel."""
    if any(entry["case"] == case.name for entry in description.cases):
        return True
    keys = description.taught_keys()
    places = {(p["axis"], int(p["index"])) for e in description.cases for p in e["slices"]}
    volume = read_image(case.image)
    normalisation = volume_normalisation(volume)
    shape = volume.geometry.shape_kji
    region = taught_region(description.folder)
    for axis, index in sorted(places):
        if index < shape[check_axis(axis)]:
            pixels = normalised_slice(volume.array_kji, normalisation, axis, index)
            windows = shown_windows(region, axis, slice_size(shape, axis))
            if any(slice_key(window.cut(pixels)) in keys for window in windows):
                return True
    return False
