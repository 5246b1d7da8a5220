"""``medsaga plan``: what a lesson would need, before it is begun."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from MedSAGaSlicerLib.engine.teaching.config import AUTO, DEEP, METHODS, TeachingConfig

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.progress import Reporter


def add_plan_options(command: argparse.ArgumentParser) -> None:
    """What can be written after ``medsaga plan``."""
    command.add_argument(
        "--model",
        default="starter",
        metavar="NAME|FILE",
        help="a name of `medsaga models`, which need not be here, or a file (default: %(default)s)",
    )
    command.add_argument("--method", choices=(AUTO, *METHODS), help="this one only (default: all)")
    command.add_argument(
        "--depth",
        type=int,
        default=TeachingConfig.depth,
        metavar="N",
        help=f"slices that the method {DEEP} looks at together (default: %(default)s)",
    )
    command.add_argument(
        "--shots", type=int, default=15, metavar="N", help="slices in all (default: %(default)s)"
    )
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--device",
        default="auto",
        metavar="auto|cpu|cuda[:n]|mps",
        help="where to compute (default: %(default)s)",
    )
    where.add_argument(
        "--vram", type=float, metavar="GB", help="plan for a graphics card with so much memory"
    )
    command.add_argument("--threads", type=int, metavar="N", help="CPU threads")
    command.add_argument("--json", action="store_true", help="as JSON")


def plan(options: argparse.Namespace, _reporter: Reporter) -> None:
    """Print the plan; the machine's speed is measured for that in a moment."""
    from MedSAGaSlicerLib.engine.teaching.plan_table import (
        another_card,
        plan_rows,
        plan_table,
        this_machine,
    )

    if options.vram is not None:
        machine = another_card(options.vram)
    else:
        machine = this_machine(options.device, options.threads)
    config = TeachingConfig(DEEP, depth=options.depth)
    rows = plan_rows(options.model, machine, options.shots, options.method, config)
    if options.json:
        about = {"model": options.model, "device": machine.device, "free_bytes": machine.free}
        text = json.dumps({**about, "slices": options.shots, "methods": rows}, indent=2)
    else:
        text = plan_table(rows, machine, options.shots)
    sys.stdout.write(f"{text}\n")
