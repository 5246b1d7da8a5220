"""The stretches of slices that are to be found, and the ends that move through them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.propagation.steps import Known


class Front:
    """One end that moves: the last slice known, and slices passed over since.

    ``at`` is where it is, ``known`` what it goes by; ``live`` until it stops.
    """

    def __init__(self, known: Known, step: int) -> None:
        self.known, self.step = known, step
        self.at = known.index
        self.blank: list[int] = []
        self.live = bool(known.mask.any())
        self.asked: int | None = None

    @property
    def next(self) -> int:
        """The slice before it."""
        return self.at + self.step


class Span:
    """Slices between two known ones, or from one to where the volume ends.

    ``first`` and ``last`` are the outermost slices to be found.
    """

    def __init__(self, first: int, last: int, low: Known | None, high: Known | None) -> None:
        self.first, self.last = first, last
        self.up = None if low is None else Front(low, 1)
        self.down = None if high is None else Front(high, -1)
        self.meeting: float | None = None
        if low is not None and high is not None:
            # The larger side is the surer one: a mere tip says little about what is far from it.
            lows, highs = (math.sqrt(np.count_nonzero(side.mask)) for side in (low, high))
            part = lows / (lows + highs)
            self.meeting = low.index + math.floor(part * (high.index - low.index)) + 0.5

    @property
    def slices(self) -> range:
        """The slices to be found."""
        return range(self.first, self.last + 1)

    @property
    def fronts(self) -> list[Front]:
        """One or two."""
        return [front for front in (self.up, self.down) if front is not None]

    def other(self, front: Front) -> Front | None:
        """The front on the other side, if there is one."""
        return self.down if front is self.up else self.up

    def room(self, front: Front) -> bool:
        """Whether the front's next slice is still free."""
        other = self.other(front)
        if front.next not in self.slices:
            return False
        if other is None:
            return True
        edge = other.at if other.asked is None else other.asked
        free = (edge - front.next) * front.step > 0
        # What the other side stopped before is this side's to look at as well.
        if self.meeting is None or not other.live:
            return free
        return free and (self.meeting - front.next) * front.step > 0

    def sides(self, front: Front) -> tuple[Known, ...]:
        """What is known on this side, and on the other if that goes on towards here."""
        other = self.other(front)
        if other is None or not other.live:
            return (front.known,)
        return (front.known, other.known)
