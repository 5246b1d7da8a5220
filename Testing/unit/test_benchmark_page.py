"""BENCHMARKS.md and README have the figures of the lines that were measured, and no others."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BENCHMARK = ROOT / "Testing" / "benchmark"
PAGE = (ROOT / "BENCHMARKS.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_texts_have_the_figures_of_the_committed_lines():
    command = [sys.executable, str(BENCHMARK / "make_page.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_names_a_script_that_is_there():
    named = set(re.findall(r"python (Testing/benchmark/\w+\.py)", PAGE + README))
    assert named
    assert not [path for path in named if not (ROOT / path).is_file()]


def test_every_picture_is_there_and_all_are_small():
    named = set(re.findall(r"\((Resources/Benchmarks/\w+\.png)\)", PAGE))
    assert named == {str(p.relative_to(ROOT)) for p in (ROOT / "Resources/Benchmarks").glob("*")}
    assert sum((ROOT / path).stat().st_size for path in named) < 10 << 20


def test_every_speed_script_is_in_the_set_that_make_benchmark_runs():
    text = (BENCHMARK / "run_all.py").read_text(encoding="utf-8")
    named = {f"bench_{name}.py" for name in re.findall(r'Run\("(\w+)', text)}
    assert {path.name for path in BENCHMARK.glob("bench_*.py")} <= named
