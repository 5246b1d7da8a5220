"""Programs that are no good workers."""

import sys

from MedSAGaSlicerLib.worker.protocol import MAGIC, VERSION, frame


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def speaking(data: bytes, then: str) -> list[str]:
    """A worker that says ``data`` and then does something else."""
    return python(
        f"import sys, time; sys.stdout.buffer.write({data!r}); sys.stdout.flush(); {then}"
    )


SLEEP = "time.sleep(1000)"
GREETING = MAGIC + frame("greeting", protocol=VERSION, version="0")
