"""How long the panel keeps Slicer's thread busy during a newcomer's ten minutes.

    python Testing/benchmark/bench_panel.py

The outermost calls of the panel's slots and of the mouse's reactions are timed, in processor time
of this thread's process: other load on the machine is not theirs. Needs the extras scene and gui.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from report import report

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness import pythonqt, scripted_module
from harness.widgets import WIDGETS

OWN_FOLDERS = ("MEDSAGA_TAUGHT", "MEDSAGA_EXAMPLES", "MEDSAGA_CACHE")


def main() -> int:
    pythonqt.install(WIDGETS)
    scripted_module.install()
    from harness.case import made_case
    from harness.desktop import Desktop
    from harness.slot_times import SlotTimes
    from harness.ten_minutes import TenMinutes
    from harness.workplace import Workplace

    times = SlotTimes()
    with tempfile.TemporaryDirectory() as own:
        os.environ.update({name: str(Path(own) / name) for name in OWN_FOLDERS})
        desktop = Desktop()
        begin = time.process_time()
        desktop.module("MedSAGaSlicer").widgetRepresentation()
        opening = time.process_time() - begin
        workplace = Workplace(desktop)
        TenMinutes(workplace, made_case()).go()
        workplace.close()
        desktop.close()
    taken = times.all()
    report("opening the panel", [opening], "s", limit=0.5)
    report(
        "panel's slots during the ten minutes",
        taken.tolist(),
        "ms",
        p99=float(np.percentile(taken, 99)),
        limit_p99=50,
        limit_max=150,
        longest=times.longest(),
        torch_in_this_process="torch" in sys.modules,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
