"""How much memory this process has needed at most, and what is said when there is too little."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from MedSAGaSlicerLib.errors import MemoryShortageError


def is_memory_shortage(error: Exception) -> bool:
    """Whether memory was wanted that there is not, on a graphics card or elsewhere."""
    # On the CPU torch has no error of its own for it.
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "allocate memory" in str(error)


def memory_shortage(
    error: Exception, what: str, device: str, resumable: int | None
) -> MemoryShortageError:
    """What to tell of it: `what` needed it, and the steps after which the lesson can go on."""
    reason = " ".join(str(error).split(". ")[0].split())[:200]
    msg = (
        f"There is too little memory on {device} for {what} ({reason}). Close what else uses it, "
        "or teach a smaller model, or by a method that needs less, as decoder"
    )
    if resumable is not None:
        msg += f". The same lesson goes on after step {resumable}"
    return MemoryShortageError(msg)


def peak_bytes() -> int | None:
    """The most bytes this process has held so far, on the GPU if it uses one; None if not known."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated() > 0:
        return int(torch.cuda.max_memory_allocated())
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "darwin":
        import resource

        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return None
