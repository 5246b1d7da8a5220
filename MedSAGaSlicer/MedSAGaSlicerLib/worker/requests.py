"""What a client has asked for and must be able to ask again, of another worker process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from MedSAGaSlicerLib.worker.events import Decoded, Event, Found, Stats, Surveyed
from MedSAGaSlicerLib.worker.finding import unpack_finding
from MedSAGaSlicerLib.worker.payloads import unpack_mask
from MedSAGaSlicerLib.worker.protocol import Message, frame

PixelSource = Callable[[], npt.NDArray[np.uint8]]


@dataclass(eq=False)
class Request:
    """Something asked under a number that no other request has.

    ``type`` is the message's, ``doing`` says in words what the worker does with it.
    """

    type: ClassVar[str]
    doing: ClassVar[str]
    number: int

    def fields(self) -> dict[str, Any]:
        """The fields of the message beside its number."""
        return {}

    def frame(self) -> bytes:
        """The message that asks for it."""
        return frame(self.type, request=self.number, **self.fields())

    def answer(self, _message: Message) -> Event | None:
        """What the caller is told when this is answered; None if nothing.

        Raises:
            WorkerError: the answer makes no sense.
        """
        return None

    @property
    def ahead(self) -> bool:
        """Whether nobody waits for the answer."""
        return False

    @property
    def known_as(self) -> int | None:
        """The number under which the caller knows it; None if the caller does not know of it."""
        return self.number


@dataclass(eq=False)
class Load(Request):
    """Switch the model; the first one goes with the hello."""

    type = "load"
    doing = "loading a model"
    model: str
    adapter: str | None
    device: str

    def fields(self) -> dict[str, Any]:
        """What hello and load have in common."""
        return {"model": self.model, "adapter": self.adapter, "device": self.device}


@dataclass(eq=False)
class Encode(Request):
    """Embed a slice. Its answer is told under the number ``told_as``; None: not told at all.

    ``adapter`` is one that has its own encoder.
    """

    type = "encode"
    doing = "encoding a slice"
    key: str
    shape: list[int]
    body: bytes
    told_as: int | None
    prefetch: bool = False
    adapter: str | None = None

    def frame(self) -> bytes:
        """The message, with the pixels behind it."""
        fields = {"key": self.key, "shape": self.shape, "prefetch": self.prefetch}
        return frame(self.type, self.body, request=self.number, adapter=self.adapter, **fields)

    @property
    def ahead(self) -> bool:
        """Whether it was prefetched."""
        return self.prefetch

    @property
    def known_as(self) -> int | None:
        """What it was asked for as."""
        return self.told_as


@dataclass(eq=False)
class Prefetch(Request):
    """Ask which of these slices have no embedding yet."""

    type = "prefetch"
    doing = "looking into the cache"
    keys: list[str]

    def fields(self) -> dict[str, Any]:
        """The keys, in order."""
        return {"keys": self.keys}

    @property
    def ahead(self) -> bool:
        """Always."""
        return True


@dataclass(eq=False)
class Decode(Request):
    """Answer prompts. It holds on to what it refines, for its logits may have to be made anew.

    ``taught`` is the adapter that answers and the name by which it knows the segment.
    """

    type = "decode"
    doing = "decoding a prompt"
    key: str
    prompts: dict[str, Any]
    pixels: PixelSource | None
    previous: Decode | None
    taught: tuple[str, str] | None = None
    # What is expected, as ``payloads.pack_mask`` has it.
    mask: tuple[list[int], bytes] | None = None
    tries: int = 0
    # Sent again only for its logits: whoever asked has had the answer.
    silent: bool = False
    # Not sent again before what it refines is answered.
    deferred: bool = False

    def fields(self) -> dict[str, Any]:
        """Slice, prompts, the number of what it refines, and who answers."""
        previous = None if self.previous is None else self.previous.number
        fields: dict[str, Any] = {"key": self.key, "prompts": self.prompts, "previous": previous}
        if self.taught is not None:
            fields["adapter"], fields["segment"] = self.taught
        if self.mask is not None:
            fields["mask_shape"] = self.mask[0]
        return fields

    def frame(self) -> bytes:
        """The message, with the bits of the expected mask behind it if there is one."""
        body = b"" if self.mask is None else self.mask[1]
        return frame(self.type, body, request=self.number, **self.fields())

    @property
    def known_as(self) -> int | None:
        """Its number, unless it is asked again."""
        return None if self.silent else self.number

    @property
    def is_refinable(self) -> bool:
        """Whether somebody may ask to refine the answer."""
        return not self.silent

    def answer(self, message: Message) -> Event | None:
        """The mask, unless only its logits were wanted."""
        header = message.header
        if self.silent:
            return None
        mask = unpack_mask(header["shape"], message.body)
        number, milliseconds = self.number, header["milliseconds"]
        return Decoded(number, self.key, mask, header["score"], number, milliseconds)

    def ancestors(self) -> list[Decode]:
        """What it refines, directly and indirectly, the first one first."""
        found: list[Decode] = []
        ancestor = self.previous
        while ancestor is not None:
            found.insert(0, ancestor)
            ancestor = ancestor.previous
        return found


@dataclass(eq=False)
class Find(Decode):
    """Find ``segments`` of an adapter on a slice without prompts, all in one answer."""

    type = "find"
    doing = "segmenting a slice"
    segments: tuple[str, ...] = ()

    def fields(self) -> dict[str, Any]:
        """Slice and segments, and who answers."""
        adapter = None if self.taught is None else self.taught[0]
        return {"key": self.key, "adapter": adapter, "segments": list(self.segments)}

    @property
    def is_refinable(self) -> bool:
        """Never: there are no logits."""
        return False

    def answer(self, message: Message) -> Event | None:
        """What was found."""
        header = message.header
        finding = unpack_finding(header, message.body)
        return Found(self.number, self.key, finding, header["milliseconds"])


@dataclass(eq=False)
class AskStats(Request):
    """Ask for figures."""

    type = "stats"
    doing = "telling its figures"

    def answer(self, message: Message) -> Event | None:
        """The figures."""
        return Stats(self.number, message.header["values"])


@dataclass(eq=False)
class ClearCache(AskStats):
    """Delete all embeddings."""

    type = "clear_cache"
    doing = "deleting embeddings"


@dataclass(eq=False)
class Survey(Request):
    """Ask what the device can do, and what lessons on so many slices would need."""

    type = "survey"
    doing = "trying its device"
    slices: int
    settings: Mapping[str, Any]

    def fields(self) -> dict[str, Any]:
        """The number of slices, and the settings of the lessons."""
        return {"slices": self.slices, "settings": dict(self.settings)}

    @property
    def ahead(self) -> bool:
        """Nobody waits for it: it goes behind what is asked about slices."""
        return True

    def answer(self, message: Message) -> Event | None:
        """The figures."""
        return Surveyed(self.number, message.header["values"])


def describe(requests: Iterable[Request]) -> str:
    """Say in words what is under way, as in "encoding a slice (3), decoding a prompt"."""
    counts: dict[str, int] = {}
    for request in requests:
        counts[request.doing] = counts.get(request.doing, 0) + 1
    words = [text if count == 1 else f"{text} ({count})" for text, count in counts.items()]
    return ", ".join(words) or "nothing"
