"""What a client has asked for and must be able to ask again, of another worker process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from MedSAGaSlicerLib.worker.protocol import frame

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
        return fields

    @property
    def known_as(self) -> int | None:
        """Its number, unless it is asked again."""
        return None if self.silent else self.number

    def ancestors(self) -> list[Decode]:
        """What it refines, directly and indirectly, the first one first."""
        found: list[Decode] = []
        ancestor = self.previous
        while ancestor is not None:
            found.insert(0, ancestor)
            ancestor = ancestor.previous
        return found


@dataclass(eq=False)
class AskStats(Request):
    """Ask for figures."""

    type = "stats"
    doing = "telling its figures"


@dataclass(eq=False)
class ClearCache(Request):
    """Delete all embeddings."""

    type = "clear_cache"
    doing = "deleting embeddings"


def describe(requests: Iterable[Request]) -> str:
    """Say in words what is under way, as in "encoding a slice (3), decoding a prompt"."""
    counts: dict[str, int] = {}
    for request in requests:
        counts[request.doing] = counts.get(request.doing, 0) + 1
    words = [text if count == 1 else f"{text} ({count})" for text, count in counts.items()]
    return ", ".join(words) or "nothing"
