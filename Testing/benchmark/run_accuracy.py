"""The accuracy tables: hours of one core, in pieces; run it again to go on where it was stopped.

    python Testing/benchmark/run_accuracy.py --data DATA [--minutes 60] [--only starter unet]

`DATA` holds 2d/<set> and 3d/<set>, each with images/ and labels/. A piece whose lines are under
`results` already is not measured again; to have it anew, delete its lines. Some scripts keep their
own account of lessons; what the others print is added with the command that printed it.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lines import RESULTS, append, read

HERE = Path(__file__).resolve().parent
LESSONS = "teach", "unet", "methods"


@dataclass(frozen=True)
class Piece:
    """A script with its options, whose lines go to the file of that name."""

    name: str
    options: str = ""
    kind: str = "accuracy"

    @property
    def script(self) -> str:
        """Its file's name."""
        return f"{self.kind}_{self.name}.py"

    @property
    def command(self) -> str:
        """What to type; the place of the data is the reader's own."""
        words = [f"python Testing/benchmark/{self.script} --data DATA", self.options]
        return " ".join(words).strip()


PIECES = (
    Piece("starter", "--most-cases 12"),
    Piece("regions"),
    Piece("precision", "--rounds 0", "bench"),
    *(
        Piece("propagate", f'--only "{name}"')
        for name in ("hippocampus", "spinal cord", "prostate", "trunk organs")
    ),
    Piece("teach", "--clicks --cases 12"),
    Piece("unet"),
    *(
        Piece("review", f'--volumes 1 --only "{name}" --seeds {seed}')
        for seed in range(3)
        for name in ("spleen", "hippocampus", "prostate")
    ),
    Piece(
        "methods",
        "--steps 120 --methods decoder late lora galore adapter --shots 15 5 1 10 3 20",
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=sorted({piece.name for piece in PIECES}))
    parser.add_argument("--minutes", type=float, default=1e9, help="begin nothing after these")
    options = parser.parse_args()
    until, failed = time.monotonic() + 60 * options.minutes, []
    for piece in PIECES:
        left = (until - time.monotonic()) / 60
        if left > 0 and piece.name in (options.only or [piece.name]):
            print(f"# {piece.command}", file=sys.stderr, flush=True)
            failed += [piece.command] * (not measured(piece, options.data, left))
    for command in failed:
        print(f"# failed: {command}", file=sys.stderr)
    return 1 if failed else 0


def measured(piece: Piece, data: Path, minutes: float) -> bool:
    """Measure what is missing of a piece; False if that failed."""
    file = RESULTS / f"{piece.name}.jsonl"
    if piece.name not in LESSONS and any(li.get("command") == piece.command for li in read(file)):
        return True
    command = [sys.executable, str(HERE / piece.script), "--data", str(data)]
    command += shlex.split(piece.options)
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    if piece.name in LESSONS:
        command += ["--results", str(file), "--minutes", f"{minutes:.1f}"]
        return subprocess.run(command, check=False, env=environment).returncode == 0
    done = subprocess.run(command, check=False, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode == 0:
        for text in done.stdout.splitlines():
            if text.startswith("{"):
                append(file, {**json.loads(text), "command": piece.command})
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
