"""What a person walks through: a volume, and the truth about one organ in it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from MedSAGaSlicerLib.engine.geometry import Geometry
from MedSAGaSlicerLib.engine.images import read_image
from MedSAGaSlicerLib.engine.phantom import Phantom, make_phantom


@dataclass(frozen=True, eq=False)
class Case:
    """A CT in Hounsfield units, int16 (k, j, i), and an organ as a mask of the same grid."""

    organ: str
    ct_kji: NDArray[np.int16]
    geometry: Geometry
    truth: NDArray[np.bool_]


def made_case(phantom: Phantom | None = None) -> Case:
    """The phantom's."""
    phantom = phantom or make_phantom()
    return Case("liver", phantom.ct_kji, phantom.geometry, phantom.organs["liver"])


def real_case(shared_data: Path) -> Case:
    """A trunk, 3 mm in each direction, of which the starter has learned nothing."""
    folder, bladder = shared_data / "3d" / "abdomen_ct_multiorgan", 21
    image = read_image(folder / "images" / "example_ct.nii.gz")
    labels = read_image(folder / "labels" / "example_ct.nii.gz").array_kji
    ct = np.asarray(image.array_kji).astype(np.int16)
    return Case("bladder", ct, image.geometry, np.asarray(labels) == bladder)
