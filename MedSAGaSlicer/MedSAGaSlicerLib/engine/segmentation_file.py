"""Writing segmentations as Slicer's own file: .seg.nrrd with names, colours and layers."""

from __future__ import annotations

import colorsys
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from MedSAGaSlicerLib.engine.files import atomic_path, check_writable
from MedSAGaSlicerLib.engine.geometry import Geometry
from MedSAGaSlicerLib.engine.prompts import Color
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIX: Final = ".seg.nrrd"

# What Slicer itself writes for a segment that nobody has given a type.
_TISSUE: Final = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^85756007^Tissue~"
    "SCT^85756007^Tissue~^^~Anatomic codes - DICOM master list~^^~^^"
)


@dataclass(frozen=True, eq=False)
class SegmentMask:
    """One object: its name in any script, its colour (made up if None), and its voxels (bool)."""

    name: str
    color: Color | None
    mask_kji: NDArray[np.bool_]


def default_color(number: int) -> Color:
    """A colour for the ``number``-th segment, from 0, far from those of its neighbours."""
    # The golden ratio spreads hues evenly however many are asked for.
    return colorsys.hsv_to_rgb((number * 0.618034) % 1.0, 0.75, 0.95)


def check_segmentation_path(path: Path) -> None:
    """Refuse an output path before work is spent on it.

    Raises:
        InputError: the name does not end in .seg.nrrd, or its folder cannot be written.
    """
    if not path.name.lower().endswith(SUFFIX):
        msg = f"The output {path} must end in {SUFFIX}: by that Slicer opens it as a segmentation."
        raise InputError(msg)
    if path.is_dir():
        msg = f"The output {path} is a folder. Name a file."
        raise InputError(msg)
    check_writable(path)


def write_segmentation(path: Path, segments: Sequence[SegmentMask], geometry: Geometry) -> None:
    """Write segments in the image's grid; label values 1, 2, ... in order.

    Segments that do not overlap share one 3-D label map, which any NRRD reader understands.
    Overlapping ones go to layers (a fourth dimension, first in the file), as Slicer does it: none
    loses a voxel to another.

    Raises:
        InputError: the path or a mask's shape is wrong, or there is no segment.
    """
    check_segmentation_path(path)
    if not segments:
        msg = f"There is no segment to write to {path}."
        raise InputError(msg)
    for segment in segments:
        if segment.mask_kji.shape != geometry.shape_kji:
            msg = (
                f"The mask of {segment.name!r} has shape {segment.mask_kji.shape}, the image "
                f"{geometry.shape_kji} (k, j, i). They must be the same grid."
            )
            raise InputError(msg)
    layers, layer_of = _layers(segments, geometry)
    _write(path, layers, [(one.name, one.color) for one in segments], layer_of, geometry)


def write_label_map(
    path: Path, labels_kji: NDArray[Any], names: Sequence[str], geometry: Geometry
) -> None:
    """Write a label map (k, j, i) of uint8 or uint16 whose values 1, 2, ... are the named segments.

    Raises:
        InputError: the path or the shape is wrong, or there is no segment.
    """
    check_segmentation_path(path)
    if not names or labels_kji.shape != geometry.shape_kji:
        msg = (
            f"{len(names)} segments of shape {labels_kji.shape} cannot be written to {path}: one "
            f"at least is needed, and the image's grid {geometry.shape_kji} (k, j, i)."
        )
        raise InputError(msg)
    _write(path, [labels_kji], [(name, None) for name in names], [0] * len(names), geometry)


def _write(
    path: Path,
    layers: list[NDArray[Any]],
    named: Sequence[tuple[str, Color | None]],
    layer_of: list[int],
    geometry: Geometry,
) -> None:
    lines = ["NRRD0004"]
    lines += [f"{field}: {value}" for field, value in _fields(layers, geometry).items()]
    keys = _keys(named, layer_of, geometry)
    lines += [f"{key}:={_escape(value)}" for key, value in keys.items()]
    # Written here, since pynrrd and ITK's writers restrict names to ASCII or change the kinds.
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(("\n".join(lines) + "\n\n").encode("utf-8"))
        # No time in the file: the same masks give the same bytes.
        with gzip.GzipFile("", "wb", compresslevel=6, fileobj=stream, mtime=0) as packed:
            for parts in zip(*layers, strict=True):
                # The layer runs fastest in the file. Slice by slice: no second label map.
                labels = np.stack(parts, axis=-1) if len(parts) > 1 else parts[0]
                packed.write(labels.astype(labels.dtype.newbyteorder("<"), order="C").tobytes())


