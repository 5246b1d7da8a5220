"""Cold start: what importing the library adds to a fresh Python, and that torch stays out."""

import argparse
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
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    for module in MODULES:
        measured = [_import_once(module) for _ in range(runs)]
        report(
            f"import {module}",
            [seconds for seconds, _ in measured],
            "s",
            imports_torch=any(torch for _, torch in measured),
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
