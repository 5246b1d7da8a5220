"""How long work tells how far it is, and how that reaches a person or a program."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final, TextIO

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all (0 if not known), and what is done, in a few words."""

_WIDTH: Final = 24
_INTERVAL_S: Final = 0.1


def silent(_done: int, _total: int, _doing: str) -> None:
    """Progress for callers that do not show any."""


class Reporter:
    """Tells of a run: sentences and a bar for people, or one JSON object a line for programs.

    Sentences and JSON go to ``output``; the bar goes to ``terminal``, and only if it is one.
    """

    def __init__(self, output: TextIO, terminal: TextIO, *, as_json: bool = False) -> None:
        """Nothing is written yet."""
        self._output = output
        self._terminal = terminal
        self._as_json = as_json
        self._bar = terminal.isatty() and not as_json
        self._drawn = 0
        self._last = float("-inf")
        self._started = time.monotonic()

    def progress(self, done: int, total: int, doing: str) -> None:
        """Show a step; a `Progress`. The bar is drawn at most ten times a second."""
        if self._as_json:
            self.event("progress", done=done, total=total, doing=doing)
        elif self._bar:
            now = time.monotonic()
            if done == 0:
                self._started = now
            if now - self._last >= _INTERVAL_S or (total and done == total):
                self._last = now
                self._draw(done, total, doing, now - self._started)

    def bytes_progress(self, doing: str) -> Callable[[int, int | None], None]:
        """A function that takes bytes done and in all, and shows them in megabytes."""

        def show(done: int, total: int | None) -> None:
            self.progress(round(done / 1e6), round((total or 0) / 1e6), doing)

        return show

    def say(self, text: str) -> None:
        """A sentence for a person; a program that reads JSON has events instead."""
        if not self._as_json:
            self._clear()
            self._write(self._output, text + "\n")

    def event(self, kind: str, **fields: Any) -> None:
        """A line for a program, if one reads."""
        if self._as_json:
            self._write(self._output, json.dumps({"event": kind, **fields}, allow_nan=False) + "\n")

    def fail(self, text: str) -> None:
        """The one line that says why the run ends."""
        self._clear()
        self.event("failed", message=text)
        self._write(self._terminal, f"medsaga: {' '.join(text.split())}\n")

    def _draw(self, done: int, total: int, doing: str, elapsed_s: float) -> None:
        if total > 0:
            filled = _WIDTH * done // total
            line = f"[{'#' * filled}{'-' * (_WIDTH - filled)}] {done}/{total}"
            if 0 < done < total:
                line += f", {elapsed_s / done * (total - done):.0f} s left"
            line += f"  {doing}"
        else:
            line = f"{doing} ..."
        # Cut, so that it stays one line and the next one covers it.
        line = line[:78]
        self._write(self._terminal, "\r" + line.ljust(self._drawn))
        self._drawn = len(line)

    def _clear(self) -> None:
        if self._drawn:
            self._write(self._terminal, "\r" + " " * self._drawn + "\r")
            self._drawn = 0

    @staticmethod
    def _write(stream: TextIO, text: str) -> None:
        # A file name may hold what this terminal has no letter for: that is no reason to fail.
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
