"""Options that several commands have."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.errors import InputError


def add_region(command: argparse.ArgumentParser) -> None:
    """How slices are shown to the model."""
    command.add_argument(
        "--region",
        type=_region,
        metavar="auto|whole|tiles[:SIDE]|i0:i1,j0:j1,k0:k1",
        help="how slices are shown: whole, and what is in small boxes from near (auto); whole; in "
        "overlapping tiles; or only these voxels, counted from 0, the last one outside, either may "
        "be left out (default: as the adapter was taught, otherwise auto)",
    )


def _region(text: str) -> RegionChoice:
    try:
        return RegionChoice.parse(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_dask(command: argparse.ArgumentParser) -> None:
    """Who does the work on many volumes."""
    command.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="have the workers of a Dask cluster do the volumes, such as tcp://host:8786; they "
        "must see the files under the same paths",
    )


def add_labelled(command: argparse.ArgumentParser) -> None:
    """Labelled images."""
    command.add_argument("--images", type=Path, required=True, metavar="DIR", help="the images")
    command.add_argument(
        "--labels",
        type=Path,
        required=True,
        metavar="DIR",
        help="their label maps, of the same names up to the first dot",
    )
    command.add_argument(
        "--label", required=True, metavar="V", help="a value (3), one object of several (1,2), any"
    )


def add_adapter(command: argparse.ArgumentParser) -> None:
    """What was taught."""
    command.add_argument(
        "--adapter", type=Path, metavar="DIR", help="what was taught: a folder made by teach"
    )


def new_command(commands: Any, name: str, about: str) -> argparse.ArgumentParser:
    """A command whose options cannot be abbreviated."""
    # Abbreviated options would change their meaning whenever an option is added.
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=about, description=about[0].upper() + about[1:] + ".", allow_abbrev=False
    )
    command.set_defaults(command=name)
    return command


def add_model(
    command: argparse.ArgumentParser,
    default: str | None = "starter",
    absent: str = "%(default)s",
) -> None:
    """Which model computes, and where."""
    command.add_argument(
        "--model",
        default=default,
        metavar="NAME|FILE",
        help=f"a name of `medsaga models` or a weight file (default: {absent})",
    )
    command.add_argument(
        "--device",
        default="auto",
        metavar="auto|cpu|cuda[:n]|mps",
        help="where to compute; mps is untested (default: %(default)s)",
    )
    command.add_argument("--threads", type=int, metavar="N", help="CPU threads")
    command.add_argument(
        "--precision",
        default="float32",
        metavar="NAME",
        help="what the encoder computes in: float32, bfloat16, the same by OpenVINO (openvino, "
        "openvino-bfloat16), auto: the fastest here (default: %(default)s)",
    )
    command.add_argument("--json", action="store_true", help="progress as one JSON object a line")
