"""A lesson without a network that waits for the test: for the panel, where a person acts meanwhile.

Give the client ``lesson="patient_lesson:give"`` and the environment ``PATIENT_LESSON``, a folder.
After three steps it waits there for a file ``end``, which says how to end: "better", "worse",
"unmeasured", "full card" (better, after it stepped down), or a word that ``fake_lesson`` would fail
with.
"""

import os
import time
from pathlib import Path

from fake_lesson import ERRORS, leave_adapter

from MedSAGaSlicerLib.engine.teaching.events import (
    Finished,
    Prepared,
    Progress,
    RoomWanted,
    Started,
    SteppedDown,
    Stopped,
    Validated,
)

STEPS = 10
VERDICTS = {"better": True, "worse": False, "unmeasured": None}


def give(order, stop):
    cue = Path(os.environ["PATIENT_LESSON"]) / "end"
    measured = Path(order["output"])
    yield Started("0", "decoder", "cpu", STEPS, 0, 10, 2, ("Segment 1",))
    yield Prepared(1, 2, 0.1)
    yield Validated("before", 0.5, 2)
    for step in range(1, STEPS + 1):
        yield Progress(step, STEPS, 1.0 / step, step / STEPS, float(STEPS - step))
        while step == 3 and not cue.exists():
            if stop():
                yield Stopped(step, resumable=True)
                return
            time.sleep(0.001)
    how = cue.read_text()
    if how == "full card":
        yield RoomWanted("cuda", 4 << 30, 1 << 30)
        yield SteppedDown("decoder", 2, "galore", 4, "CUDA out of memory")
        how = "better"
    if how not in VERDICTS:
        raise ERRORS.get(how, RuntimeError(how))
    after = {"better": 0.8, "worse": 0.4}.get(how)
    if after is not None:
        yield Validated("after", after, 2)
    leave_adapter(measured, accepted=VERDICTS[how], segments=("Segment 1",))
    report = {"n": 2, "before": 0.5 if after else None, "after": after}
    yield Finished(measured, VERDICTS[how], report)
