"""The parent's end of the inference worker: ask, poll, never wait unless told to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.worker.channel import Channel
from MedSAGaSlicerLib.worker.events import Decoded, Encoded, Found
from MedSAGaSlicerLib.worker.launch import python_command
from MedSAGaSlicerLib.worker.link import Link
from MedSAGaSlicerLib.worker.payloads import Mask, Pixels, pack_mask, pack_pixels, pack_prompts
from MedSAGaSlicerLib.worker.protocol import VERSION, frame
from MedSAGaSlicerLib.worker.requests import (
    AskStats,
    ClearCache,
    Decode,
    Encode,
    Find,
    Load,
    PixelSource,
    Survey,
)


class InferenceClient(Link):
    """Asks a worker process for embeddings and masks without ever blocking the caller.

    Requests return a number at once; their answers come as events from ``poll``, which a GUI
    calls by a timer (10 ms while ``busy``, 100 ms otherwise) and a script through ``wait``.
    Pixels are uint8, (rows, columns) or (rows, columns, 3), one slice, already normalised; for an
    adapter that looks at neighbours a stack of slices (``engine.neighbours``).
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
        precision: str | None = None,
        cache_folder: str | None = None,
        ram_bytes: int = 1 << 30,
        disk_bytes: int = 8 << 30,
        environment: Mapping[str, str] | None = None,
        predictor: str = "MedSAGaSlicerLib.engine.predictor:load_predictor",
        adapters: str = "MedSAGaSlicerLib.engine.teaching.adapters:load_adapter",
        start_limit_s: float = 120.0,
        silence_limit_s: float = 60.0,
    ) -> None:
        """Say how the worker shall be; nothing is started yet.

        ``command`` is the worker's complete command line (``launch.python_command``), None for
        this very Python. ``environment`` replaces the inherited one: give Slicer's start-up
        environment to any command other than PythonSlicer. ``model`` is a registry name or a
        path, ``adapter`` a folder, ``precision`` that of ``engine.predictor.load_predictor``, None
        for its usual one. ``cache_folder`` None is the usual place on the worker's machine;
        ``disk_bytes`` 0 keeps embeddings in memory only. ``predictor`` is the "module:function"
        that the worker calls to load a model, ``adapters`` the one that puts an adapter on it.
        ``start_limit_s`` is the time a worker has to introduce itself, ``silence_limit_s`` the
        longest it may leave a sign of life unanswered before it is taken for hung.
        """
        self.command = tuple(python_command() if command is None else command)
        self.environment = environment
        make_channel = partial(
            Channel,
            self.command,
            environment=environment,
            start_limit_s=start_limit_s,
            silence_limit_s=silence_limit_s,
        )
        self.cache_folder, self.disk_bytes = cache_folder, disk_bytes
        cache = {"folder": cache_folder, "ram_bytes": ram_bytes, "disk_bytes": disk_bytes}
        hello: dict[str, Any] = {"protocol": VERSION, "predictor": predictor, "cache": cache}
        hello |= {"adapters": adapters, "threads": threads, "precision": precision}
        self.precision = precision
        super().__init__(make_channel, hello, Load(0, model, adapter, device))

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
        self._events[:] = [e for e in self._events if not isinstance(e, Encoded | Decoded | Found)]
        return self._switch(replace(self._load, model=model, adapter=adapter))

    def use_device(self, device: str) -> int:
        """Move to another device; answered by ``Ready``, or ``Failed`` and it stays where it is.

        With "cpu" the memory of a graphics card is given back, for a lesson on a small one;
        prompts are answered all the same, more slowly. What is under way is answered after the
        move.
        """
        return self._switch(replace(self._load, device=device))

    def pause_prefetch(self, *, paused: bool) -> None:
        """Leave the prefetch list alone for the time being, as while a lesson needs the cores."""
        self._ledger.paused = paused

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
        taught: tuple[str, str] | None = None,
        mask: Mask | None = None,
    ) -> int:
        """Ask for the mask of one object on a slice; answered by ``Decoded`` or ``Failed``.

        Those on one slice are answered in the order asked. One whose slice is being embedded waits
        for it; one whose slice is unknown to the worker calls ``pixels``, its own or that of what
        it refines, or fails with kind "missing". ``previous`` is an earlier ``logits_id``, or the
        number of a decode not yet answered; the model is given its low-resolution mask as well.
        Instead of that, ``mask`` may be the mask that is expected, bool (rows, columns).
        With ``taught``, an adapter's folder and one of its segments, that adapter answers, and
        needs no prompts then; without, it is the model as it was loaded, bit for bit.

        Raises:
            InputError: ``previous`` was released or never asked for.
        """
        refined = None if previous is None else self._ledger.refinable.get(previous)
        if previous is not None and refined is None:
            msg = f"There is no answer {previous} to refine: it failed, was released or cancelled."
            raise InputError(msg)
        packed = pack_prompts(prompts)
        bits = None if mask is None else pack_mask(mask)
        return self._ledger.ask(Decode(self._number(), key, packed, pixels, refined, taught, bits))

    def find(self, key: str, adapter: str, segments: Sequence[str], *, pixels: PixelSource) -> int:
        """Ask what segments an adapter finds on a slice without prompts; answered by ``Found``.

        All in one answer, from one embedding. Otherwise as ``decode``.
        """
        asked = Find(self._number(), key, {}, pixels, None, (adapter, ""), segments=tuple(segments))
        return self._ledger.ask(asked)

    def cancel(self, request: int) -> None:
        """Forget a request: no event of it will come. One already answered is left alone."""
        self._ledger.cancel(request)

    def release(self, logits_id: int) -> None:
        """Say that no further ``decode`` will refine this answer; its memory is given back."""
        self._ledger.refinable.release(logits_id)

    def stats(self) -> int:
        """Ask for figures (cache sizes, hits, queue lengths); answered by ``Stats``."""
        return self._ledger.ask(AskStats(self._number()))

    def survey(self, slices: int, settings: Mapping[str, Any] | None = None) -> int:
        """Have the device tried, and lessons on so many slices planned; answered by ``Surveyed``.

        ``settings`` are the lessons', as ``TeachingConfig.to_dict`` has them; those left out, or
        all, are the usual ones. It goes behind what is asked about slices.
        """
        return self._ledger.ask(Survey(self._number(), slices, settings or {}))

    def clear_cache(self) -> int:
        """Delete every embedding from memory and disk; answered by ``Stats``."""
        return self._ledger.ask(ClearCache(self._number()))

    @property
    def model(self) -> str:
        """The model that was asked for last."""
        return self._load.model

    @property
    def device(self) -> str:
        """The device that was asked for last."""
        return self._load.device

    def _switch(self, load: Load) -> int:
        self._load = replace(load, number=self._ledger.next_number())
        return self.start() if self._channel is None else self._ledger.ask(self._load)
