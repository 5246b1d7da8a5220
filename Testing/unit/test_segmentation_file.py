"""The segmentation file: readable as a label map, and nothing is lost where segments overlap."""

import colorsys
import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from MedSAGaSlicerLib.engine.geometry import Geometry
from MedSAGaSlicerLib.engine.segmentation_file import (
    SegmentMask,
    default_color,
    write_segmentation,
)
from MedSAGaSlicerLib.errors import InputError

STRAIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
GEOMETRY = Geometry((5, 4, 3), (0.5, 1.0, 2.5), (-1.0, 2.0, 3.5), STRAIGHT)


def block(*ranges: slice) -> np.ndarray:
    mask = np.zeros((3, 4, 5), bool)
    mask[ranges] = True
    return mask


LEFT = SegmentMask("left", (1, 0, 0), block(slice(0, 2), slice(0, 2), slice(0, 2)))
RIGHT = SegmentMask("right", None, block(slice(0, 2), slice(0, 2), slice(3, 5)))
ACROSS = SegmentMask("across", None, block(slice(1, 3), slice(1, 3), slice(1, 4)))


def read(path: Path) -> tuple[dict[str, str], np.ndarray]:
    """Header fields, and the array with the layers last."""
    head, body = path.read_bytes().split(b"\n\n", maxsplit=1)
    lines = head.decode().splitlines()[1:]
    fields = dict(
        line.split(":=" if ":=" in line else ": ", 1) for line in lines if not line.startswith("#")
    )
    sizes = [int(size) for size in fields["sizes"].split()]
    return fields, np.frombuffer(gzip.decompress(body), np.uint8).reshape(sizes[::-1])


def test_segments_apart_make_one_label_map_that_any_reader_opens(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    write_segmentation(path, [LEFT, RIGHT], GEOMETRY)
    image = SimpleITK.ReadImage(str(path))
    expected = LEFT.mask_kji + 2 * RIGHT.mask_kji
    assert (SimpleITK.GetArrayFromImage(image) == expected).all()
    assert image.GetSpacing() == pytest.approx(GEOMETRY.spacing_mm)
    assert image.GetOrigin() == pytest.approx(GEOMETRY.origin)


def test_overlapping_segments_go_to_layers_and_keep_all_their_voxels(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    write_segmentation(path, [LEFT, ACROSS, RIGHT], GEOMETRY)
    fields, layers = read(path)
    assert fields["kinds"] == "list domain domain domain"
    assert layers.shape == (3, 4, 5, 2)
    for number, segment in enumerate([LEFT, ACROSS, RIGHT]):
        value = int(fields[f"Segment{number}_LabelValue"])
        layer = int(fields[f"Segment{number}_Layer"])
        assert value == number + 1
        assert ((layers[..., layer] == value) == segment.mask_kji).all()


def test_names_of_any_script_and_with_awkward_letters_stay_on_their_line(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    names = ["肝臓 Leber", 'a := "b"|c\\n', "two\nlines"]
    write_segmentation(path, [SegmentMask(name, None, LEFT.mask_kji) for name in names], GEOMETRY)
    fields, _ = read(path)
    assert fields["Segment0_Name"] == "肝臓 Leber"
    assert fields["Segment1_Name"] == 'a := "b"|c\\\\n'
    assert fields["Segment2_Name"] == "two\\nlines"


def test_more_segments_than_a_byte_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    single = Geometry((300, 1, 1), (1, 1, 1), (0, 0, 0), STRAIGHT)
    masks = np.eye(300, dtype=bool).reshape(300, 1, 1, 300)
    write_segmentation(path, [SegmentMask(str(n), None, m) for n, m in enumerate(masks)], single)
    array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    assert array.ravel().tolist() == list(range(1, 301))


def test_the_same_masks_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.seg.nrrd", "b.seg.nrrd"):
        write_segmentation(tmp_path / name, [LEFT, ACROSS], GEOMETRY)
    assert (tmp_path / "a.seg.nrrd").read_bytes() == (tmp_path / "b.seg.nrrd").read_bytes()


def test_made_up_colours_of_neighbours_differ() -> None:
    hues = [colorsys.rgb_to_hsv(*default_color(number))[0] for number in range(12)]
    gaps = np.abs(np.diff(hues))
    assert np.minimum(gaps, 1 - gaps).min() > 0.2


@pytest.mark.parametrize("name", ["a.nrrd", "a.nii.gz", "a"])
def test_another_format_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"must end in \.seg\.nrrd"):
        write_segmentation(tmp_path / name, [LEFT], GEOMETRY)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        write_segmentation(tmp_path / "none" / "a.seg.nrrd", [LEFT], GEOMETRY)


def test_a_mask_of_another_grid_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    other = SegmentMask("other", None, np.zeros((3, 4, 6), bool))
    with pytest.raises(InputError, match="'other'"):
        write_segmentation(tmp_path / "a.seg.nrrd", [other], GEOMETRY)
    assert not list(tmp_path.iterdir())


def test_nothing_to_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no segment"):
        write_segmentation(tmp_path / "a.seg.nrrd", [], GEOMETRY)
