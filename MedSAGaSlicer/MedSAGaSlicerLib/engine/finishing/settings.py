"""How a volume is finished: each step can be left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from MedSAGaSlicerLib.errors import InputError


@dataclass(frozen=True)
class FinishSettings:
    """What is done with the masks of the single slices.

    Attributes:
        smooth: weigh each slice's evidence against that of its neighbours, as far as they are near.
        components: remove parts that are small beside the segment's largest part.
        holes: fill holes that are small beside the segment around them.
        smallest: what a part must have of the largest one's voxels to stay, 0 to 1.
        largest_hole: what a hole may have of the segment's voxels to be filled, 0 to 1.
        flips: segment each slice mirrored as well, for another opinion; doubles the time, and tells
            little of structures that are always on the same side of the picture.
    """

    smooth: bool = True
    components: bool = True
    holes: bool = True
    smallest: float = 0.1
    largest_hole: float = 0.1
    flips: bool = False

    def __post_init__(self) -> None:
        """Refuse shares that are none.

        Raises:
            InputError: says which.
        """
        for name in ("smallest", "largest_hole"):
            share = getattr(self, name)
            if not 0.0 <= share <= 1.0:
                msg = f"{name} is {share}; it is a share, 0 to 1."
                raise InputError(msg)

    @classmethod
    def raw(cls) -> FinishSettings:
        """Each slice as the model gives it."""
        return cls(smooth=False, components=False, holes=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FinishSettings:
        """What ``to_dict`` made.

        Raises:
            InputError: a value is unknown or out of range.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            msg = f"The settings {', '.join(unknown)} are unknown; known are {', '.join(known)}."
            raise InputError(msg)
        return cls(**values)
