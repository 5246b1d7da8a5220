"""What can be written on ``medsaga``'s command line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final, NoReturn

from MedSAGaSlicerLib import __version__
from MedSAGaSlicerLib.cli.options import (
    add_adapter,
    add_dask,
    add_labelled,
    add_model,
    add_region,
    new_command,
)
from MedSAGaSlicerLib.cli.plan import add_plan_options
from MedSAGaSlicerLib.engine.geometry import AXES
from MedSAGaSlicerLib.engine.propagation.names import STRATEGIES, TRACKED
from MedSAGaSlicerLib.engine.teaching.config import AUTO, DEEP, METHODS, TeachingConfig

BAD_INPUT: Final = 2


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as all commands do."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """All commands with their options; ``command`` names the one that was chosen."""
    parser = _Parser(prog="medsaga", description="Segment medical images by prompts.")
    parser.add_argument("--version", action="version", version=f"medsaga {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_demo(commands)
    _add_models(commands)
    _add_segment(commands)
    _add_teach(commands)
    _add_evaluate(commands)
    add_plan_options(new_command(commands, "plan", "memory and time that teaching would take"))
    _add_finish(commands)
    return parser


def _add_demo(commands: Any) -> None:
    demo = new_command(commands, "demo", "the main job on a made volume: pictures and a report")
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
    demo.add_argument("--no-teach", action="store_true", help="leave out the lesson")
    demo.add_argument(
        "--steps",
        type=int,
        default=TeachingConfig.steps,
        metavar="N",
        help="updates of the model in the lesson (default: %(default)s)",
    )
    add_model(demo)


def _add_models(commands: Any) -> None:
    models = new_command(commands, "models", "what is known, what is here, where from")
    choice = models.add_mutually_exclusive_group()
    choice.add_argument("--download", metavar="NAME", help="fetch a model from its authors")
    choice.add_argument("--delete", metavar="NAME", help="delete a downloaded model")
    models.add_argument("--json", action="store_true", help="as JSON")


def _add_segment(commands: Any) -> None:
    segment = new_command(commands, "segment", "segment the prompted slices of an image")
    segment.add_argument(
        "volume",
        type=Path,
        nargs="+",
        metavar="VOLUME",
        help="NIfTI, NRRD, MetaImage, PNG, JPEG, or a folder with one DICOM series",
    )
    segment.add_argument(
        "--prompts",
        type=Path,
        required=True,
        metavar="P.json|DIR",
        help="points and boxes by slice; for several volumes a folder with a file for each, of the "
        "same name up to the first dot",
    )
    segment.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="S.seg.nrrd|DIR",
        help="Slicer opens it as is; for several volumes the folder for the results, made if need "
        "be: what it holds already is not done again",
    )
    add_dask(segment)
    add_adapter(segment)
    add_region(segment)
    segment.add_argument("--frame", type=int, metavar="N", help="frame of a 4-D image, from 0")
    segment.add_argument(
        "--propagate",
        action="store_true",
        help="carry the prompted slices through the volume, up to where the object ends",
    )
    segment.add_argument(
        "--strategy",
        choices=STRATEGIES,
        help=f"how to propagate (default: {TRACKED}); the others are simpler, to compare with",
    )
    add_model(segment)


def _add_teach(commands: Any) -> None:
    teach = new_command(commands, "teach", "teach a model a structure from a few labelled slices")
    add_labelled(teach)
    teach.add_argument(
        "--shots", type=int, default=15, metavar="N", help="slices in all (default: %(default)s)"
    )
    teach.add_argument(
        "--empty",
        type=int,
        default=3,
        metavar="N",
        help="slices without the label among them, as far as there are any (default: %(default)s)",
    )
    teach.add_argument(
        "--method",
        default=AUTO,
        choices=(AUTO, *METHODS),
        help="what is taught (default: %(default)s)",
    )
    teach.add_argument(
        "--steps",
        type=int,
        default=TeachingConfig.steps,
        metavar="N",
        help="updates of the model (default: %(default)s)",
    )
    teach.add_argument(
        "--depth",
        type=int,
        default=TeachingConfig.depth,
        metavar="N",
        help=f"slices that the method {DEEP} looks at together, such as 3: each among its "
        "neighbours; takes as many times as long (default: %(default)s)",
    )
    teach.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of what is drawn; on a CPU the same seed teaches the same (default: %(default)s)",
    )
    teach.add_argument(
        "--cases", type=Path, metavar="FILE", help="use only the images named there, one a line"
    )
    add_region(teach)
    teach.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for what was taught"
    )
    add_model(teach)


def _add_evaluate(commands: Any) -> None:
    evaluate = new_command(commands, "evaluate", "measure a model on labelled images")
    add_labelled(evaluate)
    evaluate.add_argument(
        "--prompts",
        required=True,
        choices=("box", "point", "clicks", "none"),
        help="simulated: the tight box, one click, or up to 20 correcting clicks; none: without "
        "any, on all slices, for a model that was taught",
    )
    evaluate.add_argument(
        "--components", action="store_true", help="prompt each connected part by itself"
    )
    add_adapter(evaluate)
    add_region(evaluate)
    evaluate.add_argument(
        "--segment", metavar="NAME", help="which segment, if the adapter was taught several"
    )
    evaluate.add_argument(
        "--allow-seen", action="store_true", help="also images that the adapter was taught on"
    )
    evaluate.add_argument(
        "--report", type=Path, required=True, metavar="R.json", help="where the figures go"
    )
    add_model(evaluate)


def _add_finish(commands: Any) -> None:
    finish = new_command(
        commands, "finish", "segment whole volumes, without prompts, by what was taught"
    )
    finish.add_argument(
        "volume",
        type=Path,
        nargs="+",
        metavar="VOLUME",
        help="NIfTI, NRRD, MetaImage, PNG, JPEG, or a folder with one DICOM series",
    )
    finish.add_argument(
        "--adapter",
        type=Path,
        required=True,
        metavar="DIR",
        help="what was taught: a folder made by teach",
    )
    finish.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the results, made if need be: what it holds already is not done again",
    )
    finish.add_argument(
        "--axis", choices=AXES, help="normal of the slices (default: the one that was taught on)"
    )
    add_region(finish)
    finish.add_argument("--frame", type=int, metavar="N", help="frame of 4-D images, from 0")
    finish.add_argument(
        "--no-smooth", action="store_true", help="do not weigh slices against their neighbours"
    )
    finish.add_argument("--no-components", action="store_true", help="keep small stray parts")
    finish.add_argument("--no-holes", action="store_true", help="keep small holes")
    finish.add_argument(
        "--flips",
        action="store_true",
        help="look at each slice mirrored too, for another opinion; takes twice as long",
    )
    add_dask(finish)
    add_model(finish, default=None, absent="the one that was taught")
