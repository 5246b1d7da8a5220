"""The teaching worker: one process per lesson; it is asked on stdin and tells where stdout was.

End of stdin means stop: the program that asked is gone. What can be kept of the lesson is kept.
"""

import faulthandler
import os
import sys
from contextlib import suppress

from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.worker.pipes import READ_BYTES, Answers, claim_pipes, leave, share_cores
from MedSAGaSlicerLib.worker.protocol import FrameReader, frame

_NICE = 10
_BELOW_NORMAL = 0x4000


def main() -> None:
    """Give the lesson asked for."""
    requests, descriptor = claim_pipes()
    # Nobody reads: stdin has ended as well, and that is seen to below.
    answers = Answers(descriptor, lost=_nothing)
    faulthandler.enable(2)
    share_cores()
    _stand_back()
    from MedSAGaSlicerLib.worker.classroom import Classroom

    classroom = Classroom(answers.send, leave)
    reader = FrameReader()
    try:
        while data := os.read(requests, READ_BYTES):
            for message in reader.feed(data):
                if message.type == "ping":
                    answers.send(frame("pong"))
                elif message.type == "teach":
                    classroom.begin(message.header)
                elif message.type == "stop":
                    classroom.stop()
    except WorkerError as error:
        sys.stderr.write(f"{error}\n")
    classroom.leave()


def _nothing() -> None: ...


def _stand_back() -> None:
    """Let the person's clicks go first: a lesson of minutes can wait, an answer cannot."""
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), _BELOW_NORMAL)
    else:
        with suppress(OSError):
            os.nice(_NICE)


if __name__ == "__main__":
    main()
