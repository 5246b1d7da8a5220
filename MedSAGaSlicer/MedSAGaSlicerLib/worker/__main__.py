"""The inference worker: requests come in on stdin, answers go out where stdout was.

End of stdin means stop, at once and always: the program that asked is gone or does not want more.
"""

import faulthandler
import os
import sys

from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.worker.pipes import READ_BYTES, Answers, claim_pipes, leave, share_cores
from MedSAGaSlicerLib.worker.protocol import FrameReader


def main() -> None:
    """Serve until stdin ends."""
    requests, descriptor = claim_pipes()
    answers = Answers(descriptor)
    faulthandler.enable(2)
    share_cores()
    # The default of 5 ms is what a decode would wait for an encode busy in Python.
    sys.setswitchinterval(0.0005)
    # Not before: these bring in libraries, which may print and take their time.
    from MedSAGaSlicerLib.worker.service import Service

    service = Service(answers.send)
    reader = FrameReader()
    try:
        while data := os.read(requests, READ_BYTES):
            for message in reader.feed(data):
                if message.type == "shutdown":
                    leave(0)
                service.handle(message)
    except WorkerError as error:
        sys.stderr.write(f"{error}\n")
        leave(2)
    leave(0)


if __name__ == "__main__":
    main()
