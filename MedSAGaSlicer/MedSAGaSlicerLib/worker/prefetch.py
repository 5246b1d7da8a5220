"""Which slices to embed ahead, and which of them to hand to the worker now."""

from collections.abc import Sequence

from MedSAGaSlicerLib.worker.requests import PixelSource

# One slice in the encoder and one behind it: the encoder never waits for a poll, and a list that
# is replaced leaves at most one slice that nobody wants any more.
AHEAD = 2


class PrefetchList:
    """An ordered list of slices, without those that have an embedding or are on their way."""

    def __init__(self) -> None:
        """The empty list."""
        self.number: int | None = None
        self._slices: dict[str, PixelSource] = {}
        self._asked = False

    def replace(self, number: int | None, slices: Sequence[tuple[str, PixelSource]]) -> None:
        """Take another list, asked for under another number."""
        self.number = number
        self._slices = {}
        for key, source in slices:
            self._slices.setdefault(key, source)
        self._asked = False

    @property
    def keys(self) -> list[str]:
        """The slices still to be sent, in order."""
        return list(self._slices)

    def answered(self, wanted: Sequence[str]) -> list[str]:
        """Keep only those that the worker lacks; returns the others."""
        lacking = set(wanted)
        present = [key for key in self._slices if key not in lacking]
        for key in present:
            del self._slices[key]
        self._asked = True
        return present

    def remove(self, key: str) -> bool:
        """Drop a slice that has its embedding or is on its way; False if it is not in the list."""
        return self._slices.pop(key, None) is not None

    def take(self, under_way: int) -> tuple[str, PixelSource] | None:
        """The next slice to send when ``under_way`` others have been; None if it is not time."""
        if not self._asked or under_way >= AHEAD or not self._slices:
            return None
        key = next(iter(self._slices))
        return key, self._slices.pop(key)
