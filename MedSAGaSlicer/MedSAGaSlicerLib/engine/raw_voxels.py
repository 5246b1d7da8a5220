"""Where the voxels of an uncompressed image file lie, so that they need not be read to be seen."""

from __future__ import annotations

import math
import mmap
import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from MedSAGaSlicerLib.engine.nifti import Order, read_header
from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

_LONGEST_HEADER: Final = 1 << 20
_NRRD_NAMES: Final = {"datafile": "data file", "lineskip": "line skip", "byteskip": "byte skip"}
_ORDERS: Final[dict[str, Order]] = {"little": "<", "big": ">"}
_WHOLE: Final = -1
"""An offset: the voxels are the last bytes of the file, whatever comes before."""


@dataclass(frozen=True)
class RawVoxels:
    """The voxels' place in a file: ``order`` is that of bytes, ``<`` or ``>``."""

    path: Path
    offset: int
    order: Order


class MappedVoxels(np.ndarray[Any, np.dtype[Any]]):
    """Voxels that stay in their file until they are looked at; read-only.

    The file may be replaced or deleted meanwhile: what was opened stays. If somebody writes into
    it, taking an element or a slice raises InputError: after a cut, touching what is gone would
    end the process.
    """

    _file: _OpenFile | None = None

    def __array_finalize__(self, parent: Any) -> None:
        self._file = getattr(parent, "_file", None)

    def __getitem__(self, key: Any) -> Any:
        if self._file is not None:
            self._file.check()
        return super().__getitem__(key)


class _OpenFile:
    """A file as it was when it was opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self.number)
        self._before = self._now()

    @property
    def size(self) -> int:
        return self._before[0]

    def check(self) -> None:
        if self._now() != self._before:
            msg = (
                f"The file {self._path} was changed while it was in use. Start again when nothing "
                "writes to it any more."
            )
            raise InputError(msg)

    def _now(self) -> tuple[int, int]:
        status = os.fstat(self.number)
        return status.st_size, status.st_mtime_ns


def map_voxels(path: Path, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any] | None:
    """The voxels of a file without reading them; None if it is compressed or of another kind.

    NIfTI, NRRD and MetaImage can be mapped, with the voxels in the same or in another file. Scaled
    NIfTI cannot: there what ITK reads is not what the file holds.

    Args:
        path: of the image.
        shape: of the array in C order, as ITK finds it; one value a voxel.
        dtype: of what ITK reads, in any byte order.

    Raises:
        InputError: bytes are missing at the end.
    """
    dtype = np.dtype(dtype)
    if math.prod(shape) == 0:
        return None
    try:
        raw = _raw_voxels(path, tuple(shape), dtype)
        file = None if raw is None else _OpenFile(raw.path)
    except (ValueError, OSError):
        # Some other writing of the header than is known here, or no access: ITK will see.
        return None
    if raw is None or file is None:
        return None
    needed = math.prod(shape) * dtype.itemsize
    offset = max(0, file.size - needed) if raw.offset == _WHOLE else raw.offset
    if file.size < offset + needed:
        msg = f"The image {path} is cut off: bytes are missing at its end. Copy it again."
        raise InputError(msg)
    memory = mmap.mmap(file.number, offset + needed, access=mmap.ACCESS_READ)
    stored = dtype.newbyteorder(raw.order)
    flat = np.frombuffer(memory, stored, math.prod(shape), offset)
    mapped = flat.reshape(tuple(shape)).view(MappedVoxels)
    mapped._file = file
    return mapped


def _raw_voxels(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> RawVoxels | None:
    name = path.name.lower()
    if name.endswith(".nii"):
        return _nifti(path, shape, dtype)
    if name.endswith((".nrrd", ".nhdr")):
        return _nrrd(path)
    if name.endswith((".mha", ".mhd")):
        return _meta_image(path)
    return None


def _nifti(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> RawVoxels | None:
    header = read_header(path)
    layout = header.layout
    if layout is None or layout.dtype != dtype:
        return None
    # ITK leaves out trailing dimensions of size 1.
    if _without_ones(layout.sizes) != _without_ones(shape[::-1]):
        return None
    return RawVoxels(path, layout.offset, layout.order)


def _without_ones(sizes: tuple[int, ...]) -> tuple[int, ...]:
    while sizes and sizes[-1] == 1:
        sizes = sizes[:-1]
    return sizes


def _nrrd(path: Path) -> RawVoxels | None:
    fields: dict[str, str] = {}
    with path.open("rb") as stream:
        for line in _lines(stream):
            if not line.strip():
                break
            name, colon, value = line.partition(": ")
            if colon and not line.startswith("#"):
                name = name.strip().lower()
                fields[_NRRD_NAMES.get(name, name)] = value.strip()
        start = stream.tell()
    if fields.get("encoding", "").lower() != "raw" or int(fields.get("line skip", 0)) != 0:
        return None
    skip = int(fields.get("byte skip", 0))
    order = _ORDERS.get(fields.get("endian", "little").lower())
    if order is None or skip < _WHOLE:
        return None
    if "data file" not in fields:
        return RawVoxels(path, _WHOLE if skip == _WHOLE else start + skip, order)
    return _detached(path, fields["data file"], skip, order)


def _meta_image(path: Path) -> RawVoxels | None:
    fields: dict[str, str] = {}
    with path.open("rb") as stream:
        for line in _lines(stream):
            name, _, value = line.partition("=")
            fields[name.strip().lower()] = value.strip()
            if name.strip().lower() == "elementdatafile":
                break
        start = stream.tell()
    if _is_true(fields.get("compresseddata")) or not _is_true(fields.get("binarydata", "true")):
        return None
    msb = fields.get("binarydatabyteordermsb", fields.get("elementbyteordermsb"))
    skip = int(fields.get("headersize", 0))
    order: Order = ">" if _is_true(msb) else "<"
    where = fields.get("elementdatafile", "")
    if not where or skip < _WHOLE:
        return None
    if where.upper() == "LOCAL":
        return RawVoxels(path, start, order) if skip == 0 else None
    return _detached(path, where, skip, order)


def _detached(path: Path, name: str, skip: int, order: Order) -> RawVoxels | None:
    """One file of voxels beside its header; lists and patterns of several are left to ITK."""
    file = path.parent / name
    return RawVoxels(file, skip, order) if file.is_file() else None


def _is_true(text: str | None) -> bool:
    return text is not None and text.lower() in ("true", "t", "1", "yes")


def _lines(stream: Any) -> Any:
    """The lines of a text header; behind it the stream stands at the first byte of what follows."""
    read = 0
    while (line := stream.readline(_LONGEST_HEADER)) and read < _LONGEST_HEADER:
        read += len(line)
        yield line.decode("latin-1")
