"""Files as they come from scanners and other programs, read by Slicer, against SimpleITK."""

import numpy as np
import SimpleITK
import slicer
import vtk

from MedSAGaSlicerLib.engine.geometry import AXES
from MedSAGaSlicerLib.scene.segments import read_slice, write_slice
from MedSAGaSlicerLib.scene.slices import SlicePosition, locate
from MedSAGaSlicerLib.scene.volumes import grid_of, pixels_of, voxels_of

FLIP = np.array([-1, -1, 1])


def assert_same_image(volume, image, generator):
    """Every voxel that is looked at lies where SimpleITK says, and has its value.

    The two may store an image in different directions: Slicer turns left-handed ones round.
    """
    grid, voxels = grid_of(volume), voxels_of(volume)
    for _ in range(100):
        index = [int(generator.integers(n)) for n in image.GetSize()]
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        ijk = grid.to_ijk(lps * FLIP)
        nearest = np.rint(ijk).astype(int)
        assert np.abs(ijk - nearest).max() < 1e-3
        assert np.array_equal(voxels[tuple(nearest[::-1])], image[index])


def assert_can_be_annotated(scene, volume, generator):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segment = node.GetSegmentation().AddEmptySegment("", "one")
    grid = grid_of(volume)
    for axis in AXES:
        ijk = np.array([generator.integers(n) for n in grid.shape_ijk])
        position, (column, row) = locate(grid, grid.to_ras(ijk), axis)
        mask = read_slice(node, segment, grid, position)
        assert pixels_of(volume, axis, position.index).shape[:2] == mask.shape
        mask[int(row + 0.5), int(column + 0.5)] = True
        write_slice(node, segment, volume, position, mask)
        assert read_slice(node, segment, grid, SlicePosition("k", int(ijk[2])))[ijk[1], ijk[0]]
    scene.RemoveNode(node)


def test_every_odd_geometry_is_read_where_it_lies(application, scene, shared_data):
    generator = np.random.default_rng(0)
    read = 0
    for path in sorted((shared_data / "geometry").iterdir()):
        image = SimpleITK.ReadImage(str(path))
        if image.GetDimension() == 4:
            continue
        volume = application.logics["Volumes"].AddArchetypeVolume(str(path), path.name, 0)
        assert_same_image(volume, image, generator)
        assert_can_be_annotated(scene, volume, generator)
        scene.RemoveNode(volume)
        read += 1
    assert read == 20


def test_frames_of_4d_files_are_read_as_a_sequence_shows_them(application, scene, shared_data):
    generator = np.random.default_rng(1)
    for name in ("fmri_4d_oblique.nii.gz", "pcasl.nii.gz"):
        image = SimpleITK.ReadImage(str(shared_data / "geometry" / name))
        sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
        frames = [image[:, :, :, t] for t in (0, 5, 9)]
        for t, frame in enumerate(frames):
            to_lps = np.eye(4)
            directions = np.array(frame.GetDirection()).reshape(3, 3)
            to_lps[:3, :3] = directions * frame.GetSpacing()
            to_lps[:3, 3] = frame.GetOrigin()
            node = slicer.util.addVolumeFromArray(
                SimpleITK.GetArrayFromImage(frame), np.diag([-1, -1, 1, 1]) @ to_lps
            )
            sequence.SetDataNodeAtValue(node, str(t))
            scene.RemoveNode(node)
        browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
        browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
        logic = application.logics["Sequences"]
        logic.UpdateProxyNodesFromSequences(browser)
        volume = browser.GetProxyNode(sequence)
        for t, frame in enumerate(frames):
            browser.SetSelectedItemNumber(t)
            logic.UpdateProxyNodesFromSequences(browser)
            assert_same_image(volume, frame, generator)
        assert_can_be_annotated(scene, volume, generator)


def test_dicom_series_are_read_where_they_lie(application, scene, shared_data):
    generator = np.random.default_rng(2)
    for name in ("mr_t1post_oblique", "ct_sarcoma_STS_025", "ct_3slice_seg"):
        files = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(
            str(shared_data / "dicom" / name)
        )
        image = SimpleITK.ReadImage(files)
        names = vtk.vtkStringArray()
        for file in files:
            names.InsertNextValue(file)
        volume = application.logics["Volumes"].AddArchetypeVolume(files[0], name, 0, names)
        assert_same_image(volume, image, generator)
        assert_can_be_annotated(scene, volume, generator)
