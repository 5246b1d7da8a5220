"""The parent's end of the inference worker: ask, poll, never wait unless told to."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError, WorkerError
from MedSAGaSlicerLib.worker.channel import Channel, ConnectionLostError
from MedSAGaSlicerLib.worker.events import Decoded, Died, Encoded, Event, Restarted
from MedSAGaSlicerLib.worker.launch import python_command
from MedSAGaSlicerLib.worker.ledger import Ledger
from MedSAGaSlicerLib.worker.payloads import Pixels, pack_pixels, pack_prompts
from MedSAGaSlicerLib.worker.protocol import VERSION, frame
from MedSAGaSlicerLib.worker.requests import (
    AskStats,
    ClearCache,
    Decode,
    Encode,
    Load,
    PixelSource,
    describe,
)

# A launcher that was killed shows by no pipe: look for it now and then while waiting.
_LOOK_S = 0.05


class InferenceClient:
    """Asks a worker process for embeddings and masks without ever blocking the caller.

    Requests return a number at once; their answers come as events from ``poll``, which a GUI
    calls by a timer (10 ms while ``busy``, 100 ms otherwise) and a script through ``wait``.
    Pixels are uint8, (rows, columns) or (rows, columns, 3), one slice, already normalised.
    ``key`` is always ``engine.embedding_key.slice_key(pixels)``: the same pixels, the same key,
    whatever the model. Prompts are in that slice's (column, row) coordinates. All methods must
    be called from one thread.

        client = InferenceClient(model="starter")
        client.start()
        key = slice_key(pixels)
        client.encode(key, pixels)
        request = client.decode(key, Prompts(points=((64, 70),), positive=(True,)))
        (answer,) = [e for e in client.wait(request) if isinstance(e, Decoded)]
        client.stop()
    """

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        model: str = "starter",
        adapter: str | None = None,
        device: str = "auto",
        threads: int | None = None,
        cache_folder: str | None = None,
        ram_bytes: int = 1 << 30,
        disk_bytes: int = 8 << 30,
        environment: Mapping[str, str] | None = None,
        predictor: str = "MedSAGaSlicerLib.engine.predictor:load_predictor",
        start_limit_s: float = 120.0,
        silence_limit_s: float = 60.0,
    ) -> None:
        """Say how the worker shall be; nothing is started yet.

        ``command`` is the worker's complete command line (``launch.python_command``), None for
        this very Python. ``environment`` replaces the inherited one: give Slicer's start-up
        environment to any command other than PythonSlicer. ``model`` is a registry name or a
        path, ``adapter`` a folder. ``cache_folder`` None is the usual place on the worker's
        machine; ``disk_bytes`` 0 keeps embeddings in memory only. ``predictor`` is the
        "module:function" that the worker calls to load a model. ``start_limit_s`` is the time a
        worker has to introduce itself, ``silence_limit_s`` the longest it may leave a sign of
        life unanswered before it is taken for hung.
        """
        self._make_channel = partial(
            Channel,
            python_command() if command is None else list(command),
            environment=environment,
            start_limit_s=start_limit_s,
            silence_limit_s=silence_limit_s,
        )
        cache = {"folder": cache_folder, "ram_bytes": ram_bytes, "disk_bytes": disk_bytes}
        self._hello: dict[str, Any] = {"protocol": VERSION, "predictor": predictor, "cache": cache}
        self._hello |= {"device": device, "threads": threads}
        self._load = Load(0, model, adapter)
        self._events: list[Event] = []
        self._ledger = Ledger(self._send, self._events.append)
        self._channel: Channel | None = None
        self._introduced = False

    def start(self) -> int:
        """Start the worker and have it load the model; the request number of the ``Ready``.

        May be called again after ``stop`` or ``Died``. Does nothing but return the number while
        the worker is up.

        Raises:
            WorkerError: the command cannot be run.
        """
        if self._channel is None:
            self._load = replace(self._load, number=self._ledger.next_number())
            self._open()
            self._ledger.ask(self._load)
        return self._load.number

    def stop(self, grace_s: float = 2.0) -> None:
        """End the worker and whatever it started; no process is left. May be called twice.

        Nothing is reported of requests still under way. Takes up to ``grace_s`` seconds.
        """
        if self._channel is not None:
            self._send(frame("shutdown"))
            self._channel.close(grace_s)
        self._channel = None
        self._ledger.forget_all()

    def load_model(self, model: str, adapter: str | None = None) -> int:
        """Switch the model; answered by ``Ready`` or ``Failed`` (then the old one stays).

        Every request still under way is forgotten first, the prefetch list too: masks of the old
        model never arrive after this call. Ask anew for what is wanted, at once if you like.
        Logits ids stay valid: what they stand for is decoded anew by the new model when needed.
        """
        self._ledger.forget_all()
        self._events[:] = [e for e in self._events if not isinstance(e, Encoded | Decoded)]
        self._load = Load(self._ledger.next_number(), model, adapter)
        return self.start() if self._channel is None else self._ledger.ask(self._load)

    def encode(self, key: str, pixels: Pixels) -> int:
        """Embed a slice the person looks at; answered by ``Encoded`` or ``Failed``.

        Goes before all prefetching. A slice that is being embedded already, or is in the cache,
        is not embedded again. ``pixels`` is copied.
        """
        shape, body = pack_pixels(pixels)
        number = self._number()
        return self._ledger.ask(Encode(number, key, shape, body, told_as=number))

    def prefetch(self, slices: Sequence[tuple[str, PixelSource]]) -> int:
        """Embed slices while there is nothing better to do, in this order.

        Replaces the former list: what is in both is kept and not begun again, the rest is
        dropped unless it runs already; an empty list stops prefetching. One ``Encoded`` per
        slice comes, at once for those in the cache; slices of a dropped list get none.
        A source is called once, from ``poll`` or ``wait``, shortly before its turn; when it
        raises ``InputError`` the slice gets a ``Failed`` and the rest goes on.
        """
        return self._ledger.prefetch(self._number(), slices)

    def decode(
        self,
        key: str,
        prompts: Prompts,
        *,
        pixels: PixelSource | None = None,
        previous: int | None = None,
    ) -> int:
        """Ask for the mask of one object on a slice; answered by ``Decoded`` or ``Failed``.

        Those on one slice are answered in the order asked. One whose slice is being embedded waits
        for it; one whose slice is unknown to the worker calls ``pixels``, its own or that of what
        it refines, or fails with kind "missing". ``previous`` is an earlier ``logits_id``, or the
        number of a decode not yet answered; the model is given its low-resolution mask as well.

        Raises:
            InputError: ``previous`` was released or never asked for.
        """
        refined = None if previous is None else self._ledger.refinable.get(previous)
        if previous is not None and refined is None:
            msg = f"There is no answer {previous} to refine: it failed, was released or cancelled."
            raise InputError(msg)
        packed = pack_prompts(prompts)
        return self._ledger.ask(Decode(self._number(), key, packed, pixels, refined))

    def cancel(self, request: int) -> None:
        """Forget a request: no event of it will come. One already answered is left alone."""
        self._ledger.cancel(request)

    def release(self, logits_id: int) -> None:
        """Say that no further ``decode`` will refine this answer; its memory is given back."""
        if self._ledger.refinable.pop(logits_id, None) is not None:
            self._send(frame("release", logits_id=logits_id))

    def stats(self) -> int:
        """Ask for figures (cache sizes, hits, queue lengths); answered by ``Stats``."""
        return self._ledger.ask(AskStats(self._number()))

    def clear_cache(self) -> int:
        """Delete every embedding from memory and disk; answered by ``Stats``."""
        return self._ledger.ask(ClearCache(self._number()))

    def poll(self) -> list[Event]:
        """Send what can be sent, read what has come, and return the news. Never blocks."""
        try:
            self._exchange()
        except ConnectionLostError as lost:
            self._recover(lost)
        news = self._events[:]
        self._events.clear()
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
            self._channel.wait(min(left_s, _LOOK_S))
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
                ledger.outstanding = {self._load.number: self._load, **ledger.outstanding}
                self._events.append(Restarted(doing, status, stderr))
                return
        message = f"{problem} It was {doing}."
        ledger.fail_all(message)
        self._events.append(Died(message, status, stderr))
