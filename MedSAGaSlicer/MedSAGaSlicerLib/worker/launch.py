"""How a worker process is started and, whatever it is doing, ended with all it started."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

from MedSAGaSlicerLib.errors import WorkerError

# The folder goes first on sys.path by hand: PythonSlicer, a launcher, overrules PYTHONPATH, and an
# installed copy of the library would win over this one.
_RECIPE = (
    "import runpy, sys; sys.path.insert(0, sys.argv[1]); "
    "runpy.run_module(sys.argv[2], run_name='__main__', alter_sys=True)"
)
INFERENCE: Final = "MedSAGaSlicerLib.worker"
TEACHING: Final = "MedSAGaSlicerLib.worker.teach_main"
# Room for a slice and for its mask, where the system lets us ask for it.
_PIPE_BYTES = 1 << 20


class Process(NamedTuple):
    """A started worker; the descriptors never block, and belong to the pipes of ``popen``."""

    popen: subprocess.Popen[bytes]
    stdin: int
    stdout: int


def python_command(
    python: str | os.PathLike[str] = sys.executable, module: str = INFERENCE
) -> list[str]:
    """The command line of a worker that runs this very library in another Python process.

    In Slicer ``sys.executable`` is PythonSlicer, which is what is wanted there.
    """
    folder = Path(__file__).resolve().parents[2]
    return [os.fspath(python), "-c", _RECIPE, str(folder), module]


def teaching_command(inference: Sequence[str]) -> list[str]:
    """The command line of a teaching worker beside an inference worker's.

    It runs in the same Python if that is one on this machine, which only a recipe of ours tells;
    otherwise, as with ssh, in this very one: lessons are given locally.
    """
    local = list(inference) == python_command(inference[0])
    return python_command(inference[0] if local else sys.executable, TEACHING)


def parse_command(text: str, platform: str = sys.platform) -> list[str]:
    """Make a command line of what a person wrote into the settings.

    One word is a Python and gets the library of this program. More words are taken as they are,
    for instance ``ssh host /opt/env/bin/python -m MedSAGaSlicerLib.worker``. No shell is involved.

    Raises:
        WorkerError: nothing was given, or quotes do not match.
    """
    try:
        words = shlex.split(text, posix=platform != "win32")
    except ValueError as error:
        msg = f"The worker's command {text!r} cannot be read ({error}). Check its quotes."
        raise WorkerError(msg) from error
    if not words:
        msg = "The worker's command is empty. Give a Python, or leave the default."
        raise WorkerError(msg)
    words = [word.strip('"') for word in words] if platform == "win32" else words
    return python_command(words[0]) if len(words) == 1 else words


def start_process(
    command: Sequence[str],
    *,
    folder: Path,
    log: IO[bytes],
    environment: Mapping[str, str] | None = None,
) -> Process:
    """Start a worker with pipes that never block this side.

    Args:
        command: program and arguments.
        folder: its working folder; should be empty, for Python looks for modules there.
        log: takes its standard error.
        environment: replaces the inherited one if given.

    Raises:
        WorkerError: the program cannot be run.
    """
    try:
        popen = subprocess.Popen(  # noqa: S603  the person's own command, without a shell
            list(command),
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=folder,
            env=None if environment is None else dict(environment),
            **process_options(),
        )
    except OSError as error:
        msg = f"The worker cannot be started: {command[0]} ({error}). Check the worker's command."
        raise WorkerError(msg) from error
    stdin, stdout = cast(IO[bytes], popen.stdin), cast(IO[bytes], popen.stdout)
    for pipe in (stdin, stdout):
        os.set_blocking(pipe.fileno(), False)
        _enlarge(pipe.fileno())
    return Process(popen, stdin.fileno(), stdout.fileno())


def process_options(platform: str = sys.platform) -> dict[str, Any]:
    """Extra arguments of ``subprocess.Popen``: a group of its own, and no console window."""
    if platform == "win32":
        return {"creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0x08000000)}
    return {"start_new_session": True}


def end_process(process: Process, grace_s: float) -> int | None:
    """Close the worker's stdin, which asks it to stop, and after the grace kill the whole tree.

    The tree is killed even if the process itself has ended: it may have been a mere launcher.
    Returns the exit status, None if the system cannot get rid of the process.
    """
    popen = process.popen
    for pipe in (popen.stdin, popen.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    with suppress(subprocess.TimeoutExpired):
        popen.wait(grace_s)
    _kill_tree(popen)
    with suppress(subprocess.TimeoutExpired):
        popen.wait(5)
    return popen.returncode


def kill_command(pid: int) -> list[str]:
    """What ends a process tree on Windows."""
    folder = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32"
    return [str(folder / "taskkill.exe"), "/PID", str(pid), "/T", "/F"]


def _kill_tree(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        if process.returncode is None:
            subprocess.run(  # noqa: S603  a fixed program of the system
                kill_command(process.pid), capture_output=True, check=False, **process_options()
            )
        return
    # The group is named after its first process, and outlives it as long as it has members.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _enlarge(descriptor: int) -> None:
    if sys.platform == "linux":
        import fcntl

        # Refused beyond the person's quota for pipes; the usual 64 KiB only take more turns.
        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