def _layers(
    segments: Sequence[SegmentMask], geometry: Geometry
) -> tuple[list[NDArray[Any]], list[int]]:
    """Label maps, as few as first-fit gives, and the one that each segment lies in."""
    kind = np.uint8 if len(segments) < 256 else np.uint16
    layers: list[NDArray[Any]] = []
    layer_of = []
    for value, segment in enumerate(segments, start=1):
        free = [at for at, layer in enumerate(layers) if not _meet(layer, segment.mask_kji)]
        if not free:
            layers.append(np.zeros(geometry.shape_kji, kind))
        chosen = free[0] if free else len(layers) - 1
        for part, mask in zip(layers[chosen], segment.mask_kji, strict=True):
            # What is never written to takes no memory.
            if mask.any():
                part[mask] = value
        layer_of.append(chosen)
    return layers, layer_of


def _meet(layer: NDArray[Any], mask_kji: NDArray[np.bool_]) -> bool:
    return any(mask.any() and part[mask].any() for part, mask in zip(layer, mask_kji, strict=True))


def _fields(layers: list[NDArray[Any]], geometry: Geometry) -> dict[str, str]:
    layered = len(layers) > 1
    sizes = layers[0].shape + (len(layers),) * layered
    # NRRD lists the axes i, j, k; each vector is the step to the next voxel along one of them.
    steps = (np.asarray(geometry.directions) * np.asarray(geometry.spacing_mm)).T
    return {
        "type": "unsigned char" if layers[0].dtype == np.uint8 else "unsigned short",
        "dimension": str(len(sizes)),
        "space": "left-posterior-superior",
        # Fastest first, so the other way round than the array in C order.
        "sizes": " ".join(map(str, sizes[::-1])),
        "space directions": "none " * layered + " ".join(_vector(step) for step in steps),
        "kinds": "list " * layered + "domain domain domain",
        "endian": "little",
        "encoding": "gzip",
        "space origin": _vector(geometry.origin),
    }


def _vector(values: Sequence[float] | NDArray[np.float64]) -> str:
    # 17 digits give the same double back; adding 0 turns -0 into 0.
    return f"({','.join(f'{float(value) + 0.0:.17g}' for value in values)})"


def _keys(
    named: Sequence[tuple[str, Color | None]], layer_of: list[int], geometry: Geometry
) -> dict[str, str]:
    keys = {
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_ConversionParameters": _reference_geometry(geometry),
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    for number, ((name, given), layer) in enumerate(zip(named, layer_of, strict=True)):
        color = given or default_color(number)
        of_segment = {
            "Color": " ".join(f"{part:.6g}" for part in color),
            "ColorAutoGenerated": "0" if given else "1",
            "Extent": " ".join(f"0 {count - 1}" for count in geometry.shape_ijk),
            "ID": f"Segment_{number + 1}",
            "LabelValue": str(number + 1),
            "Layer": str(layer),
            "Name": name,
            "NameAutoGenerated": "0",
            "Tags": f"TerminologyEntry:{_TISSUE}|",
        }
        keys.update({f"Segment{number}_{key}": value for key, value in of_segment.items()})
    return keys


def _reference_geometry(geometry: Geometry) -> str:
    """The image's grid as Slicer keeps it, so that new segments are drawn on the same one."""
    ijk_to_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ geometry.ijk_to_lps + 0.0
    numbers = [f"{value:.17g}" for value in ijk_to_ras.ravel()]
    for count in geometry.shape_ijk:
        numbers += ["0", str(count - 1)]
    return f"Reference image geometry|{';'.join(numbers)};|Grid of the segmented image.&"


def _escape(value: str) -> str:
    """NRRD's two escapes: a header field is one line."""
    return value.replace("\\", "\\\\").replace("\n", "\\n")
