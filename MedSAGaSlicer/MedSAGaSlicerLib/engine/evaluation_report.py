"""The report of an evaluation: a JSON file, and a few lines to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from MedSAGaSlicerLib import __version__
from MedSAGaSlicerLib.engine.files import check_writable
from MedSAGaSlicerLib.engine.json_file import write_json
from MedSAGaSlicerLib.errors import InputError


def check_report(path: Path) -> None:
    """Refuse a report's path before hours of work.

    Raises:
        InputError: it is a folder, or cannot be written.
    """
    if path.is_dir():
        msg = f"The report {path} is a folder. Name a file, as in {path / 'report.json'}."
        raise InputError(msg)
    check_writable(path)


def write_report(path: Path, report: dict[str, Any], **asked: Any) -> None:
    """Write what was asked for and what came out (`evaluation.evaluate`) as JSON."""
    write_json(path, {"version": __version__, **asked, **report})


def report_lines(report: dict[str, Any]) -> list[str]:
    """The figures that matter most, and the cases that were left out and why."""
    lines = [f"Skipped {name}: {reason}" for name, reason in report["skipped"].items()]
    lines.append(
        f"Cases {len(report['cases'])}, Dice {report['mean_dice']:.3f}, as volumes "
        f"{report['dice_3d']:.3f}, surface agreement {report['mean_nsd']:.3f}, "
        f"{report['seconds']:.1f} s"
    )
    if report["dice_at"] is not None:
        by_clicks = report["dice_at"].items()
        at = ", ".join(f"{n}: {value:.3f}" for n, value in by_clicks if int(n) in (1, 3, 5, 10, 20))
        lines.append(f"Dice by number of clicks: {at}")
        lines.append(f"Clicks to Dice 0.8: {report['noc80']:.1f}, to 0.9: {report['noc90']:.1f}")
    return lines
