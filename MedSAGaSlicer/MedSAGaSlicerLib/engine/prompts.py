"""What a person says about objects on slices: points and boxes, one object, one slice at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from MedSAGaSlicerLib.engine.geometry import Geometry, slice_size
from MedSAGaSlicerLib.errors import InputError

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Color = tuple[float, float, float]
MaskPrompt = NDArray[np.float32] | NDArray[np.bool_]
"""An earlier answer's logits (h, w), or a mask (rows, columns) of the slice that is expected."""


def is_mask(prompt: MaskPrompt) -> TypeGuard[NDArray[np.bool_]]:
    """Whether a mask prompt is a mask, and no logits."""
    return prompt.dtype == np.bool_


@dataclass(frozen=True)
class Prompts:
    """What a person says about one object on one slice.

    Coordinates are (column, row) of the slice, voxel centres at integers. ``positive`` has one
    entry per point. A box is (min column, min row, max column, max row), the first and the last
    voxel inside.
    """

    points: tuple[Point, ...] = ()
    positive: tuple[bool, ...] = ()
    box: Box | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is neither a point nor a box."""
        return not self.points and self.box is None

    def validate(self, size: tuple[int, int]) -> None:
        """Check the prompts against a slice of ``size`` = (rows, columns).

        Raises:
            InputError: something is outside the slice, not finite, contradictory or ill-formed.
        """
        if len(self.points) != len(self.positive):
            msg = (
                f"{len(self.points)} points came with {len(self.positive)} signs. Give each point "
                "one: positive (inside the object) or negative."
            )
            raise InputError(msg)
        for point in self.points:
            _check_inside(point, size, "The point")
        if self.box is not None:
            _check_box(self.box, size)
        self._check_contradictions()

    def _check_contradictions(self) -> None:
        signs: dict[tuple[int, int], bool] = {}
        for (a, b), positive in zip(self.points, self.positive, strict=True):
            voxel = math.floor(a + 0.5), math.floor(b + 0.5)
            if signs.setdefault(voxel, positive) != positive:
                msg = (
                    f"The voxel [{voxel[0]}, {voxel[1]}] is marked both positive and negative. "
                    "Remove one of the two points."
                )
                raise InputError(msg)


@dataclass(frozen=True)
class SlicePrompts:
    """The prompts on one slice: ``axis`` is its normal, ``index`` its voxel index along it."""

    axis: str
    index: int
    prompts: Prompts


@dataclass(frozen=True)
class SegmentPrompts:
    """One object's name, its colour (red, green, blue in 0..1) if given, and its prompts."""

    name: str
    color: Color | None
    slices: tuple[SlicePrompts, ...]


def check_inside(segments: tuple[SegmentPrompts, ...], geometry: Geometry, *, is_2d: bool) -> None:
    """Check that every prompt lies in the image.

    Raises:
        InputError: names the segment, the slice and what is outside.
    """
    for segment in segments:
        for entry in segment.slices:
            where = f"Segment {segment.name!r}, axis {entry.axis}, index {entry.index}: "
            count = geometry.shape_ijk["ijk".index(entry.axis)]
            if is_2d and (entry.axis, entry.index) != ("k", 0):
                msg = f"{where}the image is 2-D, its only slice is axis 'k', index 0."
                raise InputError(msg)
            if not entry.index < count:
                msg = f"{where}outside the volume, whose last index along it is {count - 1}."
                raise InputError(msg)
            try:
                entry.prompts.validate(slice_size(geometry.shape_kji, entry.axis))
            except InputError as error:
                msg = f"{where}{error}"
                raise InputError(msg) from error


def _check_inside(point: Point, size: tuple[int, int], what: str) -> None:
    rows, columns = size
    a, b = point
    # A voxel reaches half a step beyond its centre; NaN fails every comparison.
    if not (-0.5 <= a <= columns - 0.5 and -0.5 <= b <= rows - 0.5):
        msg = (
            f"{what} [{a:g}, {b:g}] lies outside the slice, which goes from [0, 0] to "
            f"[{columns - 1}, {rows - 1}]."
        )
        raise InputError(msg)


def _check_box(box: Box, size: tuple[int, int]) -> None:
    left, top, right, bottom = box
    if left > right or top > bottom:
        msg = (
            f"The box [{left:g}, {top:g}, {right:g}, {bottom:g}] is turned inside out. Give its "
            "lower corner first: [min, min, max, max]."
        )
        raise InputError(msg)
    _check_inside((left, top), size, "The box corner")
    _check_inside((right, bottom), size, "The box corner")


def is_ambiguous(prompts: Prompts, previous_logits: MaskPrompt | None) -> bool:
    """Whether it is a single positive point, which leaves open how much is meant."""
    alone = len(prompts.points) == 1 and prompts.box is None and previous_logits is None
    return alone and prompts.positive[0]
