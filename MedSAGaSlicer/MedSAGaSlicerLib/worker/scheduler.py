"""One thread that does jobs by priority; the worker has two of them."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

VISIBLE = 1
PREFETCH = 2
SWITCH = 0


@dataclass(eq=False)
class Job:
    """Work waiting for its turn. Lower ``priority`` first, among equals the older one."""

    priority: int
    order: int
    run: Callable[[], None]


class Lane:
    """A thread with a queue.

    Decodes have a lane of their own, so that a mask never waits for an encode; switching the
    model, encoding what is looked at and prefetching share the other, in this order.
    ``run`` of a job must not raise.
    """

    def __init__(self, name: str) -> None:
        """Start the thread. It ends with the process: torch cannot be interrupted."""
        self._jobs: list[Job] = []
        self._count = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def add(self, run: Callable[[], None], priority: int = VISIBLE) -> Job:
        """Queue ``run``."""
        with self._changed:
            self._count += 1
            job = Job(priority, self._count, run)
            self._jobs.append(job)
            self._changed.notify()
        return job

    def cancel(self, job: Job) -> bool:
        """Take a job out of the queue; False when it has begun or ended already."""
        with self._changed:
            if job not in self._jobs:
                return False
            self._jobs.remove(job)
            return True

    def promote(self, job: Job, priority: int) -> None:
        """Let a waiting job go before those of lower rank; never sets one back."""
        with self._changed:
            job.priority = min(job.priority, priority)

    def __len__(self) -> int:
        with self._changed:
            return len(self._jobs)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs)
                job = min(self._jobs, key=lambda waiting: (waiting.priority, waiting.order))
                self._jobs.remove(job)
            job.run()
            # Keep nothing of it alive while waiting for the next: a job holds a slice.
            del job
