"""How well two masks agree: Dice and normalised surface Dice."""

from __future__ import annotations

import importlib.util
import warnings
from typing import TYPE_CHECKING

import numpy as np

from MedSAGaSlicerLib.errors import DependencyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def dice(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Dice of two masks of one shape, 0 to 1: 2·|A∩B| / (|A|+|B|); 1 if both are empty."""
    total = int(np.count_nonzero(mask)) + int(np.count_nonzero(truth))
    if total == 0:
        return 1.0
    # Of a volume slice by slice: what both have in common would be another volume.
    parts = zip(mask, truth, strict=True) if mask.ndim == 3 else [(mask, truth)]
    both = sum(int(np.count_nonzero(a & b)) for a, b in parts)
    return 2.0 * both / total


def nsd(
    mask: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    spacing: Sequence[float],
    tolerance: float,
) -> float:
    """Normalised surface Dice: the part of both surfaces that lies within ``tolerance``.

    The masks are 2-D or 3-D; ``spacing`` has one value per array axis, in array order, in the unit
    of ``tolerance``. Both empty gives 1, one empty 0. Surfaces are those of Nikolov et al. (2018,
    arXiv:1809.04430), weighted by area, as MONAI computes them: of the libraries with this measure
    it is the one that is kept up, and it needs only numpy and torch (DeepMind's own package fails
    with NumPy 2 on an empty mask).

    Raises:
        DependencyError: MONAI is not installed.
    """
    if not mask.any() or not truth.any():
        return float(not mask.any() and not truth.any())
    check_nsd_available()
    # Here, not above: together they cost seconds, and Dice needs neither.
    import torch

    with warnings.catch_warnings():
        # MONAI warns of its own calls' deprecations, and its optional parts of what they lack.
        warnings.simplefilter("ignore")
        from monai.metrics.surface_dice import compute_surface_dice

        cropped = [torch.from_numpy(part)[None, None] for part in _joint_crop(mask, truth)]
        value = compute_surface_dice(
            *cropped,
            class_thresholds=[tolerance],
            include_background=True,
            spacing=[float(step) for step in spacing],
            use_subvoxels=True,
        )
    return float(value.item())


def check_nsd_available() -> None:
    """Say so before hours of work if the library behind `nsd` is missing.

    Raises:
        DependencyError: MONAI is not installed.
    """
    if importlib.util.find_spec("monai") is None:
        msg = "The package monai is missing; it measures surface agreement. Run: pip install monai"
        raise DependencyError(msg)


def _joint_crop(*masks: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Only where a mask is, plus a voxel: what lies outside costs time and changes nothing."""
    box = []
    for axis in range(masks[0].ndim):
        others = tuple(other for other in range(masks[0].ndim) if other != axis)
        places = np.flatnonzero(np.logical_or.reduce([mask.any(axis=others) for mask in masks]))
        box.append(slice(int(places[0]), int(places[-1]) + 1))
    return [np.pad(mask[tuple(box)], 1) for mask in masks]
