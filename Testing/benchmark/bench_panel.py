"""How long the panel keeps Slicer's thread busy during a newcomer's ten minutes.

    python Testing/benchmark/bench_panel.py [--data DIR]

The outermost calls of the panel's slots and of the mouse's reactions are timed, in processor time
of this thread's process: other load on the machine is not theirs. The time between two looks for
answers is the clock's: no answer is unseen for longer. Needs the extras scene and gui. It fails if
a limit is missed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from report import report

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness import pythonqt, scripted_module
from harness.widgets import WIDGETS

_OPENINGS = 3
OWN_FOLDERS = ("MEDSAGA_TAUGHT", "MEDSAGA_EXAMPLES", "MEDSAGA_CACHE")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="walk on the real CT of these images")
    data = parser.parse_args().data
    pythonqt.install(WIDGETS)
    scripted_module.install()
    from harness.case import made_case, real_case
    from harness.desktop import Desktop
    from harness.slot_times import LookTimes, SlotTimes
    from harness.ten_minutes import TenMinutes
    from harness.workplace import Workplace

    case = made_case() if data is None else real_case(data)
    looks, times = LookTimes(), SlotTimes()
    with tempfile.TemporaryDirectory() as own:
        os.environ.update({name: str(Path(own) / name) for name in OWN_FOLDERS})
        desktop = Desktop()
        workplace = Workplace(desktop)
        TenMinutes(workplace, case).go()
        workplace.close()
        desktop.close()
    openings = [opening() for _ in range(_OPENINGS)]
    taken, has_torch = times.all(), "torch" in sys.modules
    p99 = float(np.percentile(taken, 99))
    report("opening the panel", openings, "s", limit=0.5)
    report(
        "panel's slots during the ten minutes",
        taken.tolist(),
        "ms",
        p99=p99,
        p99_of_actions=float(np.percentile(times.of_actions(), 99)),
        limit_p99=50,
        limit_max=150,
        longest=times.longest(),
        torch_in_this_process=has_torch,
    )
    late = np.array(looks.between)
    report(
        "time between the panel's looks while it waits",
        late.tolist(),
        "ms",
        p99=float(np.percentile(late, 99)),
        timer=10,
    )
    return int(np.median(openings) > 0.5 or p99 > 50 or taken.max() > 150 or has_torch)


def opening() -> float:
    """What opening the module for the first time takes, the library's imports included."""
    code = (
        "import time; from harness.desktop import Desktop; desktop = Desktop()\n"
        "begin = time.process_time(); desktop.select_module('MedSAGaSlicer')\n"
        "print(time.process_time() - begin); desktop.close()"
    )
    testing = Path(__file__).resolve().parent.parent
    path = os.pathsep.join([str(testing), str(testing.parent / "MedSAGaSlicer")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
