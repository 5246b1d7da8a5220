"""Reading images: NIfTI, NRRD, MetaImage, DICOM, PNG and JPEG, as one volume in LPS space."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
import SimpleITK

from MedSAGaSlicerLib.engine.dicom import DicomSeries, find_series, is_dicom, quiet
from MedSAGaSlicerLib.engine.geometry import Geometry
from MedSAGaSlicerLib.engine.nifti import is_whole, read_header
from MedSAGaSlicerLib.engine.raw_voxels import MappedVoxels, map_voxels
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PICTURES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
SUFFIXES: Final = (
    ".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", *PICTURES
)  # fmt: skip
"""Endings by which images are found in a folder."""

_NUMBERS: Final = {
    SimpleITK.sitkUInt8: "u1",
    SimpleITK.sitkInt8: "i1",
    SimpleITK.sitkUInt16: "u2",
    SimpleITK.sitkInt16: "i2",
    SimpleITK.sitkUInt32: "u4",
    SimpleITK.sitkInt32: "i4",
    SimpleITK.sitkUInt64: "u8",
    SimpleITK.sitkInt64: "i8",
    SimpleITK.sitkFloat32: "f4",
    SimpleITK.sitkFloat64: "f8",
}
_FORMATS: Final = "NIfTI, NRRD, MetaImage, PNG, JPEG or a folder with one DICOM series"


@dataclass(frozen=True, eq=False)
class Volume:
    """An image in memory.

    ``array_kji`` has shape (k, j, i), or (k, j, i, 3) for colour, in the file's number type; a 2-D
    image has one slice along k. ``is_picture`` says that millimetres mean nothing (PNG, JPEG).
    ``modality`` is DICOM's, where known.

    The array is read-only. Of an uncompressed NIfTI, NRRD or MetaImage it stays in the file until
    it is looked at (`raw_voxels.MappedVoxels`), in the file's byte order; otherwise there is one
    copy of it in memory.
    """

    array_kji: NDArray[Any]
    geometry: Geometry
    is_2d: bool
    path: Path
    is_picture: bool = False
    modality: str | None = None


def read_image(path: Path, frame: int | None = None) -> Volume:
    """Read an image file or a folder with one DICOM series.

    A DICOM file stands for the series that it belongs to. Of a 4-D image, and of one with several
    values a voxel that are no colour, ``frame`` chooses one; alpha is dropped.

    Raises:
        InputError: missing, unreadable, several series, sheared, or a frame is needed or wrong.
    """
    path = Path(path)
    if not path.exists():
        msg = f"There is no file or folder {path}. Check the path."
        raise InputError(msg)
    if path.is_dir() or is_dicom(path):
        series = find_series(path)
        found, modality = _Found.in_memory(_read_series(series, path)), series.modality
    else:
        found, modality = _read_file(path), None
    return _volume(found, path, frame, modality)


@dataclass(frozen=True, eq=False)
class _Found:
    """What ITK knows of an image: its grid, its voxels, the kind of its pixels."""

    grid: Any
    array: NDArray[Any]
    components: int
    kind: int

    @classmethod
    def in_memory(cls, image: Any) -> _Found:
        components, kind = image.GetNumberOfComponentsPerPixel(), image.GetPixelIDValue()
        return cls(image, owned_voxels(image), components, kind)

    @property
    def is_colour(self) -> bool:
        # Displacements and tensors also have several numbers a voxel, but not whole unsigned ones.
        kinds = (SimpleITK.sitkVectorUInt8, SimpleITK.sitkVectorUInt16)
        return self.components in (3, 4) and self.kind in kinds


def _read_file(path: Path) -> _Found:
    if path.stat().st_size == 0:
        msg = f"The file {path} is empty. Copy or export it again."
        raise InputError(msg)
    if path.name.lower().endswith((".nii", ".nii.gz")):
        _check_nifti(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        with quiet():
            reader.ReadImageInformation()
            mapped = _mapped(reader, path)
            if mapped is not None:
                return _Found(reader, mapped, 1, reader.GetPixelIDValue())
            return _Found.in_memory(reader.Execute())
    except (RuntimeError, MemoryError) as error:
        msg = f"Cannot read {path} as an image ({_reason(error)}). Give {_FORMATS}."
        raise InputError(msg) from error


def _mapped(reader: Any, path: Path) -> NDArray[Any] | None:
    kind = _NUMBERS.get(reader.GetPixelIDValue())
    # A negative spacing is turned into a direction only by reading.
    if kind is None or min(reader.GetSpacing()) <= 0:
        return None
    return map_voxels(path, reader.GetSize()[::-1], kind)


class _Owner:
    """Keeps an image alive for as long as an array, or a view of it, shows its memory."""

    def __init__(self, image: Any) -> None:
        self._image = image
        self.__array_interface__ = SimpleITK.GetArrayViewFromImage(image).__array_interface__


def owned_voxels(image: Any) -> NDArray[Any]:
    """The voxels of a SimpleITK image without a copy; nobody may change the image any more."""
    return np.asarray(_Owner(image))


def _read_series(series: DicomSeries, path: Path) -> Any:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(name) for name in series.files])
    try:
        with quiet():
            return reader.Execute()
    except (RuntimeError, MemoryError) as error:
        msg = f"Cannot read the DICOM series in {path} ({_reason(error)}). Export it again."
        raise InputError(msg) from error


def _volume(found: _Found, path: Path, frame: int | None, modality: str | None) -> Volume:
    dimension, array, colour = found.grid.GetDimension(), found.array, found.is_colour
    if array.size == 0:
        msg = f"The image {path} has no voxel."
        raise InputError(msg)
    if np.iscomplexobj(array):
        msg = f"The image {path} holds complex numbers. Save its magnitude and give that."
        raise InputError(msg)
    is_picture = path.suffix.lower() in PICTURES and dimension == 2
    several = found.components > 1
    if several and is_picture and not colour:
        # Grey with alpha.
        array, several = array[..., 0], False
    array = _one_frame(array, path, frame, dimension=dimension, colour=colour, several=several)
    if dimension == 2:
        array = array[np.newaxis]
    if colour:
        array = array[..., :3]
    geometry = _geometry(found.grid, array.shape[2::-1])
    if not geometry.is_orthogonal:
        _refuse_shear(path)
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    return Volume(array, geometry, dimension == 2, path, is_picture, modality)


def _one_frame(
    array: NDArray[Any],
    path: Path,
    frame: int | None,
    *,
    dimension: int,
    colour: bool,
    several: bool,
) -> NDArray[Any]:
    if dimension > 4:
        msg = f"The image {path} has {dimension} dimensions; at most 4 (3-D over time) are read."
        raise InputError(msg)
    values = several and not colour
    if values and dimension == 4:
        msg = f"The image {path} is 4-D with several values a voxel. Save one of them as 3-D."
        raise InputError(msg)
    if values:
        array = np.moveaxis(array, -1, 0)
    elif dimension < 4:
        if frame is not None:
            msg = f"The image {path} has a single frame: leave --frame {frame} out."
            raise InputError(msg)
        return array
    count = array.shape[0]
    if frame is None and count == 1:
        frame = 0
    if frame is None:
        kind = "values a voxel" if values else "frames (it is 4-D)"
        msg = (
            f"The image {path} has {count} {kind}. Choose one, 0 to {count - 1}; "
            "`medsaga segment` takes it as --frame."
        )
        raise InputError(msg)
    if not 0 <= frame < count:
        msg = f"The image {path} has frames 0 to {count - 1}; --frame {frame} is none of them."
        raise InputError(msg)
    chosen: NDArray[Any] = array[frame]
    # A view would keep all frames in memory; in a file they are not.
    return chosen if isinstance(array, MappedVoxels) else chosen.copy()


def _geometry(image: Any, shape_ijk: tuple[int, ...]) -> Geometry:
    """Geometry of the first three dimensions; a 2-D image lies in the plane k = 0, 1 mm thick."""
    dimension = image.GetDimension()
    given = min(dimension, 3)
    spacing, origin, directions = np.ones(3), np.zeros(3), np.eye(3)
    spacing[:given] = image.GetSpacing()[:given]
    origin[:given] = image.GetOrigin()[:given]
    full = np.reshape(image.GetDirection(), (dimension, dimension))
    directions[:given, :given] = full[:given, :given]
    i, j, k = shape_ijk
    a, b, c = ((float(row[0]), float(row[1]), float(row[2])) for row in directions)
    return Geometry((i, j, k), _vector(spacing), _vector(origin), (a, b, c))


def _vector(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _check_nifti(path: Path) -> None:
    try:
        header = read_header(path)
    except ValueError:
        # Not NIfTI after all, or damaged: ITK will say so.
        return
    except EOFError:
        _refuse_part(path)
    if not is_whole(path, header):
        _refuse_part(path)
    if header.is_sheared:
        _refuse_shear(path)


def _refuse_part(path: Path) -> NoReturn:
    msg = f"The image {path} is cut off: bytes are missing at its end. Copy it again."
    raise InputError(msg)


def _refuse_shear(path: Path) -> None:
    msg = (
        f"The image {path} is sheared: its axes are not at right angles, as in a CT with tilted "
        "gantry. Resample it onto an upright grid first, as by Slicer's Resample modules."
    )
    raise InputError(msg)


def _reason(error: BaseException) -> str:
    """The last line of ITK's long message, without its preamble.

    What follows "Reason:" is the system's last error, mostly about something else.
    """
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Reason:")]
    if not lines:
        return type(error).__name__
    return re.split(r"(?:ITK |sitk::)ERROR:", lines[-1])[-1].strip().rstrip(".")
