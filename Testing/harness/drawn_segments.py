"""Segmentations with something in them."""

import numpy as np
import slicer

IDS = ("tumour", "liver", "spleen")


def blobs(shape_kji, seed=0):
    """Three overlapping or touching balls, bool (k, j, i) each."""
    generator = np.random.default_rng(seed)
    zyx = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape_kji), indexing="ij"))
    centres = generator.uniform(-0.4, 0.4, size=(3, 3))
    return [((zyx - c[:, None, None, None]) ** 2).sum(axis=0) < 0.25 for c in centres]


def draw_all(node, volume, masks):
    """Put masks into the three segments by Slicer's own functions."""
    for segment, mask in zip(IDS, masks, strict=True):
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            mask.astype(np.uint8), node, segment, volume
        )
