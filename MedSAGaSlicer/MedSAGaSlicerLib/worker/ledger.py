"""A client's book of what it asked and what came of it."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.worker.events import (
    Encoded,
    Event,
    Failed,
    Notice,
    Ready,
)
from MedSAGaSlicerLib.worker.payloads import pack_pixels
from MedSAGaSlicerLib.worker.prefetch import PrefetchList
from MedSAGaSlicerLib.worker.protocol import Message, frame
from MedSAGaSlicerLib.worker.refinable import Refinable
from MedSAGaSlicerLib.worker.requests import (
    Decode,
    Encode,
    PixelSource,
    Prefetch,
    Request,
)
from MedSAGaSlicerLib.worker.restarts import RestartAllowance

# A decode may first lack its slice and then what it refines; more than that goes round in circles.
_MAX_TRIES = 3


class Ledger:
    """Knows which answers are owed, repairs what the worker says it lacks, and tells the news.

    ``send`` takes a frame for the worker, and may drop it while there is none: all that is
    ``outstanding`` is sent once one is there. ``tell`` takes an event for the caller.
    """

    def __init__(self, send: Callable[[bytes], None], tell: Callable[[Event], None]) -> None:
        """An empty book."""
        self.outstanding: dict[int, Request] = {}
        self.allowance = RestartAllowance()
        self.paused = False
        self._send, self._tell = send, tell
        self.refinable = Refinable(send, self.outstanding)
        self._numbers = count(1)
        self._prefetch = PrefetchList()
        self._takers: dict[str, Callable[[Message], None]] = {
            "ready": self._take_ready,
            "encoded": self._take_encoded,
            "wanted": self._take_wanted,
            "decoded": self._take_decoded,
            "found": self._take_answer,
            "missing": self._take_missing,
            "error": self._take_error,
            "stats": self._take_answer,
            "surveyed": self._take_answer,
            "notice": self._take_notice,
        }

    @property
    def busy(self) -> bool:
        """Whether somebody waits for an answer."""
        return any(not request.ahead for request in self.outstanding.values())

    @property
    def prefetching(self) -> bool:
        """Whether slices of the prefetch list lack their embedding."""
        ahead = any(request.ahead for request in self.outstanding.values())
        return ahead or bool(self._prefetch.keys)

    def owes(self, number: int) -> bool:
        """Whether a request, or part of a prefetch, is unanswered."""
        if number in self.outstanding:
            return True
        encodes = [one for one in self.outstanding.values() if isinstance(one, Encode)]
        told_as = {encode.told_as for encode in encodes}
        return number in told_as or (number == self._prefetch.number and self.prefetching)

    def next_number(self) -> int:
        """A number that no request has had."""
        return next(self._numbers)

    def ask(self, request: Request) -> int:
        """Enter a request and send it; returns its number."""
        self.outstanding[request.number] = request
        if isinstance(request, Decode) and request.is_refinable:
            self.refinable.add(request)
        self._send(request.frame())
        return request.number

    def prefetch(self, number: int, slices: Sequence[tuple[str, PixelSource]]) -> int:
        """Replace the prefetch list; what is on its way and wanted again goes on."""
        wanted = {key for key, _ in slices}
        on_their_way = set()
        for request in list(self.outstanding.values()):
            if isinstance(request, Encode) and request.prefetch and request.key in wanted:
                request.told_as = number
                on_their_way.add(request.key)
            elif isinstance(request, (Encode, Prefetch)) and request.ahead:
                self.forget(request.number)
        rest = [(key, source) for key, source in slices if key not in on_their_way]
        self._prefetch.replace(number, rest)
        if rest:
            self.ask(Prefetch(number, self._prefetch.keys))
        return number

    def feed(self) -> None:
        """Send the next slices of the prefetch list if the worker has room for them."""
        while not self.paused and (following := self._prefetch.take(self._ahead())) is not None:
            key, source = following
            told_as = self._prefetch.number
            self._encode(key, source, told_as=told_as, failed_as=told_as, prefetch=True)

    def cancel(self, number: int) -> None:
        """Forget a request, or a whole prefetch."""
        if number == self._prefetch.number:
            self.prefetch(self.next_number(), [])
        self.refinable.drop(number)
        self.forget(number)

    def forget(self, number: int) -> None:
        """Take a request out of the book, and tell the worker so."""
        if self._settle({"request": number}, proves=False) is not None:
            self._send(frame("cancel", request=number))

    def forget_all(self) -> None:
        """Forget every request and the prefetch list. What can be refined stays so."""
        self.allowance = RestartAllowance()
        self._prefetch.replace(None, [])
        for number in list(self.outstanding):
            self.forget(number)

    def fail_all(self, message: str) -> None:
        """Tell of everything outstanding that no answer will come."""
        self.allowance = RestartAllowance()
        told: dict[int, None] = {}
        for request in self.outstanding.values():
            if request.known_as is not None:
                told[request.known_as] = None
        if self._prefetch.keys and self._prefetch.number is not None:
            told[self._prefetch.number] = None
        self.outstanding.clear()
        self._prefetch.replace(None, [])
        for number in told:
            self._tell(Failed(number, "died", message))

    def take(self, message: Message) -> None:
        """Enter an answer. Those to forgotten requests and of unknown types are dropped.

        Raises:
            WorkerError: the answer makes no sense.
        """
        taker = self._takers.get(message.type)
        if taker is not None:
            taker(message)

    def _take_ready(self, message: Message) -> None:
        header = message.header
        if self._settle(header, proves=False) is not None:
            names = ("request", "model", "adapter", "device", "encoder", "threads", "version")
            fields = {name: header[name] for name in (*names, "milliseconds")}
            self._tell(Ready(**fields, input_size=header.get("input_size")))

    def _take_encoded(self, message: Message) -> None:
        header = message.header
        request = self._settle(header)
        if request is not None:
            # Encoded for another reason before its turn to be prefetched: news to both.
            own = isinstance(request, Encode) and request.adapter is not None
            listed = not own and self._prefetch.remove(header["key"])
            ahead_of = self._prefetch.number if listed else None
            fields = {name: header[name] for name in ("key", "milliseconds", "cached")}
            for number in {request.known_as, ahead_of}:
                if number is not None:
                    self._tell(Encoded(number, **fields))

    def _take_wanted(self, message: Message) -> None:
        request = self._settle(message.header)
        if request is not None:
            for key in self._prefetch.answered(message.header["keys"]):
                self._tell(Encoded(request.number, key, 0.0, cached=True))

    def _take_decoded(self, message: Message) -> None:
        self._take_answer(message)
        self.refinable.answered(message.header["request"])

    def _take_answer(self, message: Message) -> None:
        request = self._settle(message.header)
        event = None if request is None else request.answer(message)
        if event is not None:
            self._tell(event)

    def _take_missing(self, message: Message) -> None:
        """The worker lost the slice or what is refined, or never had it: give both again."""
        header = message.header
        request = self.outstanding.get(header["request"])
        if not isinstance(request, Decode):
            return
        request.tries += 1
        ancestors = request.ancestors()
        # What it refines is mostly about the same slice: any of them can give that.
        family = [one for one in (request, *ancestors) if one.key == request.key]
        sources = [one.pixels for one in family if one.pixels is not None]
        adapter = header.get("adapter")
        lacking = header["embedding"] and not self._encodes(request.key, adapter)
        if request.tries > _MAX_TRIES or (lacking and not sources):
            text = "The slice has no embedding in the worker. Encode it first."
            self._fail(request.number, "missing", text)
            return
        number = request.number
        if lacking and not self._encode(
            request.key, sources[0], told_as=None, failed_as=number, adapter=adapter
        ):
            return
        if header["logits"]:
            for ancestor in ancestors:
                if ancestor.number not in self.outstanding:
                    ancestor.silent, ancestor.tries = True, 0
                    self.ask(ancestor)
        previous = request.previous
        if previous and previous.number in self.outstanding and previous.key != request.key:
            # Another slice may be on its way through the encoder for long: wait for its answer.
            request.deferred = True
            return
        # Behind what it needs, also when all is sent again to another worker.
        del self.outstanding[request.number]
        self.ask(request)

    def _take_error(self, message: Message) -> None:
        header = message.header
        if header["request"] is None:
            self._tell(Notice(header["kind"], header["message"]))
        else:
            self._fail(header["request"], header["kind"], header["message"])

    def _take_notice(self, message: Message) -> None:
        self._tell(Notice(message.header["kind"], message.header["message"]))

    def _settle(self, header: dict[str, Any], *, proves: bool = True) -> Request | None:
        request = self.outstanding.pop(header["request"], None)
        if request is not None:
            self.allowance.settled(request.number, proves=proves)
        for waiting in self.outstanding.values():
            if isinstance(waiting, Decode) and waiting.deferred and waiting.previous is request:
                waiting.deferred = False
                self._send(waiting.frame())
        self.refinable.give_back()
        return request

    def _fail(self, number: int, kind: str, message: str) -> None:
        request = self._settle({"request": number}, proves=kind != "no_model")
        if request is None:
            return
        if isinstance(request, Prefetch):
            self._prefetch.replace(None, [])
        if request.known_as is not None:
            self.refinable.drop(number)
            self._tell(Failed(request.known_as, kind, message))
        if isinstance(request, Encode):
            # Prompts on that slice fail for the same reason, not for lack of an embedding.
            for waiting in list(self.outstanding.values()):
                if isinstance(waiting, Decode) and waiting.key == request.key:
                    self._fail(waiting.number, kind, message)

    def _encode(
        self,
        key: str,
        source: PixelSource,
        *,
        told_as: int | None,
        failed_as: int | None,
        prefetch: bool = False,
        adapter: str | None = None,
    ) -> bool:
        """Get the pixels and send them; False if they cannot be had, which is told."""
        try:
            shape, body = pack_pixels(source())
        except InputError as error:
            if failed_as is not None:
                self.refinable.drop(failed_as)
                self.outstanding.pop(failed_as, None)
                self._tell(Failed(failed_as, "input", str(error)))
            return False
        self.ask(Encode(self.next_number(), key, shape, body, told_as, prefetch, adapter))
        return True

    def _encodes(self, key: str, adapter: str | None) -> bool:
        encodes = [one for one in self.outstanding.values() if isinstance(one, Encode)]
        return any((one.key, one.adapter) == (key, adapter) for one in encodes)

    def _ahead(self) -> int:
        requests = self.outstanding.values()
        return sum(isinstance(request, Encode) and request.prefetch for request in requests)
