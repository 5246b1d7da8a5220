"""Examples as a dataset for nnU-Net, for those who have come to need a network of their own.

Its version 2 reads 2-D images and one label map for each (documentation/dataset_format.md there).
A slice on which some segment is not known is marked with its "ignore" label where nothing is drawn.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import SimpleITK

from MedSAGaSlicerLib.engine.files import atomic_path
from MedSAGaSlicerLib.engine.json_file import write_json
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.examples import Example, ExampleSet

_ENDING: Final = ".nii.gz"
_COLORS: Final = ("red", "green", "blue")


def export_nnunet(examples: ExampleSet, folder: Path, number: int, name: str) -> Path:
    """Write ``DatasetXXX_name`` into a folder; each confirmed slice is a 2-D training case.

    Grey levels are those after normalisation; spacing is kept.

    Args:
        examples: at least one slice; all grey or all in colour.
        folder: nnU-Net's raw folder (nnUNet_raw), which must exist.
        number: of the dataset, 1 to 999.
        name: of the dataset; letters, digits, - and _.

    Returns:
        The dataset's folder, which must not exist yet.

    Raises:
        InputError: the name or number is none, segments overlap (nnU-Net knows one label a pixel),
            grey and colour are mixed, or the folder cannot be written.
    """
    if not 1 <= number <= 999 or not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        msg = (
            f"nnU-Net's datasets have a number from 1 to 999 and a name of letters, digits, - and "
            f"_; given were {number} and {name!r}."
        )
        raise InputError(msg)
    target = folder / f"Dataset{number:03d}_{name}"
    if target.exists():
        msg = f"{target} exists already. Delete it, or choose another number."
        raise InputError(msg)
    taken = sorted({"background", "ignore"} & set(examples.segments))
    if taken:
        msg = f"nnU-Net has a meaning of its own for the label {taken[0]!r}. Rename the segment."
        raise InputError(msg)
    in_color = {example.pixels.ndim == 3 for example in examples.examples}
    if len(in_color) > 1:
        msg = "Some slices are grey and some are in colour: nnU-Net needs one kind. Export each."
        raise InputError(msg)
    labels = [_label_map(example, examples.segments) for example in examples.examples]
    with atomic_path(target) as temporary:
        (temporary / "imagesTr").mkdir(parents=True)
        (temporary / "labelsTr").mkdir()
        for place, (example, label) in enumerate(zip(examples.examples, labels, strict=True)):
            case = f"slice_{place:04d}"
            channels = np.atleast_3d(example.pixels)
            for channel in range(channels.shape[2]):
                file = f"{case}_{channel:04d}{_ENDING}"
                _write(temporary / "imagesTr" / file, channels[..., channel], example)
            _write(temporary / "labelsTr" / f"{case}{_ENDING}", label, example)
        write_json(temporary / "dataset.json", _description(examples, in_color == {True}))
    return target


def _label_map(example: Example, segments: tuple[str, ...]) -> NDArray[np.uint8]:
    """Segments as 1, 2, ...; the "ignore" label, the highest, where a segment is not known."""
    known = all(name in example.masks for name in segments)
    labels = np.full(example.size, 0 if known else len(segments) + 1, np.uint8)
    taken = np.zeros(example.size, bool)
    for value, name in enumerate(segments, start=1):
        mask = example.masks.get(name)
        if mask is None:
            continue
        both = int(np.count_nonzero(mask & taken))
        if both:
            msg = (
                f"On {example}, {name!r} overlaps another segment in {both} pixels: nnU-Net knows "
                "one label a pixel. Export fewer segments, or take the overlap away."
            )
            raise InputError(msg)
        taken |= mask
        labels[mask] = value
    return labels


def _description(examples: ExampleSet, in_color: bool) -> dict[str, object]:
    labels: dict[str, int] = {"background": 0}
    labels.update({name: value for value, name in enumerate(examples.segments, start=1)})
    if any(set(example.masks) != set(examples.segments) for example in examples.examples):
        labels["ignore"] = len(examples.segments) + 1
    channels = _COLORS if in_color else ("grey",)
    return {
        "channel_names": {str(at): channel for at, channel in enumerate(channels)},
        "labels": labels,
        "numTraining": len(examples.examples),
        "file_ending": _ENDING,
    }


def _write(path: Path, values: NDArray[np.uint8], example: Example) -> None:
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(values))
    along_rows, along_columns = example.spacing_mm
    image.SetSpacing((along_columns, along_rows))
    SimpleITK.WriteImage(image, str(path), useCompression=True)
