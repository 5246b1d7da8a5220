"""A worker process at the other end of two pipes, none of which ever makes the caller wait."""

import os
import selectors
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.worker.launch import end_process, start_process
from MedSAGaSlicerLib.worker.protocol import VERSION, FrameReader, Message, frame

LOG_TAIL_LINES = 50
_READ_BYTES = 1 << 20
# Where pipes cannot be waited for (Windows): how often they are looked at.
_LOOK_S = 0.002
Clock = Callable[[], float]


class ConnectionLostError(WorkerError):
    """The worker ended, hung, or was no worker. ``restart`` tells whether another try may help."""

    def __init__(self, message: str, *, restart: bool) -> None:
        super().__init__(message)
        self.restart = restart


class Channel:
    """A running worker: frames in, messages out, and the end noticed whatever it looks like."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        start_limit_s: float = 120.0,
        silence_limit_s: float = 60.0,
        clock: Clock = time.monotonic,
    ) -> None:
        """Start the worker in an empty folder of its own.

        Raises:
            WorkerError: the command cannot be run.
        """
        self.greeting: Message | None = None
        self._command = command
        self._start_limit_s, self._silence_limit_s = start_limit_s, silence_limit_s
        self._clock = clock
        self._last_sign = clock()
        self._pinged = False
        self._ended = False
        self._reader = FrameReader(skip_to_magic=True)
        self._outgoing: deque[memoryview] = deque()
        self._folder = tempfile.TemporaryDirectory(prefix="medsaga-", ignore_cleanup_errors=True)
        self.log_path = Path(self._folder.name) / "worker.log"
        try:
            with self.log_path.open("wb") as log:
                folder = Path(self._folder.name)
                self._process = start_process(
                    command, folder=folder, log=log, environment=environment
                )
        except WorkerError:
            self._folder.cleanup()
            raise

    @property
    def process(self) -> int:
        """The number of the process started; it may be a launcher's."""
        return self._process.popen.pid

    def send(self, data: bytes) -> None:
        """Queue a frame and send as much as fits."""
        self._outgoing.append(memoryview(data))
        self._write()

    def poll(self, *, expecting: bool) -> list[Message]:
        """Write and read what is possible now; the greeting is kept, not returned.

        ``expecting`` says that some answer is outstanding: only then is silence suspicious.

        Raises:
            ConnectionLostError: nothing will come any more. Whatever came before has been returned.
        """
        backlog = bool(self._outgoing)
        wrote = self._write()
        messages, ended = self._read()
        if messages or (backlog and wrote):
            self._last_sign = self._clock()
            self._pinged = self._pinged and not messages
        messages = [message for message in messages if message.type != "pong"]
        if self.greeting is None and messages:
            self.greeting = messages.pop(0)
            self._check_version(self.greeting)
        # All it wrote came with the poll that saw its end. If more comes it was a launcher that has
        # ended, and what it launched is out of our hands.
        if ended and (self._ended or not messages):
            msg = "The worker ended unexpectedly."
            raise ConnectionLostError(msg, restart=True)
        self._ended = ended
        self._check_signs(expecting=expecting)
        return messages

    def wait(self, timeout_s: float) -> None:
        """Return when there is something to read or room to write, or after ``timeout_s``."""
        if sys.platform == "win32":
            time.sleep(min(timeout_s, _LOOK_S))
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if self._outgoing:
                with suppress(ValueError, OSError):
                    selector.register(self._process.stdin, selectors.EVENT_WRITE)
            selector.select(timeout_s)

    def close(self, grace_s: float) -> tuple[int | None, str]:
        """End the process and all it started; returns its exit status and the tail of its log."""
        status = end_process(self._process, grace_s)
        tail = self.log_tail()
        self._folder.cleanup()
        return status, tail

    def log_tail(self) -> str:
        """The last lines that the worker wrote to standard error."""
        with suppress(OSError), self.log_path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - (1 << 16)))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-LOG_TAIL_LINES:])
        return ""

    def _write(self) -> int:
        total = 0
        while self._outgoing:
            try:
                count = os.write(self._process.stdin, self._outgoing[0])
            except BlockingIOError:
                break
            except OSError:
                # Nobody reads: the end will show when reading, after the last answers.
                self._outgoing.clear()
                break
            total += count
            rest = self._outgoing.popleft()[count:]
            if rest:
                self._outgoing.appendleft(rest)
        return total

    def _read(self) -> tuple[list[Message], bool]:
        messages: list[Message] = []
        # Asked before reading: what a process wrote before it ended is all there afterwards.
        ended = self._process.popen.poll() is not None
        while True:
            try:
                data = os.read(self._process.stdout, _READ_BYTES)
            except BlockingIOError:
                return messages, ended
            except OSError:
                data = b""
            if not data:
                return messages, True
            try:
                messages += self._reader.feed(data)
            except WorkerError as error:
                raise ConnectionLostError(str(error), restart=True) from error

    def _check_version(self, greeting: Message) -> None:
        theirs = greeting.header.get("protocol")
        if greeting.type == "greeting" and theirs == VERSION:
            return
        msg = (
            f"The worker speaks version {theirs} of the protocol, this program version {VERSION}. "
            f"Install the same MedSAGaSlicer at both ends (the worker's command is "
            f"{' '.join(self._command)})."
        )
        raise ConnectionLostError(msg, restart=False)

    def _check_signs(self, *, expecting: bool) -> None:
        silent_s = self._clock() - self._last_sign
        if self.greeting is None:
            if silent_s > self._start_limit_s:
                msg = (
                    f"The worker did not introduce itself within {self._start_limit_s:g} s. Check "
                    f"the worker's command: {' '.join(self._command)}"
                )
                raise ConnectionLostError(msg, restart=False)
        elif expecting and not self._pinged and silent_s > self._silence_limit_s / 2:
            self._pinged = True
            self._last_sign = self._clock()
            self.send(frame("ping"))
        elif self._pinged and silent_s > self._silence_limit_s:
            msg = f"The worker gave no sign of life for {self._silence_limit_s:g} s."
            raise ConnectionLostError(msg, restart=True)
