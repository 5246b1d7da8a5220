"""Clocks that wait for a GPU's work, and turns: what is compared is timed alternately."""

import time
from collections.abc import Callable

import torch

Clock = Callable[[], float]


def wall(device: str) -> Clock:
    """Seconds by the clock on the wall, when all that was asked of the device is done."""

    def clock() -> float:
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter()

    return clock


def seconds(call: Callable[[], object], clock: Clock) -> float:
    """Seconds of one call."""
    start = clock()
    call()
    return clock() - start


def by_turns(runs: int, warm: int, clock: Clock, *calls: Callable[[], object]) -> list[list[float]]:
    """Seconds of each call, one after the other again and again; the first rounds do not count."""
    rounds = [[seconds(call, clock) for call in calls] for _ in range(warm + runs)]
    return [list(column) for column in zip(*rounds[warm:], strict=True)]
