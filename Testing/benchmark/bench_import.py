"""Cold start: what importing the library adds to a fresh Python, and that torch stays out.

Beside it, by turns, stands what importing torch takes, which Slicer's process never does.
"""

import argparse
import statistics
import subprocess
import sys

from report import ROOT, report

# What Slicer's process, the command line and the headless user import first.
MODULES = (
    "MedSAGaSlicerLib",
    "MedSAGaSlicerLib.errors",
    "MedSAGaSlicerLib.cli",
    "MedSAGaSlicerLib.worker.client",
)

PROBE = """
import importlib, sys, time
sys.path.insert(0, sys.argv[1])
start = time.perf_counter()
importlib.import_module(sys.argv[2])
print(time.perf_counter() - start, "torch" in sys.modules)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    rounds = [{name: _import_once(name) for name in (*MODULES, "torch")} for _ in range(runs)]
    torch_s = statistics.median(one["torch"][0] for one in rounds)
    for module in MODULES:
        report(
            f"import {module}",
            [one[module][0] for one in rounds],
            "s",
            reference=torch_s,
            reference_is="import torch",
            imports_torch=any(one[module][1] for one in rounds),
        )


def _import_once(module: str) -> tuple[float, bool]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(ROOT / "MedSAGaSlicer"), module],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, torch = done.stdout.split()
    return float(seconds), torch == "True"


if __name__ == "__main__":
    main()
