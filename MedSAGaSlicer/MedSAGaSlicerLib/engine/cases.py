"""Images and their labels in two folders, matched by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from MedSAGaSlicerLib.engine.dicom import is_dicom
from MedSAGaSlicerLib.engine.geometry import slice_size
from MedSAGaSlicerLib.engine.images import SUFFIXES, Volume, read_image
from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Label maps are often resampled by other tools: origins then differ in the last digits.
_SAME_GRID = 0.1


@dataclass(frozen=True)
class Case:
    """An image and its label map; ``name`` is what their file names have in common."""

    name: str
    image: Path
    label: Path


@dataclass(frozen=True)
class LabelChoice:
    """The label values that make up the object; None is every value but 0."""

    values: frozenset[int] | None

    @classmethod
    def parse(cls, text: str) -> LabelChoice:
        """Read ``3``, ``1,2`` (one object of both) or ``any``.

        Raises:
            InputError: it is none of these.
        """
        if text.strip() == "any":
            return cls(None)
        try:
            values = frozenset(int(part) for part in text.split(","))
        except ValueError as error:
            msg = f"The label {text!r} is unclear: give a value (3), a list (1,2) or any."
            raise InputError(msg) from error
        if 0 in values:
            msg = f"The label {text!r} holds 0, which is the background. Give the object's values."
            raise InputError(msg)
        return cls(values)

    def mask(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """Where the object is in a label map."""
        if self.values is None:
            return np.asarray(labels != 0)
        return np.isin(labels, list(self.values))

    def __str__(self) -> str:
        """As given on the command line."""
        return "any" if self.values is None else ",".join(map(str, sorted(self.values)))


def stem(path: Path) -> str:
    """The file's name up to the first dot."""
    return path.name.split(".", maxsplit=1)[0]


def find_cases(images: Path, labels: Path) -> tuple[Case, ...]:
    """Match the images of one folder with the label maps of another by `stem`, in name order.

    Raises:
        InputError: a folder is missing or empty, two files have one stem, or one has no partner.
    """
    by_stem, labels_by_stem = _files(images, "images"), _files(labels, "labels")
    without = sorted(path.name for name, path in by_stem.items() if name not in labels_by_stem)
    lonely = sorted(path.name for name, path in labels_by_stem.items() if name not in by_stem)
    if without:
        msg = f"No label in {labels} for {_listed(without)} of {images}. Add the label or move it."
        raise InputError(msg)
    if lonely:
        msg = f"No image in {images} for the label {_listed(lonely)} of {labels}. Add or move it."
        raise InputError(msg)
    return tuple(Case(name, by_stem[name], labels_by_stem[name]) for name in sorted(by_stem))


def read_case(
    case: Case, choice: LabelChoice, region: RegionChoice | None = None
) -> tuple[Volume, NDArray[np.bool_], NDArray[Any]]:
    """The image, the object's mask (bool, (k, j, i)) and all label values that occur.

    Outside of a ``region`` the object counts as not there.

    Raises:
        InputError: a file cannot be read, the two are not on one grid, or the region is not in it.
    """
    volume, label = read_image(case.image), read_image(case.label)
    region = region or RegionChoice()
    region.check_fits(volume.geometry.shape_ijk)
    window = region.window("k", slice_size(volume.geometry.shape_kji, "k"))
    size, label_size = volume.geometry.shape_ijk, label.geometry.shape_ijk
    if size != label_size:
        msg = (
            f"The label {case.label} has {_size(label_size)} voxels, its image {case.image} "
            f"{_size(size)}. Resample the label onto the image's grid."
        )
        raise InputError(msg)
    in_space = not (volume.is_picture or label.is_picture)
    if in_space and volume.geometry.distance_to(label.geometry) > _SAME_GRID:
        msg = (
            f"The label {case.label} lies elsewhere in space than its image {case.image} (origin, "
            "spacing or directions differ). Resample the label onto the image's grid."
        )
        raise InputError(msg)
    truth = np.zeros(label.geometry.shape_kji, bool)
    found: set[int] = set()
    for index in range(len(truth)):
        # One slice at a time: all values at once, as whole numbers, would be eight volumes.
        values = _label_slice(label, index)
        found.update(np.unique(values).tolist())
        if region.has_slice("k", index):
            window.cut(truth[index])[...] = choice.mask(window.cut(values))
    return volume, truth, np.array(sorted(found))


def _label_slice(label: Volume, index: int) -> NDArray[Any]:
    values = np.asarray(label.array_kji[index])
    if values.ndim == 3:
        # A label map saved by a picture editor: grey, three times.
        if (values != values[..., :1]).any():
            msg = f"The label {label.path} is in colour. Save it as grey, one value per label."
            raise InputError(msg)
        values = values[..., 0]
    if np.issubdtype(values.dtype, np.floating):
        if not np.isfinite(values).all() or (values != np.rint(values)).any():
            msg = f"The label {label.path} holds values that are no whole numbers; labels are."
            raise InputError(msg)
        values = values.astype(np.int64)
    return values


def _files(folder: Path, what: str) -> dict[str, Path]:
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        msg = f"The folder of {what}, {folder}, {problem}. Check the path."
        raise InputError(msg)
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not _is_image(path):
            continue
        name = stem(path)
        if name in found:
            msg = (
                f"{found[name].name} and {path.name} in {folder} have the same name up to the "
                "first dot, by which images and labels are matched. Rename or move one."
            )
            raise InputError(msg)
        found[name] = path
    if not found:
        msg = f"The folder of {what}, {folder}, holds no image ({', '.join(SUFFIXES)})."
        raise InputError(msg)
    return found


def _is_image(path: Path) -> bool:
    if path.is_dir():
        return any(is_dicom(file) for file in path.iterdir() if file.is_file())
    return path.name.lower().endswith(SUFFIXES)


def _listed(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _size(shape_ijk: tuple[int, int, int]) -> str:
    return " x ".join(map(str, shape_ijk))
