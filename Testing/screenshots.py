"""Pictures of the panel beside live slice views, for the documentation.

    python Testing/screenshots.py [--output DIR]

The model is the starter; the widgets are the stand-in's and not Slicer's own.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from harness.desktop import Desktop
from harness.workplace import LEFT, Workplace, add_ct
from PySide6.QtTest import QTest
from scipy import ndimage

from MedSAGaSlicerLib.engine.phantom import Phantom, make_phantom

FOLDER = Path(__file__).resolve().parent.parent / "Resources" / "Screenshots"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    phantom = make_phantom()
    for name, view, annotate in (("points-and-boxes", "Red", axial), ("coronal", "Green", coronal)):
        desktop = Desktop(view_size=(560, 440))
        workplace = Workplace(desktop, (view,))
        annotate(workplace, phantom)
        workplace.save_picture(str(options.output / f"{name}.png"))
        workplace.close()
        desktop.close()
    return 0


def axial(workplace: Workplace, phantom: Phantom) -> None:
    """Three organs: two by a point each, one by a box."""
    volume, k = add_ct(phantom), 27
    for name in ("liver", "left kidney", "spleen"):
        mask = phantom.organs[name][k]
        workplace.choose(volume, name)
        if name == "spleen":
            left, top, right, bottom = frame(mask)
            workplace.drag((left, top, k), (right, bottom, k))
        else:
            i, j = deepest(mask)
            workplace.click((i, j, k))
        workplace.wait_for_masks()


def coronal(workplace: Workplace, phantom: Phantom) -> None:
    """The liver in a coronal slice, which is confirmed."""
    workplace.choose(add_ct(phantom), "liver")
    j = 68
    left, low, right, high = frame(phantom.organs["liver"][:, j])
    workplace.drag((left, j, low), (right, j, high), "Green")
    workplace.wait_for_masks()
    QTest.mouseClick(workplace.ui.confirmButton, LEFT)


def frame(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The box around a mask: first column and row, last column and row."""
    (top, left), (bottom, right) = np.argwhere(mask).min(0), np.argwhere(mask).max(0)
    return int(left), int(top), int(right), int(bottom)


def deepest(mask: np.ndarray) -> tuple[int, int]:
    """The (column, row) that is farthest from the border."""
    row, column = np.unravel_index(ndimage.distance_transform_edt(mask).argmax(), mask.shape)
    return int(column), int(row)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
