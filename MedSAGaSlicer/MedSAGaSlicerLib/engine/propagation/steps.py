"""What goes in and out of a course: slices that are known, questions to a model, what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.prompts import Prompts
    from MedSAGaSlicerLib.engine.propagation.shapes import Map, Mask

    Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Known:
    """A slice whose mask is settled.

    ``pixels`` are there once it was looked at, ``given`` is the slice given at first that it came
    from. Of a given slice, ``behind`` is the next given one, if there are enough to tell from them
    how far the object goes.
    """

    index: int
    mask: Mask
    pixels: Pixels | None = None
    given: Known | None = None
    behind: Known | None = None

    @property
    def origin(self) -> Known:
        """The slice that was given: by prompts, or as confirmed."""
        return self if self.given is None else self.given


@dataclass(frozen=True, eq=False)
class Part:
    """One connected part of what is expected: its prompts, and its shape as the mask prompt."""

    prompts: Prompts
    mask: Mask | None


@dataclass(frozen=True, eq=False)
class Question:
    """What a model is to be asked about a slice; without parts it need not be asked.

    ``expected`` is the signed distance to the edge of what is expected there, ``sides`` what that
    came from: the slice before on this side, and with a second one the next known on the other.
    """

    index: int
    parts: tuple[Part, ...]
    expected: Map
    pixels: Pixels
    sides: tuple[Known, ...]
    blank: bool = False


class Answer(Protocol):
    """A model's answer to a part, see `engine.predictor.Prediction`."""

    @property
    def mask(self) -> Mask:
        """Of the slice: (rows, columns)."""

    @property
    def score(self) -> float:
        """The model's own estimate of the IoU."""


@dataclass(frozen=True, eq=False)
class Found:
    """A slice's mask, the model's score for it, and how well its answer fits what was expected.

    ``agreement`` is their intersection over union; both are 1 where no model was asked.
    """

    index: int
    mask: Mask
    score: float = 1.0
    agreement: float = 1.0
