"""What runs through the pipes between a program and its worker; shared by both ends.

A frame is one line of JSON, an object with at least "type", and, where it says "bytes": n, n raw
bytes after the line break. The worker speaks first: ``MAGIC``, then a "greeting" frame with the
protocol's version. Whatever comes before ``MAGIC``, such as a banner of ssh, is skipped. The
program answers with a "hello" frame and then with requests; each carries its number in "request",
which comes back in the answers. An unknown type is answered by an "error" frame, and unknown
fields are ignored, so that either end can learn new words within one version.
"""

import json
from typing import Any, NamedTuple, NoReturn

from MedSAGaSlicerLib.errors import WorkerError

VERSION = 1
MAGIC = b"\x02medsaga-worker\x03"
MAX_HEADER_BYTES = 1 << 22
MAX_BODY_BYTES = 1 << 31
MAX_BANNER_BYTES = 1 << 20


class Message(NamedTuple):
    """One frame: ``header`` is the JSON object, ``body`` the raw bytes after it."""

    header: dict[str, Any]
    body: bytes = b""

    @property
    def type(self) -> str:
        """The header's type, which every frame has."""
        return str(self.header["type"])


def frame(kind: str, body: bytes = b"", /, **fields: Any) -> bytes:
    """Make the bytes of one frame of type ``kind``.

    Raises:
        ValueError: a field is not JSON; NaN and infinity are not.
    """
    header = {"type": kind, **fields}
    if body:
        header["bytes"] = len(body)
    line = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    return b"".join((line, b"\n", body))


class FrameReader:
    """Turns bytes, however they are cut into pieces, back into messages."""

    def __init__(self, *, skip_to_magic: bool = False) -> None:
        """``skip_to_magic`` drops everything up to and including the first ``MAGIC``."""
        self._buffer = bytearray()
        self._skipping = skip_to_magic
        self._skipped = 0
        self._header: dict[str, Any] | None = None
        self._body_bytes = 0

    def feed(self, data: bytes) -> list[Message]:
        """Take the next bytes and return the messages that they complete.

        Raises:
            WorkerError: the bytes are not this protocol; the reader is of no use any more.
        """
        self._buffer += data
        if self._skipping and not self._skip():
            return []
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _skip(self) -> bool:
        found = self._buffer.find(MAGIC)
        drop = len(self._buffer) - len(MAGIC) + 1 if found < 0 else found + len(MAGIC)
        self._skipped += max(drop, 0)
        del self._buffer[: max(drop, 0)]
        if found < 0 and self._skipped > MAX_BANNER_BYTES:
            _refuse(f"{self._skipped} bytes came without a worker's greeting")
        self._skipping = found < 0
        return found >= 0

    def _next(self) -> Message | None:
        if self._header is None and not self._read_header():
            return None
        if self._header is None or len(self._buffer) < self._body_bytes:
            return None
        message = Message(self._header, bytes(self._buffer[: self._body_bytes]))
        del self._buffer[: self._body_bytes]
        self._header = None
        return message

    def _read_header(self) -> bool:
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > MAX_HEADER_BYTES:
                _refuse(f"a header of more than {MAX_HEADER_BYTES} bytes came")
            return False
        self._header = _parse_header(bytes(self._buffer[:end]))
        self._body_bytes = self._header.get("bytes", 0)
        del self._buffer[: end + 1]
        return True


def _parse_header(line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line, parse_constant=_refuse_constant)
    except ValueError as error:
        _refuse(f"a header is not JSON ({error}): {line[:80]!r}")
    if not isinstance(header, dict) or not isinstance(header.get("type"), str):
        _refuse(f"a header has no type: {line[:80]!r}")
    size = header.get("bytes", 0)
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_BODY_BYTES:
        _refuse(f"a header announces {size!r} bytes")
    return header


def _refuse_constant(name: str) -> NoReturn:
    msg = f"{name} is not a number"
    raise ValueError(msg)


def _refuse(problem: str) -> NoReturn:
    msg = f"The other process does not speak the worker's protocol: {problem}."
    raise WorkerError(msg)
