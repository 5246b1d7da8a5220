"""A network for downloading processes in tests: bytes out of a folder, broken on command.

Give the client ``transport="fake_network:fetch"`` and the environment ``FAKE_NETWORK``, a folder
with the file ``content``. If ``unreachable`` exists there is no network; if ``breaks`` exists the
line breaks in the middle; if ``hold`` exists it waits there until that is gone.
"""

import os
import time
from pathlib import Path

from MedSAGaSlicerLib.engine.downloads import Answer


def fetch(url, start):
    folder = Path(os.environ["FAKE_NETWORK"])
    if (folder / "unreachable").exists():
        msg = f"no route to {url}"
        raise OSError(msg)
    content = (folder / "content").read_bytes()
    return Answer(206 if start else 200, start, None, _chunks(folder, content, start), _nothing)


def _chunks(folder, content, start):
    half = max(start, len(content) // 2)
    yield content[start:half]
    while (folder / "hold").exists():
        time.sleep(0.001)
        yield b""
    if (folder / "breaks").exists():
        msg = "the line broke"
        raise OSError(msg)
    yield content[half:]


def _nothing():
    pass
