"""The downloading process: fetches one registered model and tells how far it is.

End of stdin means stop, as in the other workers; what came so far is kept.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from MedSAGaSlicerLib.engine import downloads, registry
from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.worker.failures import failure_of
from MedSAGaSlicerLib.worker.loaded_model import function_of
from MedSAGaSlicerLib.worker.pipes import READ_BYTES, Answers, claim_pipes, leave
from MedSAGaSlicerLib.worker.protocol import FrameReader, frame

_TELL_S: Final = 0.2


def main() -> None:
    """Do what is asked on stdin until it ends."""
    requests, descriptor = claim_pipes()
    stopping = threading.Event()
    answers = Answers(descriptor, lost=stopping.set)
    reader = FrameReader()
    fetching: threading.Thread | None = None
    try:
        while data := os.read(requests, READ_BYTES):
            for message in reader.feed(data):
                if message.type == "ping":
                    answers.send(frame("pong"))
                elif message.type == "fetch" and fetching is None:
                    order = (message.header, stopping.is_set, answers.send)
                    fetching = threading.Thread(target=fetch, args=order, daemon=True)
                    fetching.start()
                elif message.type == "stop":
                    stopping.set()
    except WorkerError as error:
        sys.stderr.write(f"{error}\n")
    stopping.set()
    leave(0)


def fetch(order: dict[str, Any], stop: Callable[[], bool], send: Callable[[bytes], None]) -> None:
    """Download what a "fetch" frame names; tells "progress" and one "fetched" or "error"."""
    last = [0.0]

    def progress(done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - last[0] >= _TELL_S:
            last[0] = now
            send(frame("progress", done=done, total=total))

    def run() -> None:
        entry, folder = registry.entry(order["model"]), Path(order["folder"])
        transport = function_of(order["transport"])
        path = downloads.download(entry, folder, progress, stop, transport)
        send(frame("fetched", path=None if path is None else str(path)))

    failure = failure_of(run)
    if failure is not None:
        kind, text = failure
        send(frame("error", kind=kind, message=text))


if __name__ == "__main__":
    main()
