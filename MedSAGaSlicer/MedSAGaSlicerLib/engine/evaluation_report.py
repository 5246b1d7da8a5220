"""The report of an evaluation: a JSON file, and a few lines to read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from MedSAGaSlicerLib import __version__
from MedSAGaSlicerLib.engine.cases import LabelChoice, find_cases
from MedSAGaSlicerLib.engine.evaluation import evaluate
from MedSAGaSlicerLib.engine.files import check_writable
from MedSAGaSlicerLib.engine.json_file import write_json
from MedSAGaSlicerLib.engine.metrics import check_nsd_available
from MedSAGaSlicerLib.engine.progress import Progress, silent
from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.engine.regions.looking import accounts, looking
from MedSAGaSlicerLib.engine.segmenting import SlicePredictor
from MedSAGaSlicerLib.engine.teaching.adapter_folder import read_description, taught_region
from MedSAGaSlicerLib.engine.teaching.seen_cases import refuse_seen
from MedSAGaSlicerLib.errors import InputError


def evaluate_folders(
    images: Path,
    labels: Path,
    label: str,
    kind: str,
    report_path: Path,
    load: Callable[[], SlicePredictor],
    *,
    model: str,
    per_component: bool = False,
    adapter: Path | None = None,
    allow_seen: bool = False,
    region: RegionChoice | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Evaluate a model on two folders and write the report: `medsaga evaluate`.

    What is wrong with the paths is found before ``load`` is asked for the model, which has the
    adapter on already, if there is one. The report holds what was asked for and what
    `evaluation.evaluate` returns. Without a ``region`` slices are looked at as the adapter learned
    to, or else as `RegionChoice` does by default.

    Raises:
        InputError: a path or the label cannot be used, a case is unfit, or the adapter learned from
            it and ``allow_seen`` is not set.
        CheckpointError: the adapter cannot be used.
        DependencyError: the package for surface agreement is missing.
    """
    if report_path.is_dir():
        msg = f"The report {report_path} is a folder. Name a file in it, such as report.json."
        raise InputError(msg)
    check_writable(report_path)
    choice = LabelChoice.parse(label)
    cases = find_cases(images, labels)
    check_nsd_available()
    if adapter is not None and not allow_seen:
        refuse_seen(cases, read_description(adapter))
    region = region or taught_region(adapter)
    predictor = looking(load(), region)
    found = evaluate(
        cases,
        choice,
        predictor,
        kind,
        per_component=per_component,
        region=region,
        progress=progress,
    )
    report = {
        "version": __version__,
        "model": model,
        "adapter": None if adapter is None else str(adapter),
        "prompts": kind,
        "components": per_component,
        "region": str(region),
        "looked": accounts([predictor]),
        "label": str(choice),
        "images": str(images),
        "labels": str(labels),
        **found,
    }
    write_json(report_path, report)
    return report


def report_lines(report: dict[str, Any]) -> list[str]:
    """The figures that matter most, and the cases that were left out and why."""
    lines = [f"Skipped {name}: {reason}" for name, reason in report["skipped"].items()]
    lines += report["looked"]
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
