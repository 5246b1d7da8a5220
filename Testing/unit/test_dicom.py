"""One DICOM series is found and put in order; what is no regular grid is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from MedSAGaSlicerLib.engine.images import read_image
from MedSAGaSlicerLib.errors import InputError


def write_series(folder: Path, positions_z: list[float], **changed: Any) -> list[Path]:
    """Slices whose pixels hold their place in the list, in files that are not in that order."""
    uid = changed.get("uid", "1.2.826.0.1.3680043.2.1125.7")
    folder.mkdir(exist_ok=True)
    paths = []
    for at, z in enumerate(positions_z):
        image = SimpleITK.GetImageFromArray(np.full((4, 5), at, np.int16))
        image.SetSpacing((0.5, 0.5))
        y = changed.get("shift", 0.0) * at
        tags = {
            "0008|0060": changed.get("modality", "CT"),
            "0008|103e": changed.get("description", "Abdomen"),
            "0020|000d": "1.2.826.0.1.3680043.2.1125.1",
            "0020|000e": uid,
            "0020|0032": f"0\\{y}\\{z}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0020|0013": str(at),
            "0008|0018": f"{uid}.{at}",
        }
        for key, value in tags.items():
            image.SetMetaData(key, value)
        path = folder / f"{uid[-1]}{(at * 7) % 11:03}.dcm"
        writer = SimpleITK.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(path))
        writer.Execute(image)
        paths.append(path)
    return paths


def test_a_series_is_put_in_order_of_place(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", [10, 12.5, 15, 17.5])
    volume = read_image(tmp_path / "ct")
    assert volume.array_kji[:, 0, 0].tolist() == [0, 1, 2, 3]
    assert volume.geometry.spacing_mm == pytest.approx((0.5, 0.5, 2.5))
    assert volume.geometry.origin == pytest.approx((0, 0, 10))
    assert volume.modality == "CT"


def test_one_file_stands_for_its_series(tmp_path: Path) -> None:
    files = write_series(tmp_path / "ct", [0, 1, 2])
    write_series(tmp_path / "ct", [0, 1], uid="1.2.826.0.1.3680043.2.1125.8", modality="MR")
    volume = read_image(files[1])
    assert volume.geometry.shape_ijk == (5, 4, 3)
    assert volume.modality == "CT"


def test_several_series_are_listed(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", [0, 1, 2])
    write_series(
        tmp_path / "ct",
        [0, 1],
        uid="1.2.826.0.1.3680043.2.1125.8",
        modality="MR",
        description="T2",
    )
    with pytest.raises(InputError, match=r"2 DICOM series.*CT Abdomen, 3 files.*MR T2, 2 files"):
        read_image(tmp_path / "ct")


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match="no DICOM image series"):
        read_image(tmp_path)


def test_a_missing_slice_is_noticed(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", [0, 1, 2, 4, 5])
    with pytest.raises(InputError, match="varies from 1 to 2 mm"):
        read_image(tmp_path / "ct")


def test_images_at_the_same_place_are_noticed(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", [0, 0, 1, 1, 2, 2])
    with pytest.raises(InputError, match="same place"):
        read_image(tmp_path / "ct")


def test_a_tilted_gantry_is_noticed(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", [0, 1, 2], shift=0.25)
    with pytest.raises(InputError, match="sideways"):
        read_image(tmp_path / "ct")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    files = write_series(tmp_path / "ct", [0, 1, 2])
    files[0].write_bytes(files[0].read_bytes()[:140])
    with pytest.raises(InputError, match="damaged"):
        read_image(files[0])


def test_real_series_are_read(shared_data: Path) -> None:
    dicom, volumes = shared_data / "dicom", shared_data / "3d"
    series = read_image(dicom / "ct_sarcoma_STS_025")
    twin = read_image(volumes / "sarcoma_ct" / "images" / "STS_025.nii.gz")
    assert series.geometry.distance_to(twin.geometry) < 0.01
    assert (series.array_kji == twin.array_kji).all()
    assert read_image(dicom / "mr_t1post_oblique").geometry.shape_ijk == (280, 320, 22)
    assert read_image(dicom / "ct_3slice_seg").modality == "CT"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ct_sarcoma_STS_025_rtstruct", "no DICOM image series"),
        ("ct_sarcoma_STS_025_rtstruct/RS.dcm", "without an image"),
        ("ct_3slice_seg_objects", "2 DICOM series"),
        ("ct_3slice_seg_objects/liver.dcm", r"segmentation \(SEG\)"),
    ],
)
def test_real_dicom_without_an_image_is_refused(shared_data: Path, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_image(shared_data / "dicom" / name)
