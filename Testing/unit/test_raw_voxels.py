"""Uncompressed images stay in their file, and are what SimpleITK would have read."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from made_images import save_image
from region_predictor import RegionPredictor

from MedSAGaSlicerLib.engine import evaluation, intensity
from MedSAGaSlicerLib.engine.cases import Case, LabelChoice
from MedSAGaSlicerLib.engine.evaluation import evaluate
from MedSAGaSlicerLib.engine.images import read_image
from MedSAGaSlicerLib.engine.intensity import Normalisation, is_constant, measure
from MedSAGaSlicerLib.engine.prompts import Prompts, SegmentPrompts, SlicePrompts
from MedSAGaSlicerLib.engine.raw_voxels import MappedVoxels, map_voxels
from MedSAGaSlicerLib.engine.segmentation_file import write_segmentation
from MedSAGaSlicerLib.engine.segmenting import normalised_slice, segment
from MedSAGaSlicerLib.errors import InputError

RAMP = np.arange(-12, 12, dtype=np.int16).reshape(2, 3, 4)
TURNED = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
RAW = ("a.nii", "a.nrrd", "a.nhdr", "a.mha", "a.mhd")


def write_raw(path: Path, array: np.ndarray) -> Path:
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing((0.5, 1.25, 3.0))
    image.SetOrigin((10.0, -20.0, 30.0))
    image.SetDirection(TURNED)
    SimpleITK.WriteImage(image, str(path), useCompression=False)
    return path


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "f4", "f8"])
def test_a_mapped_image_is_the_one_that_itk_reads(tmp_path: Path, name: str, kind: str) -> None:
    path = write_raw(tmp_path / name, np.abs(RAMP).astype(kind) + np.array(1, kind))
    volume, image = read_image(path), SimpleITK.ReadImage(str(path))
    assert isinstance(volume.array_kji, MappedVoxels)
    assert volume.array_kji.dtype == SimpleITK.GetArrayViewFromImage(image).dtype
    assert np.array_equal(volume.array_kji, SimpleITK.GetArrayFromImage(image))
    assert volume.geometry.spacing_mm == image.GetSpacing()
    assert volume.geometry.origin == image.GetOrigin()
    assert np.array_equal(np.ravel(volume.geometry.directions), image.GetDirection())


def test_real_images_are_the_same_mapped(tmp_path: Path, shared_data: Path) -> None:
    for source in sorted((shared_data / "geometry").glob("orientation_*.nii.gz")):
        image = SimpleITK.ReadImage(str(source))
        path = tmp_path / source.name.removesuffix(".gz")
        SimpleITK.WriteImage(image, str(path), useCompression=False)
        mapped, whole = read_image(path), read_image(source)
        assert isinstance(mapped.array_kji, MappedVoxels)
        assert np.array_equal(mapped.array_kji, whole.array_kji)
        assert mapped.geometry.distance_to(whole.geometry) < 1e-4


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
def test_a_compressed_image_is_one_copy_that_outlives_its_reader(tmp_path: Path, name: str) -> None:
    array = np.zeros((32, 128, 128), np.int16)
    array[3] = 7
    path = save_image(tmp_path / name, array)
    if name != "a.nii.gz":
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path), useCompression=True)
    tracemalloc.start()
    part = read_image(path).array_kji[3:4]
    # ITK's own memory is not counted: this is what we would add to it.
    assert tracemalloc.get_traced_memory()[1] < array.nbytes // 4
    tracemalloc.stop()
    assert (part == 7).all()
    assert not part.flags.writeable


def test_bytes_in_the_other_order_are_the_same_numbers(tmp_path: Path) -> None:
    swapped = RAMP.astype(">i2").tobytes()
    (tmp_path / "a.raw").write_bytes(b"12" + swapped)
    lines = ["NRRD0004", "type: short", "dimension: 3", "sizes: 4 3 2", "encoding: raw"]
    lines += ["endian: big", "byte skip: 2", "data file: a.raw", "spacings: 1 2 3", ""]
    (tmp_path / "a.nhdr").write_text("\n".join(lines), encoding="ascii")
    lines = ["ObjectType = Image", "NDims = 3", "DimSize = 4 3 2", "ElementType = MET_SHORT"]
    lines += ["ElementByteOrderMSB = True", "HeaderSize = -1", "ElementDataFile = a.raw", ""]
    (tmp_path / "a.mhd").write_text("\n".join(lines), encoding="ascii")
    header = bytearray(write_raw(tmp_path / "a.nii", RAMP).read_bytes()[:352])
    turned = _swapped_nifti(header) + swapped
    (tmp_path / "a.nii").write_bytes(turned)
    for name in ("a.nhdr", "a.mhd", "a.nii"):
        volume = read_image(tmp_path / name)
        assert isinstance(volume.array_kji, MappedVoxels)
        assert volume.array_kji.dtype == np.dtype(">i2")
        assert np.array_equal(volume.array_kji, RAMP)
        assert measure(volume.array_kji) == measure(RAMP)
        whole = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / name)))
        assert np.array_equal(volume.array_kji, whole)


def _swapped_nifti(header: bytearray) -> bytes:
    """A NIfTI-1 header with its numbers in the other byte order."""
    for start, stop, size in ((0, 4, 4), (32, 36, 4), (36, 38, 2), (40, 56, 2), (56, 68, 4),
                              (68, 76, 2), (76, 120, 4), (120, 122, 2), (124, 148, 4),
                              (252, 256, 2), (256, 328, 4)):  # fmt: skip
        part = np.frombuffer(bytes(header[start:stop]), f"u{size}")
        header[start:stop] = part.byteswap().tobytes()
    return bytes(header)


@pytest.mark.parametrize("name", ["a.nii", "a.nrrd", "a.mha", "a.nhdr", "a.mhd"])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, name: str) -> None:
    path = write_raw(tmp_path / name, RAMP)
    body = {"a.nhdr": "a.raw", "a.mhd": "a.raw"}.get(name, name)
    with (tmp_path / body).open("r+b") as stream:
        stream.truncate((tmp_path / body).stat().st_size - 5)
    with pytest.raises(InputError, match=r"cut off|Cannot read"):
        read_image(path)


@pytest.mark.parametrize("kind", ["scaled", "compressed", "colour", "picture"])
def test_what_itk_would_change_is_read_by_itk(tmp_path: Path, kind: str) -> None:
    if kind == "scaled":
        path = write_raw(tmp_path / "a.nii", RAMP)
        content = bytearray(path.read_bytes())
        content[112:120] = np.array([2.0, 1.0], "<f4").tobytes()
        path.write_bytes(content)
        assert np.array_equal(read_image(path).array_kji, RAMP * 2.0 + 1)
    elif kind == "compressed":
        path = save_image(tmp_path / "a.nii.gz", RAMP)
    elif kind == "colour":
        path = save_image(tmp_path / "a.nrrd", np.ones((2, 3, 4, 3), np.uint8))
    else:
        path = save_image(tmp_path / "a.png", np.ones((3, 4), np.uint8))
    assert not isinstance(read_image(path).array_kji, MappedVoxels)


@pytest.mark.parametrize("lines", [
    ["encoding: gzip"], ["encoding: raw", "line skip: 1"], ["encoding: raw", "data file: LIST"],
    ["encoding: raw", "endian: middle"], ["encoding: raw", "byte skip: x"], [],
])  # fmt: skip
def test_headers_written_in_other_ways_are_left_to_itk(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "a.nrrd"
    path.write_bytes("\n".join(["NRRD0004", *lines, "", ""]).encode() + RAMP.tobytes())
    assert map_voxels(path, RAMP.shape, np.int16) is None


def test_a_frame_of_a_mapped_movie_is_all_that_is_touched(tmp_path: Path) -> None:
    frames = [SimpleITK.GetImageFromArray(RAMP + 100 * at) for at in range(3)]
    SimpleITK.WriteImage(SimpleITK.JoinSeries(frames), str(tmp_path / "a.nii"))
    volume = read_image(tmp_path / "a.nii", 2)
    assert isinstance(volume.array_kji, MappedVoxels)
    assert np.array_equal(volume.array_kji, RAMP + 200)


class TestTheFileChangesMeanwhile:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return write_raw(
            tmp_path / "a.nrrd", np.arange(4 * 64 * 64, dtype=np.int16).reshape(4, 64, 64)
        )

    def test_deleted_or_replaced_it_goes_on_with_what_was_opened(self, path: Path) -> None:
        volume, before = read_image(path), read_image(path).array_kji[3].copy()
        path.unlink()
        write_raw(path, RAMP)
        assert np.array_equal(volume.array_kji[3], before)

    @pytest.mark.parametrize("how", ["cut", "overwritten"])
    def test_written_into_it_says_so_and_the_process_lives(self, path: Path, how: str) -> None:
        volume = read_image(path)
        if how == "cut":
            with path.open("r+b") as stream:
                stream.truncate(300)
        else:
            path.write_bytes(path.read_bytes() + b"more")
        with pytest.raises(InputError, match=r"a\.nrrd was changed while it was in use"):
            normalised_slice(volume.array_kji, Normalisation("percentile", 0, 9), "k", 3)


class TestNoSecondVolume:
    """What is computed over a whole volume takes a small part of its memory."""

    @pytest.fixture
    def volume(self) -> np.ndarray:
        values = np.random.default_rng(0).normal(100, 20, (64, 256, 256)).astype(np.float32)
        values[10] = np.nan
        return values

    @pytest.mark.parametrize("turned", [False, True])
    def test_its_normalisation(self, volume: np.ndarray, turned: bool) -> None:
        seen = volume.transpose(2, 1, 0)[:, :, ::2] if turned else volume
        expected = measure(np.ascontiguousarray(seen))
        tracemalloc.start()
        assert measure(seen) == expected
        assert not is_constant(seen)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 0.2 * volume.nbytes

    def test_a_volume_of_holes(self) -> None:
        volume = np.full((40, 200, 200), np.nan, np.float32)
        volume[:, 0, 1] = 5
        volume[3, 0, 1] = 6
        assert (measure(volume).low, measure(volume).high) == pytest.approx((5, 6), abs=1)
        assert not is_constant(volume)
        volume[3, 0, 1] = 5
        assert is_constant(volume)

    def test_a_nan_slice_in_the_middle_is_a_dark_one(self, volume: np.ndarray) -> None:
        normalisation = measure(volume)
        assert np.isfinite([normalisation.low, normalisation.high]).all()
        assert (normalised_slice(volume, normalisation, "k", 10) == 0).all()
        assert normalised_slice(volume, normalisation, "j", 5)[9].any()

    @pytest.fixture
    def bricks(self) -> np.ndarray:
        mask = np.zeros((16, 256, 256), bool)
        mask[:, 40:60, 60:90] = True
        return mask

    @pytest.fixture(autouse=True)
    def small_sample(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # A million numbers, however large the volume is, would hide what grows with it.
        monkeypatch.setattr(intensity, "_SAMPLE", 10_000)

    @pytest.fixture
    def case(self, tmp_path: Path, bricks: np.ndarray) -> Case:
        for name in ("images", "labels"):
            (tmp_path / name).mkdir()
        image = write_raw(tmp_path / "images" / "a.nrrd", np.where(bricks, 500, 10).astype("f4"))
        return Case("a", image, write_raw(tmp_path / "labels" / "a.nrrd", bricks.astype("f4")))

    def test_segmenting_and_writing(self, case: Case, tmp_path: Path) -> None:
        volume = read_image(case.image)
        click = Prompts(((70.0, 50.0),), (True,))
        places = tuple(SlicePrompts("k", index, click) for index in (3, 9))
        tracemalloc.start()
        masks = segment(volume, (SegmentPrompts("a", None, places),), RegionPredictor())
        write_segmentation(tmp_path / "s.seg.nrrd", masks, volume.geometry)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # A mask and a label map of a byte each, and slices: less than one copy of the image.
        assert peak < 0.75 * volume.array_kji.nbytes

    def test_evaluating(self, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(evaluation, "nsd", lambda *_: 1.0)
        tracemalloc.start()
        report = evaluate([case], LabelChoice.parse("1"), RegionPredictor(), "box")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert report["mean_dice"] == 1
        # The truth, the masks of the slices, the two volumes compared: a byte a voxel each.
        assert peak < 1.5 * 16 * 256 * 256 * 4
