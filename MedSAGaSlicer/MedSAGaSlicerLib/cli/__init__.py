"""The command line, ``medsaga``: segment, teach, evaluate and see models without Slicer."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn

from MedSAGaSlicerLib.cli.batches import finish, segment_many
from MedSAGaSlicerLib.cli.parser import BAD_INPUT, build_parser
from MedSAGaSlicerLib.cli.plan import plan
from MedSAGaSlicerLib.engine.progress import Reporter
from MedSAGaSlicerLib.engine.propagation.names import TRACKED
from MedSAGaSlicerLib.errors import CheckpointError, DependencyError, InputError, MedSAGaError

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.predictor import Predictor
    from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
    from MedSAGaSlicerLib.engine.segmenting import SlicePredictor

DONE: Final = 0
FAILED: Final = 1
MISSING_PACKAGE: Final = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; ``arguments`` are by default those of the process.

    Returns:
        0 done; 2 the input is at fault; 3 a package is missing; 1 anything else. Errors that this
        library does not report on purpose are raised on, with their traceback.
    """
    parsed = build_parser().parse_args(arguments)
    reporter = Reporter(sys.stdout, sys.stderr, as_json=parsed.json)
    try:
        with _stoppable():
            _COMMANDS[parsed.command](parsed, reporter)
    except (InputError, CheckpointError) as error:
        reporter.fail(str(error))
        return BAD_INPUT
    except DependencyError as error:
        reporter.fail(str(error))
        return MISSING_PACKAGE
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "MedSAGaSlicerLib"):
            raise
        reporter.fail(f"The Python package {package} is missing. Install it, as with pip.")
        return MISSING_PACKAGE
    except (MedSAGaError, OSError) as error:
        reporter.fail(str(error))
        return FAILED
    except KeyboardInterrupt:
        reporter.fail("Stopped.")
        return FAILED
    return DONE


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does: unfinished files are removed on the way out."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: Any) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# The engine is imported by the command that needs it: `medsaga --help` should not wait for torch,
# and files are checked before a model is loaded.


def _segment(options: argparse.Namespace, reporter: Reporter) -> None:
    from MedSAGaSlicerLib.engine.regions.looking import accounts, looking
    from MedSAGaSlicerLib.engine.segmenting import segment_file

    region = _region(options)
    if len(options.volume) > 1 or options.prompts.is_dir() or options.dask:
        further = {"frame": options.frame, "region": region, "strategy": _strategy(options)}
        segment_many(options, reporter, further)
        return
    models: list[SlicePredictor] = []

    def load() -> SlicePredictor:
        models.append(looking(_predictor(options, reporter), region))
        return models[0]

    voxels = segment_file(
        options.volume[0],
        options.prompts,
        options.output,
        load,
        frame=options.frame,
        region=region,
        strategy=_strategy(options),
        progress=reporter.progress,
    )
    reporter.event("finished", output=str(options.output), voxels=voxels)
    for name, count in voxels.items():
        reporter.say(f"{name}: {count} voxels")
    for account in accounts(models):
        reporter.say(account)
    reporter.say(f"Written: {options.output}")


def _strategy(options: argparse.Namespace) -> str | None:
    """How to propagate; None: not at all."""
    if options.strategy is not None and not options.propagate:
        msg = "--strategy says how to propagate: give --propagate as well."
        raise InputError(msg)
    return (options.strategy or TRACKED) if options.propagate else None


def _evaluate(options: argparse.Namespace, reporter: Reporter) -> None:
    from MedSAGaSlicerLib.engine.evaluation_report import evaluate_folders, report_lines

    def load() -> SlicePredictor:
        if options.prompts == "none" and options.adapter is None:
            msg = "--prompts none needs a model that was taught: give its folder by --adapter."
            raise InputError(msg)
        return _meant(_predictor(options, reporter), options.segment)

    report = evaluate_folders(
        options.images,
        options.labels,
        options.label,
        options.prompts,
        options.report,
        load,
        model=options.model,
        per_component=options.components,
        adapter=options.adapter,
        allow_seen=options.allow_seen,
        region=options.region,
        progress=reporter.progress,
    )
    reporter.event("finished", output=str(options.report), mean_dice=report["mean_dice"])
    for line in report_lines(report):
        reporter.say(line)
    reporter.say(f"Written: {options.report}")


