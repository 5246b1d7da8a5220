"""Finding the slices of one DICOM series, and refusing those that form no regular grid."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK

from MedSAGaSlicerLib.errors import InputError

_SERIES, _MODALITY, _DESCRIPTION = "0020|000e", "0008|0060", "0008|103e"
_POSITION, _ORIENTATION = "0020|0032", "0020|0037"


@dataclass(frozen=True)
class DicomSeries:
    """The files of a series in the order of their slices, and its modality (CT, MR, ...)."""

    files: tuple[Path, ...]
    modality: str | None


def is_dicom(path: Path) -> bool:
    """Whether a file carries DICOM's mark (``DICM`` after 128 bytes)."""
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError as error:
        msg = f"Cannot read {path}: {error.strerror or error}."
        raise InputError(msg) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep ITK's warnings off stderr: what matters of them is checked and said in one line."""
    shown = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(shown)


def find_series(path: Path) -> DicomSeries:
    """The only series of a folder, or the series that a DICOM file belongs to.

    Raises:
        InputError: there is none, there are several, or its slices do not form a regular grid.
    """
    folder = path if path.is_dir() else path.parent
    with quiet():
        names = SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
        if path.is_dir():
            if not names:
                msg = (
                    f"The folder {path} holds no DICOM image series. Give an image file, or the "
                    "folder in which the files of one series lie."
                )
                raise InputError(msg)
            if len(names) > 1:
                _refuse_several(folder, names)
            name = names[0]
        else:
            name = _tags(path).get(_SERIES, "")
        files = _files(folder, name) if name else [path]
        if path.is_file() and path.resolve() not in {file.resolve() for file in files}:
            files = [path]
        tags = [_tags(file) for file in files]
    modality = tags[0].get(_MODALITY)
    if modality in ("SEG", "RTSTRUCT"):
        msg = f"{path} is a DICOM segmentation ({modality}), not an image. Give the image's series."
        raise InputError(msg)
    _check_grid(tags, path)
    return DicomSeries(tuple(files), modality)


def _files(folder: Path, series: str) -> list[Path]:
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series)
    return [Path(name) for name in names]


def _refuse_several(folder: Path, names: tuple[str, ...]) -> None:
    lines = []
    for name in names:
        files = _files(folder, name)
        tags = _tags(files[0]) if files else {}
        about = " ".join(tags[key] for key in (_MODALITY, _DESCRIPTION) if tags.get(key))
        first = files[0].name if files else "?"
        lines.append(f"{first} ({about + ', ' if about else ''}{len(files)} files, {name})")
    msg = (
        f"The folder {folder} holds {len(names)} DICOM series. Give one file of the series you "
        f"mean instead of the folder: {'; '.join(lines)}."
    )
    raise InputError(msg)


def _tags(path: Path) -> dict[str, str]:
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        msg = f"Cannot read {path}: it is a DICOM file without an image, or it is damaged."
        raise InputError(msg) from error
    keys = (_SERIES, _MODALITY, _DESCRIPTION, _POSITION, _ORIENTATION)
    return {key: reader.GetMetaData(key).strip() for key in keys if reader.HasMetaDataKey(key)}


def _check_grid(tags: list[dict[str, str]], path: Path) -> None:
    """ITK places slices by the first two alone; a gap or a tilt would misplace all others."""
    if len(tags) < 2 or not all(_POSITION in tag and _ORIENTATION in tag for tag in tags):
        return
    positions = np.array([_numbers(tag[_POSITION]) for tag in tags])
    orientations = np.array([_numbers(tag[_ORIENTATION]) for tag in tags])
    if np.abs(orientations - orientations[0]).max() > 1e-3:
        _refuse_grid(path, "its slices are turned against each other")
    normal = np.cross(orientations[0, :3], orientations[0, 3:])
    steps = np.diff(positions, axis=0)
    along = steps @ normal
    usual = float(np.median(along))
    if np.abs(along).min() < 1e-3:
        _refuse_grid(path, "several images lie at the same place (a series over time?)")
    if np.abs(along - usual).max() > 0.1 * abs(usual):
        _refuse_grid(
            path,
            f"the distance between slices varies from {np.abs(along).min():.3g} to "
            f"{np.abs(along).max():.3g} mm (slices missing?)",
        )
    # The first and the last slice against each other: a tilt adds up.
    aside = np.linalg.norm((positions[-1] - positions[0]) - along.sum() * normal)
    if aside > 0.02 * abs(along.sum()):
        _refuse_grid(path, "its slices are shifted sideways (tilted gantry)")


def _refuse_grid(path: Path, problem: str) -> None:
    msg = (
        f"The DICOM series in {path} is no regular grid: {problem}. Export a single regular "
        "series, or resample it, as by loading it into Slicer and saving the volume."
    )
    raise InputError(msg)


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split("\\")]
