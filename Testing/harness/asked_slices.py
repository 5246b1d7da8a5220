"""Where tests ask, and what they paint."""

from harness.fake_client import draw

from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.scene.segments import read_slice, write_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of

K5 = SlicePosition("k", 5)


def ras(annotator, i, j, k):
    return grid_of(annotator.volume).to_ras((i, j, k))


def slice_now(annotator, segment="tumour", position=K5):
    return read_slice(annotator.segmentation, segment, grid_of(annotator.volume), position)


def paint(annotator, mask, segment="tumour", position=K5):
    write_slice(annotator.segmentation, segment, annotator.volume, position, mask)


def disc(*points, radius=3.0):
    return draw((20, 24), Prompts(tuple(points), (True,) * len(points)), radius)
