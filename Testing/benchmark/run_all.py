"""The speed figures, one script after the other: about a quarter of an hour on two quiet cores.

    python Testing/benchmark/run_all.py                      the CPU set
    python Testing/benchmark/run_all.py --device cuda        the GPU set, by the same scripts
    python Testing/benchmark/run_all.py --only scene worker  some of them
    python Testing/benchmark/run_all.py --official CLONE     beside MobileSAM's code as well

What a script prints replaces `results/<device>/<name>.jsonl` as a whole when it has ended well;
otherwise the file stays as it was. Every line gets the command that printed it. BENCHMARKS.md is
made of these files by `make_page.py`.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from lines import RESULTS, Line, replace

HERE = Path(__file__).resolve().parent
TOO_LONG_S = 400


@dataclass(frozen=True)
class Run:
    """A script with its options; on a GPU it is given `--device` as well.

    With ``beside_clone`` it needs the reader's clone of another repository.
    """

    name: str
    options: str = ""
    cpu: bool = True
    gpu: bool = False
    beside_clone: bool = False

    @property
    def script(self) -> str:
        """Its file's name."""
        return f"bench_{self.name.split('-')[0]}.py"


RUNS = (
    Run("import"),
    Run("starter", gpu=True),
    Run("encode", "--rounds 3", gpu=True),
    Run("encode-mobile_sam", "--family mobile_sam --rounds 3", gpu=True, beside_clone=True),
    Run("precision", "--rounds 2"),
    Run("galore", "--rank 4", gpu=True),
    Run("kept"),
    Run("late", "--family starter --steps 4", gpu=True),
    Run("plan", "--family starter", gpu=True),
    Run("teach", gpu=True),
    Run("propagate", "--rounds 3", gpu=True),
    Run("finish", "--slices 20", gpu=True),
    Run("worker", "--kills 20"),
    Run("teach_worker", "--stops 4 --kills 3"),
    Run("scene"),
    Run("big_volume"),
    Run("panel"),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--official", type=Path, help="a clone of ChaoningZhang/MobileSAM")
    parser.add_argument("--only", nargs="+", choices=[run.name for run in RUNS])
    options = parser.parse_args()
    gpu = options.device != "cpu"
    chosen = [run for run in RUNS if (run.gpu if gpu else run.cpu)]
    chosen = [run for run in chosen if options.official or not run.beside_clone]
    failed, start = [], time.monotonic()
    for run in chosen:
        if options.only is None or run.name in options.only:
            began = time.monotonic()
            well = measured(run, options.device, options.official)
            told = "" if well else ", FAILED: its figures stay as they were"
            failed += [run.name] * (not well)
            print(f"# {run.name}: {time.monotonic() - began:.0f} s{told}", file=sys.stderr)
    print(f"# all: {(time.monotonic() - start) / 60:.1f} min", file=sys.stderr)
    return 1 if failed else 0


def measured(run: Run, device: str, clone: Path | None) -> bool:
    """Run a script, show and keep its lines; False if it failed or took too long."""
    words = [f"Testing/benchmark/{run.script}", *run.options.split()]
    words += ["--device", device] * (device != "cpu")
    command = [sys.executable, str(HERE / run.script), *words[1:]]
    if run.beside_clone:
        command += ["--official", str(clone)]
        words += ["--official", "CLONE"]
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    lines: list[Line] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        # With all that it started itself: a grandchild would keep the pipe open.
        alarm = threading.Timer(TOO_LONG_S, os.killpg, (process.pid, signal.SIGKILL))
        alarm.start()
        try:
            for text in process.stdout or ():
                print(text, end="", flush=True)
                if text.startswith("{"):
                    lines.append({**json.loads(text), "command": " ".join(["python", *words])})
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            alarm.cancel()
    if process.returncode != 0 or not lines:
        return False
    folder = RESULTS / device.partition(":")[0]
    replace(folder / f"{run.name}.jsonl", lines)
    return True


if __name__ == "__main__":
    sys.exit(main())
