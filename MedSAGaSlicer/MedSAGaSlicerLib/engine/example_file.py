"""Examples on disk: a folder with examples.json and one checked .npz file per slice."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np

from MedSAGaSlicerLib import __version__
from MedSAGaSlicerLib.engine.examples import Example, ExampleSet
from MedSAGaSlicerLib.engine.files import atomic_path
from MedSAGaSlicerLib.engine.intensity import Normalisation
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import InputError

INDEX_FILE: Final = "examples.json"
FORMAT: Final = 1
_DAMAGED: Final = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    zipfile.BadZipFile,
    zlib.error,
)


def write_examples(folder: Path, examples: ExampleSet) -> None:
    """Write a set as a folder, beside first and then renamed; an older one there is replaced.

    Raises:
        InputError: the place cannot be written.
        OSError: the disk is full; what was there before stays.
    """
    with atomic_path(folder) as temporary:
        temporary.mkdir(mode=0o700)
        slices = []
        for number, example in enumerate(examples.examples):
            name = f"{number:04d}.npz"
            names = list(example.masks)
            packed = np.packbits(np.stack([example.masks[each] for each in names]), axis=-1)
            arrays: dict[str, Any] = {"pixels": example.pixels, "masks": packed}
            if example.neighbours is not None:
                arrays["neighbours"] = example.neighbours
            with (temporary / name).open("wb") as file:
                np.savez_compressed(file, **arrays)
            slices.append(_described(example, name, names))
        content = {
            "format": FORMAT,
            "version": __version__,
            "segments": list(examples.segments),
            "slices": slices,
        }
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        (temporary / INDEX_FILE).write_text(text, encoding="utf-8")


def read_examples(folder: Path) -> ExampleSet:
    """Read what `write_examples` wrote.

    Raises:
        InputError: it is no such folder, of a newer format, or a file of it is damaged.
    """
    content = read_index(folder)
    try:
        examples = tuple(_example(folder, fields) for fields in content["slices"])
        return ExampleSet(tuple(content["segments"]), examples)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{folder / INDEX_FILE} is damaged ({error!r}). Export the examples again."
        raise InputError(msg) from error


def read_index(folder: Path) -> dict[str, Any]:
    """What examples.json of a folder says, without reading any slice.

    Raises:
        InputError: it is missing, no JSON, or of a newer format.
    """
    path = folder / INDEX_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        written = content["format"]
    except OSError as error:
        msg = f"{folder} holds no examples: {path.name} cannot be read ({error.strerror})."
        raise InputError(msg) from error
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{path} is damaged ({error!r}). Export the examples again."
        raise InputError(msg) from error
    if written != FORMAT:
        msg = (
            f"{path} has the format {written!r} of version {content.get('version', 'unknown')}; "
            f"this version reads {FORMAT}. Update, or export the examples again."
        )
        raise InputError(msg)
    return dict(content)


def prompts_content(prompts: Prompts) -> dict[str, Any]:
    """Prompts as plain values for JSON."""
    return {
        "points": [list(point) for point in prompts.points],
        "positive": list(prompts.positive),
        "box": None if prompts.box is None else list(prompts.box),
    }


def _described(example: Example, file: str, names: list[str]) -> dict[str, Any]:
    return {
        "file": file,
        "case": example.case,
        "axis": example.axis,
        "index": example.index,
        "key": example.key,
        "size": list(example.size),
        "segments": names,
        "normalisation": example.normalisation.to_dict(),
        "spacing_mm": list(example.spacing_mm),
        "step_mm": example.step_mm,
        "prompts": {name: prompts_content(given) for name, given in example.prompts.items()},
    }


def _example(folder: Path, fields: dict[str, Any]) -> Example:
    path = folder / Path(str(fields["file"])).name
    rows, columns = (int(side) for side in fields["size"])
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            pixels, packed = content["pixels"], content["masks"]
            # Sets of before there was a use for them, and all that were made without, lack them.
            neighbours = content.get("neighbours")
        masks = np.unpackbits(packed, axis=-1, count=columns).astype(bool)
        names = [str(name) for name in fields["segments"]]
        example = Example(
            str(fields["case"]),
            str(fields["axis"]),
            int(fields["index"]),
            pixels,
            dict(zip(names, masks, strict=True)),
            Normalisation.from_dict(fields["normalisation"]),
            _pair(fields["spacing_mm"]),
            float(fields["step_mm"]),
            {name: _prompts(given) for name, given in fields["prompts"].items()},
            neighbours,
        )
        intact = example.key == fields["key"] and example.size == (rows, columns)
    except (*_DAMAGED, InputError) as error:
        msg = f"The example {path} is damaged ({error}). Delete it, or export the examples again."
        raise InputError(msg) from error
    if not intact:
        msg = f"The example {path} is not the one that {INDEX_FILE} names. Export it again."
        raise InputError(msg)
    return example


def _prompts(fields: dict[str, Any]) -> Prompts:
    box = fields["box"]
    left, top, right, bottom = (0.0,) * 4 if box is None else (float(edge) for edge in box)
    return Prompts(
        tuple(_pair(point) for point in fields["points"]),
        tuple(bool(sign) for sign in fields["positive"]),
        None if box is None else (left, top, right, bottom),
    )


def _pair(values: Any) -> tuple[float, float]:
    first, second = values
    return float(first), float(second)
