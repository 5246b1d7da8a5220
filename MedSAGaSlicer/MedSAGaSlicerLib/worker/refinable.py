"""Which answers may still be refined, and when the worker may forget one."""

from collections.abc import Callable, Mapping

from MedSAGaSlicerLib.worker.protocol import frame
from MedSAGaSlicerLib.worker.requests import Decode, Request


class Refinable:
    """The decodes whose logits somebody may still ask for.

    The worker keeps the logits of every answer until it is told that they are no longer wanted.
    That is done when no outstanding decode refines them and none will: told earlier, the answer
    might not have been made yet, and would be kept for nothing.
    """

    def __init__(self, send: Callable[[bytes], None], outstanding: Mapping[int, Request]) -> None:
        """``send`` takes a frame for the worker, ``outstanding`` is what it owes by number."""
        self._send, self._outstanding = send, outstanding
        self._decodes: dict[int, Decode] = {}
        self._unwanted: set[int] = set()

    def add(self, decode: Decode) -> None:
        """Note a decode that was asked."""
        self._decodes[decode.number] = decode

    def get(self, number: int) -> Decode | None:
        """The decode of a number, None if it was released or never asked."""
        return self._decodes.get(number)

    def drop(self, number: int) -> bool:
        """Forget one that has no answer, or whose answer is not wanted; False if unknown."""
        return self._decodes.pop(number, None) is not None

    def release(self, number: int) -> None:
        """Forget one that was asked, and have the worker do so as soon as it can."""
        if self.drop(number):
            self._unwanted.add(number)
            self.give_back()

    def answered(self, number: int) -> None:
        """Note that the worker has logits under a number now, for whatever reason."""
        if number not in self._decodes:
            self._unwanted.add(number)
            self.give_back()

    def give_back(self) -> None:
        """Tell the worker what it need not keep; to be called when a decode is done with."""
        if not self._unwanted:
            return
        needed: set[int] = set()
        for request in self._outstanding.values():
            if isinstance(request, Decode):
                needed |= {request.number, *(one.number for one in request.ancestors())}
        for number in sorted(self._unwanted - needed):
            self._send(frame("release", logits_id=number))
        self._unwanted &= needed
