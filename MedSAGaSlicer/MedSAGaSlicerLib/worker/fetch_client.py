"""The parent's end of a download: begin, poll, stop; never wait."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.worker.channel import Channel
from MedSAGaSlicerLib.worker.launch import python_command
from MedSAGaSlicerLib.worker.protocol import Message, frame

if TYPE_CHECKING:
    from collections.abc import Mapping

FETCHING: Final = "MedSAGaSlicerLib.worker.fetch_main"


@dataclass(frozen=True)
class Fetching:
    """``done`` bytes of ``total`` are here; ``total`` is None if nobody knows."""

    done: int
    total: int | None


@dataclass(frozen=True)
class Fetched:
    """The download has ended: ``path`` is the file, None if it was stopped."""

    path: Path | None


@dataclass(frozen=True)
class FetchFailed:
    """It has ended without a file; ``message`` says why, and what to do."""

    message: str


FetchEvent = Fetching | Fetched | FetchFailed


class FetchClient:
    """Downloads a registered model in a process of its own, for downloads take minutes.

    One at a time; it ends with exactly one ``Fetched`` or ``FetchFailed``. What came of one that
    was stopped, or broke off, is kept, and the next one goes on from there.
    """

    def __init__(
        self,
        *,
        environment: Mapping[str, str] | None = None,
        transport: str = "MedSAGaSlicerLib.engine.downloads:fetch_https",
    ) -> None:
        """Nothing is started yet; ``transport`` is the "module:function" that asks the network."""
        self._environment, self._transport = environment, transport
        self._channel: Channel | None = None
        self._order: bytes | None = None

    @property
    def running(self) -> bool:
        """Whether a download goes on."""
        return self._channel is not None

    def start(self, model: str, folder: Path) -> None:
        """Begin, or go on with, a download into a folder.

        Raises:
            WorkerError: another one goes on, or no process can be started.
        """
        if self._channel is not None:
            msg = "A download is under way. Wait for its end, or stop it."
            raise WorkerError(msg)
        # Downloads are local whatever the worker's command: the file belongs into this folder.
        command = python_command(module=FETCHING)
        self._channel = Channel(command, environment=self._environment)
        self._order = frame("fetch", model=model, folder=str(folder), transport=self._transport)

    def stop(self) -> None:
        """Ask it to stop; what came is kept."""
        if self._channel is not None:
            self._channel.send(frame("stop"))

    def close(self) -> None:
        """End it now, as when the program ends."""
        if self._channel is not None:
            self._channel.close(grace_s=1.0)
            self._channel = None

    def poll(self) -> list[FetchEvent]:
        """What has happened since the last call. Never blocks."""
        if self._channel is None:
            return []
        try:
            messages = self._channel.poll(expecting=True)
        except WorkerError as error:
            _, stderr = self._channel.close(grace_s=0.0)
            self._channel = None
            return [FetchFailed(f"{error} {stderr[-300:]}".strip())]
        if self._channel.greeting is not None and self._order is not None:
            self._channel.send(self._order)
            self._order = None
        return [event for message in messages for event in self._take(message)]

    def _take(self, message: Message) -> list[FetchEvent]:
        header = message.header
        if message.type == "progress":
            return [Fetching(header["done"], header["total"])]
        self.close()
        if message.type == "fetched":
            return [Fetched(None if header["path"] is None else Path(header["path"]))]
        return [FetchFailed(str(header.get("message", message.type)))]
