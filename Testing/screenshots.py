"""Pictures of the panel beside live slice views, and of clicks in three, for the documentation.

    python Testing/screenshots.py [--output DIR]
    python Testing/screenshots.py --only tutorial --data DIR --width 300 --dark --output DIR

The model is the starter; the widgets are the stand-in's and not Slicer's own.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from harness.application import Application
from harness.case import Case, made_case, real_case
from harness.desktop import Desktop
from harness.slice_view import SliceView
from harness.ten_minutes import TenMinutes
from harness.theme import darken
from harness.workplace import COLOURS, Workplace, add_ct
from PIL import Image
from scipy import ndimage

from MedSAGaSlicerLib.engine.geometry import slice_of
from MedSAGaSlicerLib.engine.phantom import Phantom, make_phantom
from MedSAGaSlicerLib.scene.annotator import Annotator
from MedSAGaSlicerLib.scene.creating import new_segmentation
from MedSAGaSlicerLib.scene.mouse import MouseTool
from MedSAGaSlicerLib.scene.slices import SlicePosition, from_plane
from MedSAGaSlicerLib.scene.volumes import grid_of
from MedSAGaSlicerLib.worker.client import InferenceClient

VIEWS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}
OWN_FOLDERS = ("MEDSAGA_TAUGHT", "MEDSAGA_EXAMPLES", "MEDSAGA_CACHE")
FOLDER = Path(__file__).resolve().parent.parent / "Resources" / "Screenshots"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--only", choices=("panel", "orientations", "tutorial"))
    parser.add_argument("--width", type=int, default=340, help="of the panel, in pixels")
    parser.add_argument("--data", type=Path, help="tutorial on the real CT of these images")
    parser.add_argument("--dark", action="store_true", help="in dark colours")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    phantom = make_phantom()
    if options.only in (None, "tutorial"):
        case = made_case(phantom) if options.data is None else real_case(options.data)
        tutorial(case, options.output, options.width, dark=options.dark)
    if options.only in (None, "panel"):
        desktop = Desktop(view_size=(560, 440))
        workplace = Workplace(desktop, ("Red",))
        annotate(workplace, phantom)
        workplace.save_picture(str(options.output / "points-and-boxes.png"))
        workplace.close()
        desktop.close()
    if options.only in (None, "orientations"):
        orientations(phantom, options.output / "three-orientations.png")
    return 0


def tutorial(case: Case, folder: Path, width: int, *, dark: bool) -> None:
    """The README's tutorial: the ten minutes, with a picture of each step."""
    desktop = Desktop(view_size=(480, 480))
    if dark:
        darken(desktop)
    with tempfile.TemporaryDirectory() as own:
        # What is taught here must not lie among what the person at this machine has taught.
        os.environ.update({name: str(Path(own) / name) for name in OWN_FOLDERS})
        workplace = Workplace(desktop, panel_width=width)
        workplace.window.resize(width + 500, 900)
        walk = TenMinutes(
            workplace, case, lambda step: workplace.save_picture(str(folder / f"{step}.png"))
        )
        walk.go()
        workplace.close()
        desktop.close()


def annotate(workplace: Workplace, phantom: Phantom) -> None:
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


def orientations(phantom: Phantom, path: Path) -> None:
    """One click in each of three views of a fresh scene, and the mask that came of it."""
    application = Application()
    volume = add_ct(phantom)
    client = InferenceClient()
    segmentation = new_segmentation(volume)
    annotator = Annotator(volume, segmentation, client)
    shown = []
    organs = ("liver", "liver", "right kidney")
    chosen = zip(VIEWS.items(), organs, COLOURS, "kji", strict=True)
    for (name, orientation), organ, colour, axis in chosen:
        mask = phantom.organs[organ]
        index = int(np.bincount(np.argwhere(mask)[:, "kji".index(axis)]).argmax())
        column, row = deepest(slice_of(mask, axis, index))
        position = SlicePosition(axis, index)
        ras = grid_of(volume).to_ras(from_plane(position, column, row))
        segment = segmentation.GetSegmentation().AddEmptySegment("", organ, colour)
        view = SliceView(application, name, orientation, (300, 300))
        view.show(volume)
        view.node.JumpSliceByOffsetting(*(float(x) for x in ras))
        tool = MouseTool(annotator, segment, "point", print)
        tool.add_view(view.node, view.interactor)
        view.render()
        before = view.grab()
        place = view.xy_of(ras)
        view.click(place)
        annotator.wait()
        tool.close()
        column, row = round(place[0]), view.size[1] - 1 - round(place[1])
        # Beside the point's own symbol.
        changed = (view.grab() != before).any(axis=-1)[row - 9 : row + 9, column - 9 : column + 9]
        assert changed.mean() > 0.9, f"{orientation}: no mask under the click"
        shown.append(view)
    Image.fromarray(np.concatenate([view.grab() for view in shown], axis=1)).save(path)
    annotator.close()
    client.stop()
    for view in shown:
        view.close()
    application.close()


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
