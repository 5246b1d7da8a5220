"""How much memory this process has needed at most."""

from __future__ import annotations

import sys
from pathlib import Path

import torch


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
