"""What a model is taught with: confirmed slices, each with its masks, as plain arrays.

Only slices that a person confirmed are examples; a slice confirmed as empty is one as well. Cases
carry neutral names ("volume 1"): patients' names have no place here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from MedSAGaSlicerLib.engine.embedding_key import check_slice, slice_key
from MedSAGaSlicerLib.engine.geometry import check_axis
from MedSAGaSlicerLib.engine.neighbours import among, check_neighbours
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.intensity import Normalisation

Place = tuple[str, str, int]
"""Case, axis and index: what names a slice."""


@dataclass(frozen=True, eq=False)
class Example:
    """One confirmed slice.

    Attributes:
        case: neutral name of its volume, the same for all slices of one volume.
        axis, index: the slice's normal and its voxel index along it.
        pixels: uint8, (rows, columns) or (rows, columns, 3), after `normalisation`.
        masks: bool (rows, columns) of each segment that was confirmed here; empty ones say that
            the segment is not here. Segments may overlap. One that is missing is not known here.
        normalisation: of the whole volume.
        spacing_mm: (row, column) distance of pixel centres.
        step_mm: distance to the neighbouring slice.
        prompts: what the person gave, by segment; in slice coordinates (column, row).
        neighbours: uint8 (2 n, rows, columns, 1 or 3): the n slices before and the n after it, see
            `engine.neighbours`; None if they were not kept.
    """

    case: str
    axis: str
    index: int
    pixels: NDArray[np.uint8]
    masks: Mapping[str, NDArray[np.bool_]]
    normalisation: Normalisation
    spacing_mm: tuple[float, float] = (1.0, 1.0)
    step_mm: float = 1.0
    prompts: Mapping[str, Prompts] = field(default_factory=lambda: MappingProxyType({}))
    neighbours: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        """Refuse what does not fit together.

        Raises:
            InputError: the pixels are no slice, a mask, a prompt or the neighbours do not fit
                them, or there is no mask.
        """
        check_axis(self.axis)
        check_slice(self.pixels)
        if self.neighbours is not None:
            check_neighbours(self.pixels, self.neighbours)
        if not self.masks:
            msg = f"{self} has no mask: confirm a segment on it, empty or not."
            raise InputError(msg)
        for name, mask in self.masks.items():
            if mask.dtype != np.bool_ or mask.shape != self.size:
                msg = (
                    f"The mask of {name!r} on {self} is {mask.dtype} of {mask.shape}, the slice "
                    f"has {self.size}. Give a bool mask on the slice's own grid."
                )
                raise InputError(msg)
        for name, prompts in self.prompts.items():
            if name not in self.masks:
                msg = f"{self} has prompts for {name!r} but no mask of it. Confirm or remove it."
                raise InputError(msg)
            prompts.validate(self.size)

    def __str__(self) -> str:
        """As messages name it."""
        return f"the slice {self.axis} {self.index} of {self.case}"

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def place(self) -> Place:
        """What names it among the examples."""
        return self.case, self.axis, self.index

    @cached_property
    def key(self) -> str:
        """The slice's part of its embedding's key: of its pixels and nothing else."""
        return slice_key(self.pixels)

    @property
    def depth(self) -> int:
        """The most slices that it can show together, itself in the middle."""
        return 1 if self.neighbours is None else 1 + len(self.neighbours)

    def around(self, depth: int) -> NDArray[np.uint8]:
        """The neighbours (depth - 1, rows, columns, channels) of a stack of so many slices.

        Raises:
            InputError: there are not enough.
        """
        if self.neighbours is None or depth > self.depth:
            msg = (
                f"{self} was kept without its neighbours, of which a lesson with depth {depth} "
                f"needs {depth - 1}. Teach with depth 1, or leave out what was kept without."
            )
            raise InputError(msg)
        spare = (self.depth - depth) // 2
        return self.neighbours[spare : len(self.neighbours) - spare]

    def shown(self, depth: int) -> NDArray[np.uint8]:
        """What an encoder that looks at so many slices is shown.

        Raises:
            InputError: there are not enough neighbours.
        """
        return self.pixels if depth == 1 else among(self.pixels, self.around(depth))

    @property
    def is_empty(self) -> bool:
        """Whether no segment is here."""
        return not any(mask.any() for mask in self.masks.values())


@dataclass(frozen=True, eq=False)
class ExampleSet:
    """The examples of one lesson, and the segments to be taught, in the person's order."""

    segments: tuple[str, ...]
    examples: tuple[Example, ...]

    def __post_init__(self) -> None:
        """Refuse what cannot be taught.

        Raises:
            InputError: no segment, an unknown or repeated one, a slice that comes twice, or a
                segment without a single pixel.
        """
        if not self.segments or len(set(self.segments)) != len(self.segments):
            msg = f"The segments {list(self.segments)} are none, or one of them comes twice."
            raise InputError(msg)
        seen: set[Place] = set()
        for example in self.examples:
            unknown = sorted(set(example.masks) - set(self.segments))
            if unknown:
                msg = (
                    f"There is a mask of {unknown[0]!r} on {example}, but the segments are "
                    f"{', '.join(self.segments)}. Was it renamed? Export the examples again."
                )
                raise InputError(msg)
            if example.place in seen:
                msg = f"There are two examples of {example}. Keep one of them."
                raise InputError(msg)
            seen.add(example.place)
        for name in self.segments:
            if not self.with_segment(name):
                msg = (
                    f"None of the {len(self.examples)} confirmed slices shows {name!r}: there is "
                    "nothing to learn. Confirm a slice with it, or leave it out."
                )
                raise InputError(msg)

    def with_segment(self, name: str) -> tuple[Example, ...]:
        """The examples on which a segment has pixels."""
        return tuple(e for e in self.examples if name in e.masks and e.masks[name].any())

    def provenance(self) -> list[dict[str, Any]]:
        """Cases and slices for a report: names, places and keys, plain values."""
        cases: dict[str, list[Example]] = {}
        for example in self.examples:
            cases.setdefault(example.case, []).append(example)
        return [
            {
                "case": case,
                "slices": [{"axis": e.axis, "index": e.index, "key": e.key} for e in examples],
            }
            for case, examples in cases.items()
        ]


def merged(sets: tuple[ExampleSet, ...], segments: tuple[str, ...]) -> ExampleSet:
    """Examples of several sets as one lesson on the given segments.

    Equal case names of different sets do not mean equal volumes: sets after the first get their
    number in front. Masks of other segments are left out, and slices that have no others.

    Raises:
        InputError: nothing remains that could be taught.
    """
    examples: dict[str, Example] = {}
    for number, part in enumerate(sets):
        for example in part.examples:
            masks = {name: mask for name, mask in example.masks.items() if name in segments}
            # The same pixels again, from a scene that was taught before: the first counts.
            if masks and example.key not in examples:
                prompts = {name: given for name, given in example.prompts.items() if name in masks}
                case = f"{number}: {example.case}" if number else example.case
                examples[example.key] = replace(example, case=case, masks=masks, prompts=prompts)
    return ExampleSet(segments, tuple(examples.values()))
