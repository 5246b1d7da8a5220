"""Teaching from two folders of images and labels: the work behind `medsaga teach`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MedSAGaSlicerLib.engine.cases import LabelChoice, find_cases
from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache
from MedSAGaSlicerLib.engine.progress import Progress, silent
from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.engine.regions.examples import as_tiles
from MedSAGaSlicerLib.engine.teaching.adapter_folder import check_adapter_path
from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
from MedSAGaSlicerLib.engine.teaching.events import (
    Event,
    Finished,
    Planned,
    Prepared,
    SteppedDown,
    Validated,
)
from MedSAGaSlicerLib.engine.teaching.events import Progress as Step
from MedSAGaSlicerLib.engine.teaching.shots import draw_examples, only_cases
from MedSAGaSlicerLib.errors import TeachingError

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.predictor import Predictor


def teach_folders(
    images: Path,
    labels: Path,
    label: str,
    output: Path,
    load: Callable[[], Predictor],
    *,
    model: str,
    config: TeachingConfig,
    shots: int = 15,
    empty: int = 3,
    cases_file: Path | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Teach a model on slices drawn from labelled images and write the adapter folder.

    What is wrong with the input is found before ``load`` is asked for the model. A run that was
    stopped or killed leaves a hidden folder beside ``output``, from which the same call goes on.

    Returns:
        What report.json holds.

    Raises:
        InputError: a path, the label or a number cannot be used.
        TeachingError: the lesson diverged.
        OSError: the disk is full.
    """
    check_adapter_path(output)
    choice = LabelChoice.parse(label)
    cases = find_cases(images, labels)
    if cases_file is not None:
        cases = only_cases(cases, cases_file)
    region = RegionChoice.parse(config.region)
    drawn = shots, empty, config.seed, progress, region, config.depth
    examples = draw_examples(cases, choice, *drawn)
    predictor = load()
    region = region.for_input(predictor.input_size)
    config, examples = replace(config, region=str(region)), as_tiles(examples, region)
    # Here, not above: before the files are known to be fit, nobody waits for torch.
    from MedSAGaSlicerLib.engine.teaching.careful import teach

    work = output.with_name(f".{output.name}.lesson")
    cache = EmbeddingCache(work / "embeddings")
    report: dict[str, Any] | None = None
    events = teach(config, examples, predictor, output, base_name=model, cache=cache, work=work)
    for event in events:
        tell(event, progress)
        if isinstance(event, Finished):
            report = event.report
    if report is None:
        msg = "The lesson ended without a result. Run the same command again to go on."
        raise TeachingError(msg)
    shutil.rmtree(work, ignore_errors=True)
    return report


def lesson_lines(report: dict[str, Any]) -> list[str]:
    """What came of a lesson, in a few lines to read."""
    lines = [f"{report['slices']} slices, {report['steps']} steps, {report['seconds']:.0f} s"]
    if report["accepted"] is None:
        lines.append(
            "Not measured: with fewer than 8 confirmed slices none is kept aside. "
            "Look at its masks and decide yourself."
        )
        return lines
    lines.append(
        f"Dice on {report['n']} slices kept aside, same prompts: "
        f"{report['before']:.3f} before, {report['after']:.3f} after"
    )
    if report["n"] < 5:
        lines.append(f"{report['n']} slices are few: take this as a hint.")
    lines.append("Better: accepted." if report["accepted"] else "Not better: keep the model as is.")
    return lines


def tell(event: Event, progress: Progress) -> None:
    """Show an event of a lesson as progress."""
    if isinstance(event, Planned):
        needs = f"about {event.seconds:.0f} s, {event.peak / (1 << 30):.1f} GiB"
        progress(0, 0, f"teaching by {event.method}: {needs}")
    elif isinstance(event, SteppedDown):
        progress(0, 0, f"memory ran out: on by {event.method}, {event.at_once} at once")
    elif isinstance(event, Prepared):
        progress(event.done, event.total, "looking at slices")
    elif isinstance(event, Step):
        progress(event.step, event.steps, f"learning, Dice {event.dice:.2f}")
    elif isinstance(event, Validated):
        progress(0, 0, f"Dice {event.moment} {event.dice:.3f} on {event.slices} slices")
