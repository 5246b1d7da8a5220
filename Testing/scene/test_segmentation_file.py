"""Segmentation files of the command line, as Slicer itself reads them."""

from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from MedSAGaSlicerLib.engine.geometry import Geometry
from MedSAGaSlicerLib.engine.segmentation_file import SegmentMask, write_segmentation

C, S = np.cos(0.3), np.sin(0.3)
STRAIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
TURNED = ((C, -S, 0.0), (S, C, 0.0), (0.0, 0.0, 1.0))
LEFT_HANDED = ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))


def block(shape: tuple[int, int, int], *ranges: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*limits) for limits in ranges)] = True
    return mask


def geometry(directions: tuple[tuple[float, float, float], ...] = TURNED) -> Geometry:
    return Geometry((6, 5, 4), (0.7, 0.8, 2.5), (-10.0, 20.0, -30.5), directions)


SHAPE = (4, 5, 6)
LOW = block(SHAPE, (0, 3), (0, 3), (0, 3))
HIGH = block(SHAPE, (2, 4), (2, 5), (2, 6))
APART = block(SHAPE, (0, 1), (4, 5), (4, 6))


def read(scene: slicer.vtkMRMLScene, path: Path) -> slicer.vtkMRMLSegmentationNode:
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    return node


def segments(node: slicer.vtkMRMLSegmentationNode) -> list[slicer.vtkSegment]:
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegment(at) for at in range(segmentation.GetNumberOfSegments())]


def voxels_ras(node: slicer.vtkMRMLSegmentationNode, at: int) -> np.ndarray:
    """Where the centres of a segment's voxels lie, (n, 3), sorted."""
    image = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(node.GetSegmentation().GetNthSegmentID(at), image)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    ijk_to_ras = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
    extent = image.GetExtent()
    columns, rows, slices = (extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in range(3))
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(slices, rows, columns)
    k, j, i = np.nonzero(array)
    ijk = np.stack([i + extent[0], j + extent[2], k + extent[4], np.ones(i.size)])
    return np.array(sorted(np.round((ijk_to_ras @ ijk)[:3].T, 4).tolist()))


def expected_ras(mask: np.ndarray, grid: Geometry) -> np.ndarray:
    k, j, i = np.nonzero(mask)
    lps = (grid.ijk_to_lps @ np.stack([i, j, k, np.ones(i.size)]))[:3].T
    return np.array(sorted(np.round(lps * (-1, -1, 1), 4).tolist()))


def test_names_and_colours_are_slicers(scene: slicer.vtkMRMLScene, tmp_path: Path) -> None:
    names = ["tumour", "lebér 肝 печень", 'a|b := "c" \\n']
    masks = [
        SegmentMask(name, color, mask)
        for name, color, mask in zip(
            names, [(1, 0, 0.25), (0.2, 0.4, 0.6), None], [LOW, APART, HIGH], strict=True
        )
    ]
    write_segmentation(tmp_path / "a.seg.nrrd", masks, geometry())
    found = segments(read(scene, tmp_path / "a.seg.nrrd"))
    assert [segment.GetName() for segment in found] == names
    assert found[0].GetColor() == pytest.approx((1, 0, 0.25))
    assert found[1].GetColor() == pytest.approx((0.2, 0.4, 0.6))
    assert max(found[2].GetColor()) > 0.5


@pytest.mark.parametrize("directions", [STRAIGHT, TURNED, LEFT_HANDED])
@pytest.mark.parametrize("masks", [[LOW, APART], [LOW, HIGH], [LOW, HIGH, APART, LOW & HIGH]])
def test_each_segment_lies_where_it_was_found(
    scene: slicer.vtkMRMLScene,
    tmp_path: Path,
    masks: list[np.ndarray],
    directions: tuple[tuple[float, float, float], ...],
) -> None:
    grid = geometry(directions)
    written = [SegmentMask(str(at), None, mask) for at, mask in enumerate(masks)]
    write_segmentation(tmp_path / "a.seg.nrrd", written, grid)
    node = read(scene, tmp_path / "a.seg.nrrd")
    for at, mask in enumerate(masks):
        assert np.allclose(voxels_ras(node, at), expected_ras(mask, grid), atol=1e-3)


def test_segments_that_do_not_overlap_share_a_label_map(
    scene: slicer.vtkMRMLScene, tmp_path: Path
) -> None:
    masks = [SegmentMask("a", None, LOW), SegmentMask("b", None, APART)]
    write_segmentation(tmp_path / "a.seg.nrrd", masks, geometry())
    node = read(scene, tmp_path / "a.seg.nrrd")
    assert node.GetSegmentation().GetNumberOfLayers() == 1
    assert [segment.GetLabelValue() for segment in segments(node)] == [1, 2]


def test_an_empty_segment_is_kept(scene: slicer.vtkMRMLScene, tmp_path: Path) -> None:
    masks = [SegmentMask("a", None, LOW), SegmentMask("empty", None, np.zeros_like(LOW))]
    write_segmentation(tmp_path / "a.seg.nrrd", masks, geometry())
    node = read(scene, tmp_path / "a.seg.nrrd")
    assert [segment.GetName() for segment in segments(node)] == ["a", "empty"]
    assert voxels_ras(node, 1).size == 0


def test_new_segments_are_drawn_on_the_images_grid(
    scene: slicer.vtkMRMLScene, tmp_path: Path
) -> None:
    write_segmentation(tmp_path / "a.seg.nrrd", [SegmentMask("a", None, LOW)], geometry())
    segmentation = read(scene, tmp_path / "a.seg.nrrd").GetSegmentation()
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    image = slicer.vtkOrientedImageData()
    assert slicer.vtkSegmentationConverter.DeserializeImageGeometry(
        segmentation.GetConversionParameter(name), image
    )
    assert image.GetExtent() == (0, 5, 0, 4, 0, 3)
    assert image.GetSpacing() == pytest.approx((0.7, 0.8, 2.5))
    assert image.GetOrigin() == pytest.approx((10.0, -20.0, -30.5))


def test_slicer_writes_it_again_with_nothing_lost(
    scene: slicer.vtkMRMLScene, tmp_path: Path
) -> None:
    grid = geometry()
    masks = [SegmentMask("肝", (0, 1, 0), LOW), SegmentMask("b", None, HIGH)]
    write_segmentation(tmp_path / "a.seg.nrrd", masks, grid)
    node = read(scene, tmp_path / "a.seg.nrrd")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(tmp_path / "b.seg.nrrd"))
    assert storage.WriteData(node)
    again = read(scene, tmp_path / "b.seg.nrrd")
    assert [segment.GetName() for segment in segments(again)] == ["肝", "b"]
    for at, mask in enumerate((LOW, HIGH)):
        assert np.allclose(voxels_ras(again, at), expected_ras(mask, grid), atol=1e-3)
