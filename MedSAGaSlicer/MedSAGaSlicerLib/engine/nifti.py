"""What ITK does not say about a NIfTI file: that it is cut off, or that its grid is sheared."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Order = Literal["<", ">"]
"""Of bytes: the lowest first, or the highest."""

_CHUNK: Final = 1 << 22
_ORDERS: Final[tuple[Order, ...]] = ("<", ">")


@dataclass(frozen=True)
class _Layout:
    """Where the fields of one version lie: length of the header, struct formats, offsets."""

    length: int
    dimensions: tuple[str, int]
    bits: int
    start: tuple[str, int]
    code: tuple[str, int]
    rows: tuple[str, int]
    kind: int
    scale: tuple[str, int]


_LAYOUTS: Final = (
    _Layout(348, ("8h", 40), 72, ("f", 108), ("h", 254), ("12f", 280), 70, ("2f", 112)),
    _Layout(540, ("8q", 16), 14, ("q", 168), ("i", 348), ("12d", 400), 12, ("2d", 176)),
)

_KINDS: Final = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8",
    256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
"""Single numbers, by NIfTI's codes."""


@dataclass(frozen=True)
class NiftiVoxels:
    """Where the voxels lie in an uncompressed file, if they are single numbers as they stand.

    ``offset`` is in bytes, ``order`` is that of bytes (``<`` or ``>``), ``dtype`` in this machine's
    order, ``sizes`` along i, j, k, ...
    """

    offset: int
    order: Order
    dtype: np.dtype[Any]
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class NiftiHeader:
    """What is needed here of a NIfTI-1 or NIfTI-2 header.

    ``size`` is how many bytes the file must have, uncompressed. ``is_sheared`` says that the sform
    is in use and its axes are not at right angles: ITK quietly takes the qform then, and voxels
    would lie elsewhere. ``layout`` is None if the values are scaled, or no single numbers.
    """

    size: int
    is_sheared: bool
    layout: NiftiVoxels | None = None


def _parse(head: bytes) -> NiftiHeader:
    for layout in _LAYOUTS:
        for order in _ORDERS:
            if len(head) < layout.length or _at(head, order, "i", 0) != (layout.length,):
                continue
            dimensions = _at(head, order, *layout.dimensions)
            sizes = tuple(max(1, int(size)) for size in dimensions[1 : 1 + int(dimensions[0])])
            count = math.prod(sizes)
            (bits,), (start,) = _at(head, order, "h", layout.bits), _at(head, order, *layout.start)
            (code,) = _at(head, order, *layout.code)
            rows = np.reshape(_at(head, order, *layout.rows), (3, 4))
            (kind,), scale = _at(head, order, "h", layout.kind), _at(head, order, *layout.scale)
            voxels = None
            if int(kind) in _KINDS and (scale[0] == 0 or scale == (1.0, 0.0)):
                voxels = NiftiVoxels(int(start), order, np.dtype(_KINDS[int(kind)]), sizes)
            return NiftiHeader(
                int(start) + count * int(bits) // 8,
                code != 0 and _is_sheared(rows[:, :3]),
                voxels,
            )
    msg = "no NIfTI header"
    raise ValueError(msg)


def _at(head: bytes, order: str, fields: str, offset: int) -> tuple[float, ...]:
    return struct.unpack_from(order + fields, head, offset)


def _is_sheared(columns: NDArray[np.float64]) -> bool:
    lengths = np.linalg.norm(columns, axis=0)
    if not lengths.all():
        return False
    unit = columns / lengths
    return bool(np.abs(unit.T @ unit - np.eye(3)).max() > 1e-3)


def read_header(path: Path) -> NiftiHeader:
    """The header of a .nii or .nii.gz.

    Raises:
        ValueError: the file is no NIfTI, or its compression is damaged.
        EOFError: it is compressed, and cut off within the header.
    """
    try:
        with _opened(path) as stream:
            return _parse(stream.read(540))
    except (OverflowError, zlib.error, gzip.BadGzipFile) as error:
        msg = f"damaged: {error}"
        raise ValueError(msg) from error


def is_whole(path: Path, header: NiftiHeader) -> bool:
    """Whether a file has all the bytes that its header promises; ITK fills up with zeros."""
    if not _is_compressed(path):
        return path.stat().st_size >= header.size
    with path.open("rb") as stream:
        stream.seek(-4, 2)
        length = int.from_bytes(stream.read(4), "little")
    # gzip ends with the length, modulo 4 GB. Files of several parts need the long way.
    if length == header.size % (1 << 32):
        return True
    found = 0
    try:
        with _opened(path) as stream:
            while chunk := stream.read(_CHUNK):
                found += len(chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return False
    return found >= header.size


def _opened(path: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path) if _is_compressed(path) else path.open("rb")


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"
