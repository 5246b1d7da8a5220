"""The command line, ``medsaga``: segment, evaluate and see models without Slicer."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from MedSAGaSlicerLib import __version__
from MedSAGaSlicerLib.engine.progress import Reporter
from MedSAGaSlicerLib.errors import CheckpointError, DependencyError, InputError, MedSAGaError

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.predictor import Predictor

DONE: Final = 0
FAILED: Final = 1
BAD_INPUT: Final = 2
MISSING_PACKAGE: Final = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; ``arguments`` are by default those of the process.

    Returns:
        0 done; 2 the input is at fault; 3 a package is missing; 1 anything else. Errors that this
        library does not report on purpose are raised on, with their traceback.
    """
    parsed = _parser().parse_args(arguments)
    reporter = Reporter(sys.stdout, sys.stderr, as_json=parsed.json)
    try:
        with _stoppable():
            parsed.run(parsed, reporter)
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
    from MedSAGaSlicerLib.engine.segmenting import segment_file

    voxels = segment_file(
        options.volume,
        options.prompts,
        options.output,
        lambda: _predictor(options, reporter),
        frame=options.frame,
        progress=reporter.progress,
    )
    reporter.event("finished", output=str(options.output), voxels=voxels)
    for name, count in voxels.items():
        reporter.say(f"{name}: {count} voxels")
    reporter.say(f"Written: {options.output}")


def _evaluate(options: argparse.Namespace, reporter: Reporter) -> None:
    from MedSAGaSlicerLib.engine.evaluation_report import evaluate_folders, report_lines

    report = evaluate_folders(
        options.images,
        options.labels,
        options.label,
        options.prompts,
        options.report,
        lambda: _predictor(options, reporter),
        model=options.model,
        per_component=options.components,
        progress=reporter.progress,
    )
    reporter.event("finished", output=str(options.report), mean_dice=report["mean_dice"])
    for line in report_lines(report):
        reporter.say(line)
    reporter.say(f"Written: {options.report}")


def _demo(options: argparse.Namespace, reporter: Reporter) -> None:
    from MedSAGaSlicerLib.engine.demo import run_demo

    report = run_demo(
        options.output,
        _predictor(options, reporter),
        model=options.model,
        volume_path=options.volume,
        progress=reporter.progress,
    )
    reporter.event("finished", output=str(options.output), mean_dice=report["mean_dice"])
    for entry in report["slices"]:
        agreement = "" if entry["dice"] is None else f", Dice {entry['dice']:.3f}"
        place = f"slice {entry['axis']} {entry['index']}"
        reporter.say(f"{entry['name']}, {entry['prompt']} on {place}{agreement}")
    reporter.say(f"Pictures: {options.output / 'overview.png'}")
    reporter.say(f"Report:   {options.output / 'report.md'}")


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
    from MedSAGaSlicerLib.engine.predictor import load_predictor

    reporter.progress(0, 0, f"loading {options.model}")
    return load_predictor(options.model, options.device, options.threads)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as all commands do."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="medsaga", description="Segment medical images by prompts.")
    parser.add_argument("--version", action="version", version=f"medsaga {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_demo(commands)
    _add_models(commands)
    _add_segment(commands)
    _add_evaluate(commands)
    return parser


def _add_demo(commands: Any) -> None:
    demo = _command(commands, "demo", _demo, "the main job on a made volume: pictures and a report")
    demo.add_argument(
        "--output",
        type=Path,
        default=Path("medsaga-demo"),
        metavar="DIR",
        help="folder for the results, made if need be (default: %(default)s)",
    )
    demo.add_argument(
        "--volume", type=Path, metavar="FILE", help="an image of your own instead of the made one"
    )
    _add_model(demo)


def _add_models(commands: Any) -> None:
    models = _command(commands, "models", _models, "what is known, what is here, where from")
    choice = models.add_mutually_exclusive_group()
    choice.add_argument("--download", metavar="NAME", help="fetch a model from its authors")
    choice.add_argument("--delete", metavar="NAME", help="delete a downloaded model")
    models.add_argument("--json", action="store_true", help="as JSON")


def _add_segment(commands: Any) -> None:
    segment = _command(commands, "segment", _segment, "segment the prompted slices of an image")
    segment.add_argument(
        "volume",
        type=Path,
        metavar="VOLUME",
        help="NIfTI, NRRD, MetaImage, PNG, JPEG, or a folder with one DICOM series",
    )
    segment.add_argument(
        "--prompts", type=Path, required=True, metavar="P.json", help="points and boxes by slice"
    )
    segment.add_argument(
        "--output", type=Path, required=True, metavar="S.seg.nrrd", help="Slicer opens it as is"
    )
    segment.add_argument("--frame", type=int, metavar="N", help="frame of a 4-D image, from 0")
    _add_model(segment)


def _add_evaluate(commands: Any) -> None:
    evaluate = _command(commands, "evaluate", _evaluate, "measure a model on labelled images")
    evaluate.add_argument("--images", type=Path, required=True, metavar="DIR", help="the images")
    evaluate.add_argument(
        "--labels",
        type=Path,
        required=True,
        metavar="DIR",
        help="their label maps, of the same names up to the first dot",
    )
    evaluate.add_argument(
        "--label", required=True, metavar="V", help="a value (3), one object of several (1,2), any"
    )
    evaluate.add_argument(
        "--prompts",
        required=True,
        choices=("box", "point", "clicks"),
        help="simulated: the tight box, one click, or up to 20 correcting clicks",
    )
    evaluate.add_argument(
        "--components", action="store_true", help="prompt each connected part by itself"
    )
    evaluate.add_argument(
        "--report", type=Path, required=True, metavar="R.json", help="where the figures go"
    )
    _add_model(evaluate)


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace, Reporter], None], about: str
) -> argparse.ArgumentParser:
    # Abbreviated options would change their meaning whenever an option is added.
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=about, description=about[0].upper() + about[1:] + ".", allow_abbrev=False
    )
    command.set_defaults(run=run)
    return command


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model",
        default="starter",
        metavar="NAME|FILE",
        help="a name of `medsaga models` or a weight file (default: %(default)s)",
    )
    command.add_argument(
        "--device",
        default="auto",
        metavar="auto|cpu|cuda[:n]|mps",
        help="where to compute; mps is untested (default: %(default)s)",
    )
    command.add_argument("--threads", type=int, metavar="N", help="CPU threads")
    command.add_argument("--json", action="store_true", help="progress as one JSON object a line")


if __name__ == "__main__":
    sys.exit(main())
