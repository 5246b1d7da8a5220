"""What the demonstration says about whole objects: how much was found, and how well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from MedSAGaSlicerLib.engine.metrics import dice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.segmentation_file import SegmentMask


def volume_rows(
    masks: Sequence[SegmentMask], truth: Mapping[str, NDArray[np.bool_]]
) -> list[dict[str, Any]]:
    """For each object its voxels, and the Dice of the volume where the truth is known."""
    return [
        {
            "name": mask.name,
            "voxels": int(np.count_nonzero(mask.mask_kji)),
            "dice": dice(mask.mask_kji, truth[mask.name]) if mask.name in truth else None,
        }
        for mask in masks
    ]


def volume_page(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rows as lines of the report."""
    lines = [
        "",
        "From these slices the objects were carried through the volume (`medsaga segment",
        "--propagate`):",
        "",
        "| object | voxels found | Dice of the volume |",
        "|---|---:|---:|",
    ]
    for row in rows:
        agreement = "not known" if row["dice"] is None else f"{row['dice']:.3f}"
        lines.append(f"| {row['name']} | {row['voxels']} | {agreement} |")
    return lines
