"""Images of many formats come in as one volume, or are refused with the reason."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from made_images import save_image

from MedSAGaSlicerLib.engine.images import read_image
from MedSAGaSlicerLib.errors import InputError

RAMP = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
COLOUR = np.arange(72, dtype=np.uint8).reshape(2, 3, 4, 3)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.nhdr", "a.mha", "a.mhd"])
def test_volumes_keep_values_and_place(tmp_path: Path, name: str) -> None:
    turned = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    path = save_image(
        tmp_path / name,
        RAMP,
        spacing=(0.5, 1.0, 3.0),
        origin=(10.0, -20.0, 30.0),
        direction=turned,
    )
    volume = read_image(path)
    assert (volume.array_kji == RAMP).all()
    assert volume.geometry.shape_ijk == (4, 3, 2)
    assert volume.geometry.spacing_mm == pytest.approx((0.5, 1.0, 3.0))
    assert volume.geometry.origin == pytest.approx((10, -20, 30))
    assert np.allclose(volume.geometry.directions, np.reshape(turned, (3, 3)), atol=1e-6)
    assert not volume.is_2d
    assert not volume.is_picture


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
def test_colour_volumes_have_channels_last(tmp_path: Path, name: str) -> None:
    volume = read_image(save_image(tmp_path / name, COLOUR))
    assert (volume.array_kji == COLOUR).all()
    assert volume.geometry.shape_ijk == (4, 3, 2)


def test_a_picture_is_one_slice_without_millimetres(tmp_path: Path) -> None:
    grey = read_image(save_image(tmp_path / "a.png", RAMP[0].astype(np.uint8)))
    assert grey.array_kji.shape == (1, 3, 4)
    assert grey.geometry.shape_ijk == (4, 3, 1)
    assert grey.is_2d
    assert grey.is_picture
    colour = read_image(save_image(tmp_path / "b.jpg", COLOUR[0]))
    assert colour.array_kji.shape == (1, 3, 4, 3)


def test_alpha_is_dropped(tmp_path: Path) -> None:
    rgba = np.concatenate([COLOUR[0], np.full((3, 4, 1), 9, np.uint8)], axis=-1)
    assert (read_image(save_image(tmp_path / "a.png", rgba)).array_kji[0] == COLOUR[0]).all()


def test_a_flat_medical_image_keeps_its_millimetres(tmp_path: Path) -> None:
    volume = read_image(save_image(tmp_path / "a.nrrd", RAMP[0], spacing=(0.5, 2.0)))
    assert volume.is_2d
    assert not volume.is_picture
    assert volume.geometry.spacing_mm == (0.5, 2.0, 1.0)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 9), (1, 9, 1), (9, 1, 1)])
def test_very_small_images_are_read(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    volume = read_image(save_image(tmp_path / "a.nrrd", np.zeros(shape, np.float32)))
    assert volume.array_kji.shape == shape


class TestFrames:
    @pytest.fixture
    def movie(self, tmp_path: Path) -> Path:
        frames = [SimpleITK.GetImageFromArray(RAMP + 100 * at) for at in range(3)]
        for frame in frames:
            frame.SetSpacing((0.5, 1.0, 3.0))
        path = tmp_path / "movie.nii.gz"
        SimpleITK.WriteImage(SimpleITK.JoinSeries(frames), str(path))
        return path

    def test_a_frame_of_a_4d_image_is_chosen(self, movie: Path) -> None:
        volume = read_image(movie, 2)
        assert (volume.array_kji == RAMP + 200).all()
        assert volume.geometry.spacing_mm == (0.5, 1.0, 3.0)

    def test_without_a_choice_the_option_is_named(self, movie: Path) -> None:
        with pytest.raises(InputError, match=r"3 frames .* 0 to 2.*--frame"):
            read_image(movie)

    @pytest.mark.parametrize("frame", [3, -1])
    def test_a_frame_that_is_not_there_is_refused(self, movie: Path, frame: int) -> None:
        with pytest.raises(InputError, match="frames 0 to 2"):
            read_image(movie, frame)

    def test_a_frame_of_a_3d_image_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="single frame"):
            read_image(save_image(tmp_path / "a.nrrd", RAMP), 0)

    def test_a_single_frame_needs_no_choice(self, tmp_path: Path) -> None:
        path = tmp_path / "one.nii"
        SimpleITK.WriteImage(SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(RAMP)]), str(path))
        assert (read_image(path).array_kji == RAMP).all()

    def test_vectors_are_no_colour_but_frames(self, tmp_path: Path) -> None:
        field = np.stack([RAMP, RAMP + 50, RAMP + 90], axis=-1).astype(np.float32)
        path = tmp_path / "field.nrrd"
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(field, isVector=True), str(path))
        assert (read_image(path, 1).array_kji == RAMP + 50).all()
        with pytest.raises(InputError, match="3 values a voxel"):
            read_image(path)


class TestRefused:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no file or folder"):
            read_image(tmp_path / "none.nii.gz")

    def test_empty_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.nii.gz"
        path.touch()
        with pytest.raises(InputError, match="is empty"):
            read_image(path)

    @pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.png", "a.txt", "noending"])
    def test_text_under_any_name(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        path.write_text("<html>404 Not Found</html>" * 20)
        with pytest.raises(InputError, match="Cannot read") as raised:
            read_image(path)
        assert str(path) in str(raised.value)
        assert "\n" not in str(raised.value)

    @pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha", "a.png"])
    def test_truncated(self, tmp_path: Path, name: str) -> None:
        noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
        path = save_image(tmp_path / name, noise)
        path.write_bytes(path.read_bytes()[:-2000])
        with pytest.raises(InputError, match=r"Cannot read|cut off"):
            read_image(path)

    @pytest.mark.parametrize("length", [20, 60, 200, 300])
    def test_truncated_within_what_is_compressed_first(self, tmp_path: Path, length: int) -> None:
        noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
        path = save_image(tmp_path / "a.nii.gz", noise)
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(InputError, match="cut off"):
            read_image(path)

    def test_a_compressed_nifti_whose_parts_were_joined_is_whole(self, tmp_path: Path) -> None:
        whole = save_image(tmp_path / "a.nii", RAMP).read_bytes()
        path = tmp_path / "b.nii.gz"
        path.write_bytes(gzip.compress(whole[:360]) + gzip.compress(whole[360:]))
        assert (read_image(path).array_kji == RAMP).all()

    def test_complex_numbers(self, tmp_path: Path) -> None:
        path = tmp_path / "a.nii"
        SimpleITK.WriteImage(SimpleITK.Image(3, 3, 3, SimpleITK.sitkComplexFloat32), str(path))
        with pytest.raises(InputError, match="complex"):
            read_image(path)

    def test_a_sheared_nrrd(self, tmp_path: Path) -> None:
        path = tmp_path / "a.nrrd"
        header = (
            "NRRD0004\ntype: uint8\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 2\n"
            "space directions: (1,0,0) (0.3,1,0) (0,0,1)\nencoding: raw\nspace origin: (0,0,0)\n\n"
        )
        path.write_bytes(header.encode() + bytes(8))
        with pytest.raises(InputError, match="sheared"):
            read_image(path)

    def test_a_sheared_nifti_whose_second_transform_is_upright(self, tmp_path: Path) -> None:
        path = save_image(tmp_path / "a.nii", RAMP)
        content = bytearray(path.read_bytes())
        # srow_x, the first row of the first transform, as four float32 at byte 280.
        content[280:296] = np.array([1, 0.3, 0, 0], "<f4").tobytes()
        path.write_bytes(content)
        with pytest.raises(InputError, match="sheared"):
            read_image(path)


def test_each_real_image_loads_or_is_refused_with_a_reason(shared_data: Path) -> None:
    refused = {}
    for path in sorted((shared_data / "geometry").iterdir()):
        try:
            volume = read_image(path)
        except InputError as error:
            refused[path.name] = str(error)
        else:
            assert volume.geometry.shape_kji == volume.array_kji.shape[:3]
    assert refused.keys() == {"shear.nii.gz", "fmri_4d_oblique.nii.gz", "pcasl.nii.gz"}
    assert "sheared" in refused["shear.nii.gz"]
    assert "--frame" in refused["pcasl.nii.gz"]


def test_the_same_brain_in_all_orientations_lies_in_the_same_place(shared_data: Path) -> None:
    centers: list[Any] = []
    for path in sorted((shared_data / "geometry").glob("orientation_*")):
        volume = read_image(path)
        k, j, i = np.nonzero(volume.array_kji > 50)
        centre_ijk = np.array([i.mean(), j.mean(), k.mean(), 1])
        centers.append((volume.geometry.ijk_to_lps @ centre_ijk)[:3])
    assert len(centers) > 10
    assert np.ptp(centers, axis=0).max() < 0.5
