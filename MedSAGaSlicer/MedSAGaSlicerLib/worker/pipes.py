"""A worker process's own ends of its pipes: taken before any library can print into them."""

import io
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

from MedSAGaSlicerLib import __version__
from MedSAGaSlicerLib.worker.protocol import MAGIC, VERSION, frame

READ_BYTES = 1 << 20


class Answers:
    """The way out, for one frame at a time; may be used from several threads."""

    def __init__(self, descriptor: int, lost: Callable[[], object] | None = None) -> None:
        """Introduce the worker; ``lost`` is called when nobody reads, by default it ends."""
        self._descriptor = descriptor
        self._lost = lost or partial(os._exit, 1)
        self._lock = threading.Lock()
        self.send(MAGIC + frame("greeting", protocol=VERSION, version=__version__))

    def send(self, data: bytes) -> None:
        """Write the bytes of a frame."""
        rest = memoryview(data)
        try:
            with self._lock:
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            self._lost()


class _Log(io.RawIOBase):
    """Standard error, where a line that cannot be written is lost and nothing else.

    The log is a file: with the disk full, a library that prints would make an encode fail.
    """

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2

    def write(self, data: Any) -> int:
        with suppress(OSError):
            os.write(2, data)
        return len(data)


def claim_pipes() -> tuple[int, int]:
    """Take stdin and stdout for the protocol alone.

    Libraries print; their prints go to stderr from now on, and none of them can read a request.
    """
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr = io.TextIOWrapper(
        _Log(), "utf-8", errors="backslashreplace", write_through=True
    )
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(requests, os.O_BINARY)
        msvcrt.setmode(answers, os.O_BINARY)
    return requests, answers


def share_cores() -> None:
    """To be called before torch is imported.

    Two torch processes that spin while they wait for each other's cores are many times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def leave(status: int) -> NoReturn:
    """End without waiting for other threads: torch cannot be interrupted, and nobody wants it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
