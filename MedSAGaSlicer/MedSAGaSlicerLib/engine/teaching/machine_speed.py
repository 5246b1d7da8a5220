"""A machine's speed and free memory, found out in a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

from MedSAGaSlicerLib.engine.teaching.time_plan import Speed

_ROWS: Final = 1024
_INNER: Final = 768
_COLUMNS: Final = 3072
_TIMES: Final = 3
_SMALL: Final = 200
_SMALL_SECONDS: Final = 0.00038
"""What so many small operations take on the CPU that the plans' figures come from."""


def machine_speed(device: str | torch.device) -> Speed:
    """Multiply matrices of a ViT's size for some tenths of a second.

    In half precision on CUDA, as lessons do. On a CPU the processor's time counts, not the
    clock's: what else runs just now will not run all the while.
    """
    device = torch.device(device)
    half = device.type == "cuda"
    dtype = torch.float16 if half else torch.float32
    one = torch.ones(_ROWS, _INNER, device=device, dtype=dtype)
    other = torch.ones(_INNER, _COLUMNS, device=device, dtype=dtype)
    tiny = torch.ones(8, device=device)
    times = _TIMES * (20 if half else 1)

    def multiply() -> None:
        for _ in range(times):
            one @ other

    def trifle() -> None:
        for _ in range(_SMALL):
            tiny * 1.0

    with torch.inference_mode():
        multiply()
        operations = times * 2.0 * _ROWS * _INNER * _COLUMNS / _seconds(multiply, device)
        threads = 1 if device.type != "cpu" else torch.get_num_threads()
        small = _seconds(trifle, device)
    return Speed(operations * threads, max(0.2, small / _SMALL_SECONDS))


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    found = []
    for _ in range(3):
        _finish(device)
        begun = clock()
        work()
        _finish(device)
        found.append(clock() - begun)
    return min(found)


def free_bytes(device: str | torch.device) -> int | None:
    """Memory that this process could have on a device, all in all; None if it is not known."""
    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device))
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    # What the system would give back of its own accord, as of files it remembers, counts as free.
    sizes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return sizes[0] * 1024 if sizes else None


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
