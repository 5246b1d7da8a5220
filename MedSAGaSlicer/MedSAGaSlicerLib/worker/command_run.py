"""Commands run one after the other in the background, as pip's; looked after by polling."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.worker.launch import end_process, start_process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from MedSAGaSlicerLib.worker.launch import Process

_TAIL_BYTES: Final = 4096
_READ_BYTES: Final = 1 << 16


class CommandRun:
    """Runs command lines in order until one fails; what they print is kept in a file.

    Attributes:
        done: how many have succeeded.
        exit_status: of the one that failed; None as long as none has.
    """

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        """Nothing is started yet."""
        self.commands = tuple(tuple(command) for command in commands)
        self.done = 0
        self.exit_status: int | None = None
        self._stopped = False
        self._process: Process | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="medsaga-", ignore_cleanup_errors=True)
        self._log = Path(self._folder.name) / "log"

    @property
    def running(self) -> bool:
        """Whether there is something left to do, and nothing has failed."""
        over = self._stopped or self.exit_status is not None
        return not over and self.done < len(self.commands)

    @property
    def succeeded(self) -> bool:
        """Whether all of them have."""
        return self.done == len(self.commands)

    def poll(self) -> bool:
        """Go on; whether it has ended. Never waits."""
        if not self.running:
            return True
        try:
            if self._process is None:
                self._begin(self.commands[self.done])
            elif self._read(self._process):
                self._end(self._process)
        except WorkerError as error:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(f"{error}\n")
            self.exit_status = -1
        return not self.running

    def stop(self) -> None:
        """End it now, with whatever it has started."""
        if self._process is not None:
            end_process(self._process, 0.0)
            self._process = None
        self._stopped = self._stopped or self.running

    def close(self) -> None:
        """End it, and forget what was printed."""
        self.stop()
        self._folder.cleanup()

    def tail(self) -> str:
        """The last lines printed."""
        with suppress(OSError), self._log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return log.read().decode(errors="replace").strip()
        return ""

    def _begin(self, command: Sequence[str]) -> None:
        with self._log.open("ab") as log:
            self._process = start_process(command, folder=Path(self._folder.name), log=log)

    def _read(self, process: Process) -> bool:
        """Keep what it printed; whether it has ended."""
        ended = process.popen.poll() is not None
        with self._log.open("ab") as log:
            while True:
                try:
                    data = os.read(process.stdout, _READ_BYTES)
                except BlockingIOError:
                    break
                except OSError:
                    data = b""
                if not data:
                    break
                log.write(data)
        return ended

    def _end(self, process: Process) -> None:
        status = end_process(process, 0.0)
        self._process = None
        if status == 0:
            self.done += 1
        else:
            self.exit_status = -1 if status is None else status
