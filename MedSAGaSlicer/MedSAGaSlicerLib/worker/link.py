"""The client's connection to its worker: kept up, told about, and made anew after a crash."""

import math
import time
from collections.abc import Callable
from typing import Any

from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.worker.channel import Channel, ConnectionLostError
from MedSAGaSlicerLib.worker.events import Died, Event, Ready, Restarted
from MedSAGaSlicerLib.worker.ledger import Ledger
from MedSAGaSlicerLib.worker.protocol import frame
from MedSAGaSlicerLib.worker.requests import Load, describe

# A launcher that was killed shows by no pipe: look for it now and then while waiting.
LOOK_S = 0.05


class Link:
    """What an ``InferenceClient`` is made of beside what can be asked.

    ``input_size`` is the side of the model's input in pixels, None while it is not known.
    """

    def __init__(
        self, make_channel: Callable[[], Channel], hello: dict[str, Any], load: Load
    ) -> None:
        self._make_channel = make_channel
        self._hello = hello
        self._load = load
        self._events: list[Event] = []
        self._ledger = Ledger(self._send, self._events.append)
        self._channel: Channel | None = None
        self._introduced = False
        self.input_size: int | None = None

    def poll(self) -> list[Event]:
        """Send what can be sent, read what has come, and return the news. Never blocks."""
        try:
            self._exchange()
        except ConnectionLostError as lost:
            self._recover(lost)
        news = self._events[:]
        self._events.clear()
        for event in news:
            if isinstance(event, Ready):
                self.input_size = event.input_size
        return news

    def wait(self, request: int | None = None, timeout_s: float | None = None) -> list[Event]:
        """Poll until ``request`` is answered; without one, until nothing but prefetch is left.

        Returns all news in order, those of other requests too. After ``Died`` nothing is waited
        for. For scripts and tests: a GUI polls.

        Raises:
            WorkerError: ``timeout_s`` passed; the news so far comes with the next ``poll``.
        """
        limit = math.inf if timeout_s is None else time.monotonic() + timeout_s
        news = self.poll()
        ledger = self._ledger
        while self._channel and (ledger.busy if request is None else ledger.owes(request)):
            left_s = limit - time.monotonic()
            if left_s <= 0:
                self._events[:0] = news
                what = describe(ledger.outstanding.values())
                msg = f"The worker did not answer within {timeout_s:g} s while {what}."
                raise WorkerError(msg)
            self._channel.wait(min(left_s, LOOK_S))
            news += self.poll()
        return news

    @property
    def running(self) -> bool:
        """Whether the worker is up, starting, or being started again."""
        return self._channel is not None

    @property
    def busy(self) -> bool:
        """Whether an answer other than to ``prefetch`` is outstanding."""
        return self._ledger.busy

    @property
    def prefetching(self) -> bool:
        """Whether slices of the prefetch list are still without an embedding."""
        return self._ledger.prefetching

    def _number(self) -> int:
        if self._channel is None:
            msg = "The worker is not running. Start it first."
            raise WorkerError(msg)
        return self._ledger.next_number()

    def _send(self, data: bytes) -> None:
        # Before the handshake nothing is sent: all that is outstanding follows the hello.
        if self._channel is not None and self._introduced:
            self._channel.send(data)

    def _open(self) -> None:
        self._introduced = False
        self._channel = self._make_channel()

    def _exchange(self) -> None:
        if self._channel is None:
            return
        ledger = self._ledger
        messages = self._channel.poll(expecting=bool(ledger.outstanding))
        if self._channel.greeting is not None and not self._introduced:
            self._introduce(self._channel)
        try:
            for message in messages:
                ledger.take(message)
        except WorkerError as error:
            raise ConnectionLostError(str(error), restart=True) from error
        ledger.feed()

    def _introduce(self, channel: Channel) -> None:
        self._introduced = True
        fields = {**self._hello, **self._load.fields(), "request": self._load.number}
        channel.send(frame("hello", **fields))
        for request in self._ledger.outstanding.values():
            if request is not self._load:
                channel.send(request.frame())

    def _recover(self, lost: ConnectionLostError) -> None:
        if self._channel is None:
            return
        status, stderr = self._channel.close(grace_s=0.0)
        self._channel = None
        ledger = self._ledger
        doing = describe(ledger.outstanding.values())
        problem = str(lost)
        if lost.restart and ledger.allowance.take(ledger.outstanding):
            try:
                self._open()
            except WorkerError as error:
                problem = str(error)
            else:
                # The model is loaded first, whether or not somebody still waits for it.
                others = dict(ledger.outstanding)
                ledger.outstanding.clear()
                ledger.outstanding.update({self._load.number: self._load, **others})
                self._events.append(Restarted(doing, status, stderr))
                return
        message = f"{problem} It was {doing}."
        ledger.fail_all(message)
        self._events.append(Died(message, status, stderr))
