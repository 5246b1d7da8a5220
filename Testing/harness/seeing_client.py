"""A worker that finds what is bright, and a volume with a bright cylinder."""

import numpy as np
import slicer
from harness.fake_client import FakeClient

from MedSAGaSlicerLib.scene.segments import read_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of

SIZE = (14, 32, 40)


class SeeingClient(FakeClient):
    """Finds what is bright in the box, or where the points are."""

    def decode(self, key, prompts, *, pixels=None, **options):
        self._bright = pixels() > 128
        return super().decode(key, prompts, pixels=pixels, **options)

    def predict(self, size, prompts):
        if prompts.box is None:
            return self._bright.copy()
        left, top, right, bottom = (round(edge) for edge in prompts.box)
        near = np.zeros(size, bool)
        near[max(0, top - 2) : bottom + 3, max(0, left - 2) : right + 3] = True
        return self._bright & near


def cylinder(first=3, last=10):
    k, j, i = np.mgrid[: SIZE[0], : SIZE[1], : SIZE[2]]
    within = (k >= first) & (k <= last)
    return within & ((i - 18) ** 2 + (j - 15 - 0.5 * (k - 6)) ** 2 <= 36)


def make_volume(truth, spacing=3.0):
    noise = np.random.default_rng(0).integers(0, 20, truth.shape)
    voxels = np.where(truth, 400, 100).astype(np.int16) + noise.astype(np.int16)
    ijk_to_ras = np.diag([1.0, 1.0, spacing, 1.0])
    return slicer.util.addVolumeFromArray(voxels, ijk_to_ras, "MR")


def box(annotator, truth, index, segment="tumour"):
    rows, columns = np.nonzero(truth[index])
    corners = (columns.min(), rows.min()), (columns.max(), rows.max())
    annotator.box_on(segment, SlicePosition("k", index), *corners)
    annotator.wait()


def found(annotator, segment="tumour"):
    grid = grid_of(annotator.volume)
    places = [SlicePosition("k", k) for k in range(grid.shape_ijk[2])]
    return np.stack([read_slice(annotator.segmentation, segment, grid, p) for p in places])


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))
