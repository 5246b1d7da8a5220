"""Every check in one command: lint, format, types, layers, tests. CI runs nothing else."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "import-linter": ["lint-imports", "--no-logo"],
}
# Each process computes on one thread; a file stays in one process, for the sake of its fixtures.
TESTS = {"pytest": ["pytest", "--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile"]}
COVERAGE = ["--cov", "--cov-report=term"]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-tests", action="store_true", help="leave out pytest")
    parser.add_argument("--coverage", action="store_true", help="print what no test reaches")
    options = parser.parse_args(arguments)
    tests = {name: command + COVERAGE * options.coverage for name, command in TESTS.items()}
    checks = CHECKS if options.no_tests else CHECKS | tests
    failed = [name for name, command in checks.items() if not _passes(name, command)]
    print(f"\nfailed: {', '.join(failed)}" if failed else "\nall checks passed")
    return 1 if failed else 0


def _passes(name: str, command: list[str]) -> bool:
    print(f"\n== {name}", flush=True)
    start = time.perf_counter()
    # The tools of this interpreter's environment, whether or not it is activated.
    tools = str(Path(sys.executable).parent)
    environment = os.environ | {
        "PATH": os.pathsep.join([tools, os.environ.get("PATH", "")]),
        "PYTHONPATH": str(ROOT / "MedSAGaSlicer"),
    }
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    print(
        f"== {name}: {'passed' if status == 0 else 'FAILED'}, {time.perf_counter() - start:.1f} s"
    )
    return status == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