def _demo(options: argparse.Namespace, reporter: Reporter) -> None:
    from MedSAGaSlicerLib.engine.demo import run_demo
    from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig

    report = run_demo(
        options.output,
        _predictor(options, reporter),
        model=options.model,
        volume_path=options.volume,
        teach=not options.no_teach,
        config=TeachingConfig(steps=options.steps),
        progress=reporter.progress,
    )
    reporter.event("finished", output=str(options.output), mean_dice=report["mean_dice"])
    for entry in report["slices"]:
        agreement = "" if entry["dice"] is None else f", Dice {entry['dice']:.3f}"
        place = f"slice {entry['axis']} {entry['index']}"
        reporter.say(f"{entry['name']}, {entry['prompt']} on {place}{agreement}")
    if lesson := report.get("lesson"):
        reporter.say(
            f"Taught {lesson['organ']} from {lesson['slices']} slices: on "
            f"{len(lesson['others'])} others one click gave Dice {lesson['before']:.3f} before, "
            f"{lesson['after']:.3f} after, and {lesson['unprompted']:.3f} without any prompt"
        )
    reporter.say(f"Pictures: {options.output / 'overview.png'}")
    reporter.say(f"Report:   {options.output / 'report.md'}")


def _teach(options: argparse.Namespace, reporter: Reporter) -> None:
    from MedSAGaSlicerLib.engine.regions.choice import AUTO
    from MedSAGaSlicerLib.engine.teaching.config import TeachingConfig
    from MedSAGaSlicerLib.engine.teaching.folders import lesson_lines, teach_folders

    report = teach_folders(
        options.images,
        options.labels,
        options.label,
        options.output,
        lambda: _predictor(options, reporter),
        model=options.model,
        config=TeachingConfig(
            method=options.method,
            seed=options.seed,
            steps=options.steps,
            region=str(options.region or AUTO),
            depth=options.depth,
        ),
        shots=options.shots,
        empty=options.empty,
        cases_file=options.cases,
        progress=reporter.progress,
    )
    shown = {name: report[name] for name in ("accepted", "before", "after", "n", "seconds")}
    reporter.event("finished", output=str(options.output), **shown)
    for line in lesson_lines(report):
        reporter.say(line)
    reporter.say(f"Written: {options.output}")


def _models(options: argparse.Namespace, reporter: Reporter) -> None:
    from MedSAGaSlicerLib.engine import downloads, registry
    from MedSAGaSlicerLib.engine.model_table import model_rows, model_table

    if options.download:
        entry = registry.entry(options.download)
        progress = reporter.bytes_progress(f"MB of {entry.name}")
        path = downloads.download(entry, registry.model_folder(), progress)
        reporter.event("finished", output=str(path))
        reporter.say(f"Written: {path}")
    elif options.delete:
        entry = registry.entry(options.delete)
        freed = downloads.delete(entry, registry.model_folder())
        reporter.event("finished", deleted=entry.name, bytes=freed)
        reporter.say(f"Deleted {entry.name}: {freed / 1e6:.1f} MB freed")
    else:
        rows = model_rows()
        # The whole list at once: it is no progress, so --json is one document here.
        sys.stdout.write(json.dumps(rows, indent=2) if options.json else model_table(rows))
        sys.stdout.write("\n")


def _predictor(options: argparse.Namespace, reporter: Reporter) -> Predictor:
    from MedSAGaSlicerLib.engine.teaching.adapters import load_taught

    reporter.progress(0, 0, f"loading {options.model}")
    adapter = getattr(options, "adapter", None)
    return load_taught(options.model, options.device, options.threads, adapter, options.precision)


def _region(options: argparse.Namespace) -> RegionChoice:
    """How slices are shown: as asked for, or as the adapter was taught."""
    from MedSAGaSlicerLib.engine.teaching.adapter_folder import taught_region

    chosen: RegionChoice | None = options.region
    return chosen or taught_region(options.adapter)


def _meant(predictor: SlicePredictor, segment: str | None) -> SlicePredictor:
    """The model for one segment: the named one, or the only one that was taught."""
    from MedSAGaSlicerLib.engine.teaching.taught import TaughtPredictor, TaughtSegment

    if isinstance(predictor, TaughtPredictor):
        only = predictor.segments[0] if len(predictor.segments) == 1 else None
        return TaughtSegment(predictor, segment or only)
    return predictor


_COMMANDS: Final[dict[str, Callable[[argparse.Namespace, Reporter], None]]] = {
    "demo": _demo,
    "evaluate": _evaluate,
    "finish": finish,
    "models": _models,
    "plan": plan,
    "segment": _segment,
    "teach": _teach,
}
