"""The job that goes through the volume just now: its bar, its end, and how to stop it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from slicer.i18n import tr as _

if TYPE_CHECKING:
    from types import SimpleNamespace

    from MedSAGaSlicerLib.gui.desk import Desk


_TELLING: Final = 3
"""After so many slices it can be told how long the others will take."""


class Job(Protocol):
    """What the panel asks of work that an annotator does slice by slice."""

    @property
    def state(self) -> str:
        """One of running, done, stopped, failed."""

    @property
    def progress(self) -> tuple[int, int]:
        """Slices done, and in all as far as is known."""

    @property
    def message(self) -> str:
        """What happened, for people."""

    @property
    def error(self) -> object:
        """Why it failed, None if it did not."""

    def stop(self) -> None:
        """End it; what is done stays."""


class JobRow:
    """Shows one job at a time; ``annotator.poll`` is what brings it on."""

    def __init__(self, ui: SimpleNamespace, desk: Desk) -> None:
        """There is no job yet."""
        self.ui, self._desk = ui, desk
        self._job: Job | None = None
        self._doing = ""
        self._begun = 0.0
        self.ui.jobWidget.setVisible(False)
        self.ui.stopButton.clicked.connect(self.onStop)

    @property
    def doing(self) -> str:
        """What is under way, "" if nothing."""
        return self._doing if self._job is not None else ""

    @property
    def under_way(self) -> str:
        """Why no other job can begin now, "" if one can."""
        text = _("{doing} is under way. Wait for its end, or press Stop.")
        return str(text.format(doing=self._doing)) if self._job is not None else ""

    def watch(self, job: Job, doing: str) -> None:
        """Show a job that has begun."""
        self._job, self._doing, self._begun = job, str(doing), time.monotonic()
        self.follow()

    def follow(self) -> None:
        """See how far it is, and say its end."""
        job = self._job
        if job is not None and job.state != "running":
            self._job = None
            self._desk.say(str(job.error or job.message))
        self.ui.jobWidget.setVisible(self._job is not None)
        if self._job is not None:
            done, total = self._job.progress
            # A bar without an end says that nobody knows it yet.
            self.ui.jobBar.setMaximum(max(0, total))
            self.ui.jobBar.setValue(min(done, total))
            self._desk.say(str(self._job.message) or self._line(done, total))

    def _line(self, done: int, total: int) -> str:
        if not total:
            return str(_("{doing}: slice {done}.").format(doing=self._doing, done=done))
        line = str(_("{doing}: {done}/{total}").format(doing=self._doing, done=done, total=total))
        if done < _TELLING:
            return f"{line}."
        left = (time.monotonic() - self._begun) / done * max(0, total - done)
        return line + str(_(", {left:.0f} s left.").format(left=left))

    def forget(self) -> None:
        """The annotation has ended, and the job with it."""
        self._job = None
        self.ui.jobWidget.setVisible(False)

    def onStop(self, _checked: bool = False) -> None:
        """End the job."""
        if self._job is not None:
            self._job.stop()
            self.follow()
