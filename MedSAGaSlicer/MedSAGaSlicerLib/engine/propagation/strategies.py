"""The ways to propagate by name: ours, and those that it is measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from MedSAGaSlicerLib.engine.geometry import AXES
from MedSAGaSlicerLib.engine.propagation.guides import (
    BoxInterpolationGuide,
    PreviousBoxGuide,
    ShapeInterpolationGuide,
)
from MedSAGaSlicerLib.engine.propagation.names import (
    BOX_INTERPOLATION,
    PREVIOUS_BOX,
    SHAPE_INTERPOLATION,
    STRATEGIES,
    TRACKED,
)
from MedSAGaSlicerLib.engine.propagation.tracking import TrackedGuide
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from MedSAGaSlicerLib.engine.propagation.guides import Guide


def guide_for(strategy: str, spacing_mm: tuple[float, float, float]) -> Guide:
    """The guide of a strategy; ``spacing_mm`` is that of (slices, rows, columns).

    Raises:
        InputError: there is no such strategy.
    """
    if strategy == TRACKED:
        return TrackedGuide(spacing_mm)
    if strategy == PREVIOUS_BOX:
        return PreviousBoxGuide()
    if strategy == BOX_INTERPOLATION:
        return BoxInterpolationGuide()
    if strategy == SHAPE_INTERPOLATION:
        return ShapeInterpolationGuide()
    msg = f"The strategy {strategy!r} is unknown; choose one of {', '.join(STRATEGIES)}."
    raise InputError(msg)


def spacing_across(
    spacing_ijk_mm: tuple[float, float, float], axis: str
) -> tuple[float, float, float]:
    """The spacing of slices along an axis, of their rows and of their columns, in mm."""
    across = dict(zip("ijk", spacing_ijk_mm, strict=True))
    column, row = (name for name in "ijk" if name != axis)
    return across[axis], across[row], across[column]


def axis_of(places: Iterable[tuple[str, int]]) -> str:
    """The axis along which most of the slices (axis, index) lie; of equals the first of k, j, i."""
    counts = dict.fromkeys(AXES, 0)
    for axis, _ in places:
        counts[axis] += 1
    return max(AXES, key=lambda axis: counts[axis])
