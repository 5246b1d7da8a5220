"""Along which axis a volume is finished, and how far it is from slice to slice there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.geometry import Geometry
    from MedSAGaSlicerLib.engine.teaching.adapter_folder import AdapterDescription


def taught_axis(description: AdapterDescription) -> str:
    """The axis along which an adapter saw most slices."""
    axes = Counter(str(part["axis"]) for case in description.cases for part in case["slices"])
    return axes.most_common(1)[0][0] if axes else "k"


def steps_of(geometry: Geometry, axis: str) -> tuple[float, float]:
    """Millimetres from slice to slice, and from pixel to pixel on a slice (geometric mean)."""
    normal = "ijk".index(axis)
    columns, rows = (step for at, step in enumerate(geometry.spacing_mm) if at != normal)
    return geometry.spacing_mm[normal], float(np.sqrt(columns * rows))
