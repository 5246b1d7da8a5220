"""What the worker does with each message; torch comes in only through the predictor it is given."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from MedSAGaSlicerLib import __version__
from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache, default_folder
from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.worker.failures import NoModelError, failure_of
from MedSAGaSlicerLib.worker.figures import figures, milliseconds_since, survey
from MedSAGaSlicerLib.worker.finding import find, pack_finding
from MedSAGaSlicerLib.worker.loaded_model import (
    LoadedModel,
    default_threads,
    give_back_memory,
    load,
    predict,
)
from MedSAGaSlicerLib.worker.payloads import pack_mask, unpack_pixels, unpack_prompts, with_mask
from MedSAGaSlicerLib.worker.protocol import Message, frame
from MedSAGaSlicerLib.worker.scheduler import PREFETCH, SWITCH, VISIBLE, Job, Lane

Header = dict[str, Any]


@dataclass(eq=False)
class _Encoding:
    """A slice on its way through an encoder: who asked, and which decodes wait for it."""

    job: Job
    requests: set[int] = field(default_factory=set)
    decodes: list[Header] = field(default_factory=list)


class Service:
    """Turns requests into answers on two lanes.

    While a model is being loaded, whatever needs one is held back and done afterwards in the
    order it came: nobody gets an answer of the former model.
    """

    def __init__(self, send: Callable[[bytes], None]) -> None:
        """``send`` takes the bytes of one frame; it is called from several threads."""
        self._send = send
        self._lock = threading.RLock()
        self._decode_lane, self._encode_lane = Lane("decode"), Lane("encode")
        self._decodes: dict[int, Job] = {}
        # By slice, and the adapter if it has an encoder of its own.
        self._encodings: dict[tuple[str, str | None], _Encoding] = {}
        self._held: list[Message] = []
        self._loading = 0
        self._model: LoadedModel | None = None
        self._hello: Header = {}
        self._cache = EmbeddingCache(None)
        self._told_problem: str | None = None
        self._counts = {"encoded": 0, "decoded": 0, "cached": 0}
        self._handlers: dict[str, Callable[[Message], None]] = {
            "hello": self._on_hello,
            "load": self._on_load,
            "encode": self._on_encode,
            "prefetch": self._on_prefetch,
            "decode": self._on_decode,
            "find": self._on_decode,
            "release": self._on_release,
            "cancel": self._on_cancel,
            "stats": self._on_stats,
            "survey": self._on_survey,
            "clear_cache": self._on_clear_cache,
            "ping": lambda _: self._say("pong"),
        }

    def handle(self, message: Message) -> None:
        """Do what a message asks, or queue it; failures are answered, never raised."""
        request = message.header.get("request")
        with self._lock:
            if self._loading and message.type in ("encode", "prefetch", "decode", "find"):
                self._held.append(message)
            elif message.type in self._handlers:
                self._guard(partial(self._handlers[message.type], message), lambda: [request])
            else:
                text = f"This worker ({__version__}) does not know the message {message.type!r}."
                self._fail(request, "unknown_message", text)

    def _on_hello(self, message: Message) -> None:
        self._hello = message.header
        cache = message.header["cache"]
        folder = Path(cache["folder"]) if cache["folder"] else default_folder()
        self._cache = EmbeddingCache(
            folder, ram_bytes=cache["ram_bytes"], disk_bytes=cache["disk_bytes"]
        )
        self._on_load(message)

    def _on_load(self, message: Message) -> None:
        self._loading += 1
        self._encode_lane.add(partial(self._run_load, message.header), SWITCH)

    def _run_load(self, header: Header) -> None:
        self._guard(partial(self._load, header), lambda: [header["request"]])
        with self._lock:
            self._loading -= 1
            if not self._loading:
                held, self._held = self._held, []
                for message in held:
                    self.handle(message)

    def _load(self, header: Header) -> None:
        begin = time.perf_counter()
        name, adapter, device = header["model"], header["adapter"], header["device"]
        threads = self._hello["threads"] or default_threads()
        make, adapt = self._hello["predictor"], self._hello["adapters"]
        precision = self._hello.get("precision")
        model = load(make, name, adapter, device, threads, adapt, precision)
        with self._lock:
            self._model = model
        give_back_memory()
        self._say(
            "ready",
            request=header["request"],
            model=name,
            adapter=adapter,
            device=str(getattr(model.predictor, "device", device)),
            encoder=model.encoder,
            input_size=getattr(model.predictor, "input_size", None),
            threads=threads,
            version=__version__,
            milliseconds=milliseconds_since(begin),
        )

    def _on_encode(self, message: Message) -> None:
        header = message.header
        key, request, adapter = header["key"], header["request"], header.get("adapter")
        priority = PREFETCH if header.get("prefetch") else VISIBLE
        encoding = self._encodings.get((key, adapter))
        encoder = self._loaded().taught(adapter).encoder_key
        # Read, not only looked for: a damaged one is noticed now, and the next prompt finds it.
        if encoding is None and self._cache.get(key, encoder) is not None:
            self._counts["cached"] += 1
            self._say("encoded", request=request, key=key, milliseconds=0.0, cached=True)
            return
        if encoding is None:
            run = partial(self._encode, (key, adapter), header["shape"], message.body)
            guarded = partial(self._guard, run, partial(self._abandon, (key, adapter)))
            encoding = _Encoding(self._encode_lane.add(guarded, priority))
            self._encodings[key, adapter] = encoding
        self._encode_lane.promote(encoding.job, priority)
        encoding.requests.add(request)

    def _encode(self, what: tuple[str, str | None], shape: list[int], body: bytes) -> None:
        begin = time.perf_counter()
        pixels, (key, adapter) = unpack_pixels(shape, body), what
        if slice_key(pixels) != key:
            # Stored under a wrong name it would answer for another slice ever after.
            msg = f"The slice does not have the key {key} it came with. Make the key of its pixels."
            raise InputError(msg)
        embedding = self._cache.keep(key, self._loaded().taught(adapter).encode(pixels))
        milliseconds = milliseconds_since(begin)
        with self._lock:
            encoding = self._encodings.pop(what)
            for header in encoding.decodes:
                self._queue_decode(header, embedding)
        self._counts["encoded"] += 1
        # To disk before it is announced: a worker killed afterwards has lost nothing.
        self._cache.store(key, embedding)
        self._tell_problem()
        for request in sorted(encoding.requests):
            self._say("encoded", request=request, key=key, milliseconds=milliseconds, cached=False)

    def _abandon(self, what: tuple[str, str | None]) -> list[int]:
        with self._lock:
            encoding = self._encodings.pop(what, None)
        if encoding is None:
            return []
        return sorted(encoding.requests) + [header["request"] for header in encoding.decodes]

    def _on_prefetch(self, message: Message) -> None:
        encoder = self._loaded().encoder
        keys = message.header["keys"]
        wanted = [key for key in keys if not self._cache.contains(key, encoder)]
        self._counts["cached"] += len(keys) - len(wanted)
        self._say("wanted", request=message.header["request"], keys=wanted)

    def _on_decode(self, message: Message) -> None:
        self._loaded()
        self._queue_decode(with_mask(message), None)

    def _queue_decode(self, header: Header, embedding: Embedding | None) -> None:
        request = header["request"]
        run = partial(self._decode, header, embedding)
        self._decodes[request] = self._decode_lane.add(partial(self._guard, run, lambda: [request]))

    def _decode(self, header: Header, embedding: Embedding | None) -> None:
        key, request, previous = header["key"], header["request"], header.get("previous")
        with self._lock:
            self._decodes.pop(request, None)
            model = self._loaded()
        # Read from disk at its first prompt; nobody but decodes waits meanwhile.
        predictor = model.taught(header.get("adapter"))
        own = None if predictor.encoder_key == model.encoder else header["adapter"]
        with self._lock:
            encoding = self._encodings.get((key, own))
            if embedding is None and encoding is not None:
                encoding.decodes.append(header)
                self._encode_lane.promote(encoding.job, VISIBLE)
                return
        if embedding is None:
            embedding = self._cache.get(key, predictor.encoder_key)
        logits = model.logits(previous)
        lost = previous is not None and logits is None
        if embedding is None or lost:
            fields = {"embedding": embedding is None, "logits": lost, "adapter": own}
            self._say("missing", request=request, **fields)
            return
        begin = time.perf_counter()
        if "segments" in header:
            fields, body = pack_finding(find(predictor, embedding, header["segments"]))
            self._counts["decoded"] += 1
            fields |= {"key": key, "milliseconds": milliseconds_since(begin)}
            self._say("found", body, request=request, **fields)
            return
        prompts = unpack_prompts(header["prompts"])
        prompts.validate(embedding.size)
        given = header.get("mask", logits)
        answer = predict(predictor, embedding, prompts, given, header.get("segment"))
        milliseconds = milliseconds_since(begin)
        model.keep_logits(request, answer.logits)
        self._counts["decoded"] += 1
        shape, body = pack_mask(answer.mask)
        fields = {"request": request, "key": key, "shape": shape, "milliseconds": milliseconds}
        self._say("decoded", body, score=float(answer.score), **fields)

    def _on_release(self, message: Message) -> None:
        # In the lane of the decodes, lest it overtakes one that refines just this answer.
        self._decode_lane.add(partial(self._release, message.header["logits_id"]))

    def _release(self, logits_id: int) -> None:
        if self._model is not None:
            self._model.release_logits(logits_id)

    def _on_cancel(self, message: Message) -> None:
        request = message.header["request"]
        self._held = [held for held in self._held if held.header.get("request") != request]
        if (job := self._decodes.pop(request, None)) is not None:
            self._decode_lane.cancel(job)
        for what, encoding in list(self._encodings.items()):
            encoding.requests.discard(request)
            encoding.decodes = [one for one in encoding.decodes if one["request"] != request]
            unwanted = not encoding.requests and not encoding.decodes
            if unwanted and self._encode_lane.cancel(encoding.job):
                del self._encodings[what]

    def _on_clear_cache(self, message: Message) -> None:
        self._cache.clear()
        self._on_stats(message)

    def _on_stats(self, message: Message) -> None:
        values = figures(self._cache, (self._encode_lane, self._decode_lane), self._model)
        self._say("stats", request=message.header["request"], values={**self._counts, **values})

    def _on_survey(self, message: Message) -> None:
        header = message.header
        request, slices, settings = header["request"], header["slices"], header["settings"]

        def run() -> None:
            values = survey(self._loaded(), slices, settings)
            self._say("surveyed", request=request, values=values)

        self._encode_lane.add(partial(self._guard, run, lambda: [request]), PREFETCH)

    def _loaded(self) -> LoadedModel:
        if self._model is None:
            msg = "No model is loaded. Load one first; why the last one failed was reported."
            raise NoModelError(msg)
        return self._model

    def _tell_problem(self) -> None:
        if self._cache.problem is not None and self._told_problem is None:
            self._say("notice", kind="cache", message=self._cache.problem)
        self._told_problem = self._cache.problem

    def _guard(
        self, action: Callable[[], None], requests: Callable[[], Iterable[int | None]]
    ) -> None:
        failure = failure_of(action)
        if failure is not None:
            for request in requests():
                self._fail(request, *failure)

    def _fail(self, request: int | None, kind: str, message: str) -> None:
        self._say("error", request=request, kind=kind, message=message)

    def _say(self, kind: str, body: bytes = b"", /, **fields: Any) -> None:
        self._send(frame(kind, body, **fields))
