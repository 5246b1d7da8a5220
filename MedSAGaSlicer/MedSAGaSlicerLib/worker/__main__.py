"""The inference worker: requests come in on stdin, answers go out where stdout was.

End of stdin means stop, at once and always: the program that asked is gone or does not want more.
"""

import faulthandler
import io
import os
import sys
import threading
from contextlib import suppress
from typing import Any

from MedSAGaSlicerLib import __version__
from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.worker.protocol import MAGIC, VERSION, FrameReader, frame

READ_BYTES = 1 << 20


class _Answers:
    """The way out, for one frame at a time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            with self._lock:
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            # Nobody reads any more: the same as the end of stdin.
            os._exit(1)


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


def main() -> None:
    """Serve until stdin ends."""
    requests, descriptor = claim_pipes()
    answers = _Answers(descriptor)
    answers.send(MAGIC + frame("greeting", protocol=VERSION, version=__version__))
    faulthandler.enable(2)
    # Two torch processes that spin while they wait for each other's cores are many times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # The default of 5 ms is what a decode would wait for an encode busy in Python.
    sys.setswitchinterval(0.0005)
    # Not before: these bring in libraries, which may print and take their time.
    from MedSAGaSlicerLib.worker.service import Service

    service = Service(answers.send)
    reader = FrameReader()
    try:
        while data := os.read(requests, READ_BYTES):
            for message in reader.feed(data):
                if message.type == "shutdown":
                    _leave(0)
                service.handle(message)
    except WorkerError as error:
        sys.stderr.write(f"{error}\n")
        _leave(2)
    _leave(0)


def _leave(status: int) -> None:
    """End without waiting for the lanes: an encode cannot be interrupted, and nobody wants it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
