"""What can go wrong, as exceptions whose message a person can act upon.

MedSAGaError
├── InputError        the input is at fault: file, image, prompt, geometry
├── CheckpointError   weights that are damaged, unknown, or belong to another model
├── DependencyError   a package is missing or too old
├── DownloadError     a download failed or is not what was promised
├── TeachingError     a lesson came to nothing though its input was fit
│   └── MemoryShortageError   it needs more memory than there is
└── WorkerError       a worker process ended or answered with a failure

Each message says what was given, what is wrong with it, and what to do. Cancelling is no error.
"""


class MedSAGaError(Exception):
    """Anything this library reports on purpose."""


class InputError(MedSAGaError):
    """The input is at fault and the person can mend it."""


class CheckpointError(MedSAGaError):
    """Weights cannot be used: damaged, of an unknown family, or made for another base."""


class DependencyError(MedSAGaError):
    """A package is missing or unsuitable."""

    def __init__(self, message: str, *, restart: bool = False) -> None:
        """Keep the message and whether the running program must be restarted after installing."""
        super().__init__(message)
        self.restart = restart


class DownloadError(MedSAGaError):
    """A file could not be fetched, or what came does not match its pinned hash."""


class TeachingError(MedSAGaError):
    """A lesson came to nothing though its input was fit, as when it diverges."""


class MemoryShortageError(TeachingError):
    """A lesson needs more memory than there is: another method or device may do."""


class WorkerError(MedSAGaError):
    """A worker process failed.

    ``exit_status`` is the process's exit status, or None while it still runs. ``stderr`` is the
    tail of what it wrote there.
    """

    def __init__(self, message: str, exit_status: int | None = None, stderr: str = "") -> None:
        """Keep the message and what is known of the process."""
        super().__init__(message)
        self.exit_status = exit_status
        self.stderr = stderr
