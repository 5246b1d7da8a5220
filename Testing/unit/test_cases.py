"""Images and labels find each other by name, and are checked before a model runs."""

from pathlib import Path

import numpy as np
import pytest
from made_images import save_image

from MedSAGaSlicerLib.engine.cases import Case, LabelChoice, find_cases, read_case
from MedSAGaSlicerLib.errors import InputError

GREY = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
LABELS = (GREY // 20).astype(np.uint8)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    images, labels = tmp_path / "images", tmp_path / "labels"
    for name in ("b", "a"):
        save_image(images / f"{name}.nii.gz", GREY)
        save_image(labels / f"{name}.seg.nrrd", LABELS)
    return images, labels


def case(tmp_path: Path, image: Path, label: Path) -> Case:
    return Case("a", tmp_path / image, tmp_path / label)


def test_names_match_up_to_the_first_dot(folders: tuple[Path, Path]) -> None:
    (folders[0] / "notes.txt").write_text("not an image")
    (folders[0] / ".hidden.nii").write_text("not for us")
    cases = find_cases(*folders)
    assert [entry.name for entry in cases] == ["a", "b"]
    assert cases[0].image.name == "a.nii.gz"
    assert cases[0].label.name == "a.seg.nrrd"


def test_a_label_without_image_and_an_image_without_label_are_named(
    folders: tuple[Path, Path],
) -> None:
    images, labels = folders
    save_image(labels / "c.nrrd", LABELS)
    with pytest.raises(InputError, match=r"No image .* label c\.nrrd"):
        find_cases(images, labels)
    save_image(images / "c.png", GREY[0].astype(np.uint8))
    save_image(images / "d.nrrd", GREY)
    with pytest.raises(InputError, match=r"No label .* d\.nrrd"):
        find_cases(images, labels)


def test_two_files_of_one_name_are_refused(folders: tuple[Path, Path]) -> None:
    save_image(folders[0] / "a.nrrd", GREY)
    with pytest.raises(InputError, match=r"a\.nii\.gz and a\.nrrd"):
        find_cases(*folders)


def test_missing_and_empty_folders_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_cases(tmp_path / "none", folders[1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no image"):
        find_cases(folders[0], tmp_path / "empty")
    with pytest.raises(InputError, match="is not a folder"):
        find_cases(folders[0], next(folders[1].iterdir()))


def test_the_object_is_one_value_several_or_all() -> None:
    assert LabelChoice.parse("2").mask(LABELS).sum() == 20
    assert LabelChoice.parse(" 1, 2").mask(LABELS).sum() == 40
    assert LabelChoice.parse("any").mask(LABELS * 100).sum() == 40


@pytest.mark.parametrize("text", ["", "tumour", "1,", "1.5", "0", "1,0"])
def test_an_unclear_label_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="label"):
        LabelChoice.parse(text)


def test_a_case_gives_image_mask_and_values(folders: tuple[Path, Path]) -> None:
    volume, mask, values = read_case(find_cases(*folders)[0], LabelChoice.parse("1"))
    assert (volume.array_kji == GREY).all()
    assert (mask == (LABELS == 1)).all()
    assert values.tolist() == [0, 1, 2]


def test_labels_saved_as_numbers_with_a_point_are_read(tmp_path: Path) -> None:
    image = save_image(tmp_path / "a.nrrd", GREY)
    label = save_image(tmp_path / "l.nrrd", LABELS.astype(np.float32))
    _, mask, _ = read_case(Case("a", image, label), LabelChoice.parse("2"))
    assert mask.sum() == 20


def test_a_grey_label_in_three_channels_is_read(tmp_path: Path) -> None:
    image = save_image(tmp_path / "a.png", GREY[0].astype(np.uint8))
    label = save_image(tmp_path / "l.png", np.repeat(LABELS[2][..., None] * 127, 3, axis=-1))
    _, mask, values = read_case(Case("a", image, label), LabelChoice.parse("any"))
    assert mask.all()
    assert values.tolist() == [254]


@pytest.mark.parametrize(
    ("label", "geometry", "said"),
    [
        (LABELS[:2], {}, "has 5 x 4 x 2 voxels, its image .* 5 x 4 x 3"),
        (LABELS, {"origin": (0.0, 0.0, 1.0)}, "lies elsewhere"),
        (LABELS, {"spacing": (1.0, 1.0, 1.2)}, "lies elsewhere"),
        (LABELS + np.float32(0.5), {}, "no whole numbers"),
        (np.full_like(LABELS, np.nan, np.float32), {}, "no whole numbers"),
        (np.repeat(LABELS[..., None], 3, axis=-1) * np.uint8([1, 2, 3]), {}, "in colour"),
    ],
)
def test_a_label_that_does_not_fit_its_image_is_refused_by_name(
    tmp_path: Path, label: np.ndarray, geometry: dict[str, tuple[float, ...]], said: str
) -> None:
    image = save_image(tmp_path / "a.nrrd", GREY)
    path = save_image(tmp_path / "l.nrrd", label, **geometry)
    with pytest.raises(InputError, match=said) as raised:
        read_case(Case("a", image, path), LabelChoice.parse("1"))
    assert str(path) in str(raised.value)


def test_an_origin_rounded_by_another_tool_is_tolerated(tmp_path: Path) -> None:
    image = save_image(tmp_path / "a.nrrd", GREY)
    label = save_image(tmp_path / "l.nrrd", LABELS, origin=(0.01, 0.0, -0.02))
    read_case(Case("a", image, label), LabelChoice.parse("1"))


@pytest.mark.parametrize(
    "folder",
    [
        "2d/breast_ultrasound",
        "2d/chest_xray_lungs",
        "2d/em_neurites",
        "2d/nuclei_microscopy",
        "2d/polyp_endoscopy",
        "2d/retina_vessels",
        "3d/abdomen_ct_multiorgan",
        "3d/abdomen_mr_multiorgan",
        "3d/brain_tumour_mr",
        "3d/hippocampus_mr",
        "3d/prostate_mr",
        "3d/sarcoma_ct",
        "3d/sarcoma_mr_t1",
        "3d/sarcoma_pet",
        "3d/spinal_cord_mr",
    ],
)
def test_each_real_image_has_a_label_on_its_grid(shared_data: Path, folder: str) -> None:
    cases = find_cases(shared_data / folder / "images", shared_data / folder / "labels")
    # A few of each: the largest set has 83 pictures.
    for entry in cases[:3]:
        volume, mask, _ = read_case(entry, LabelChoice.parse("any"))
        assert mask.shape == volume.geometry.shape_kji
        assert mask.any()
