"""Masks kept small: a slice of 512 x 512 voxels takes some hundred bytes."""

from __future__ import annotations

import base64
import hashlib
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from MedSAGaSlicerLib.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Fast rather than small: masks are mostly runs, of which any level makes short work.
_LEVEL: Final = 1

_MOST_VOXELS: Final = 1 << 28


@dataclass(frozen=True)
class PackedMask:
    """A mask (rows, columns), eight voxels a byte and compressed; equal masks are equal."""

    shape: tuple[int, int]
    body: bytes

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> PackedMask:
        """Pack a mask."""
        rows, columns = mask.shape
        return cls((rows, columns), zlib.compress(np.packbits(mask).tobytes(), _LEVEL))

    def unpack(self) -> NDArray[np.bool_]:
        """The mask again, as an array of its own."""
        rows, columns = self.shape
        bits = np.frombuffer(zlib.decompress(self.body), np.uint8)
        return np.unpackbits(bits, count=rows * columns).reshape(rows, columns).astype(np.bool_)

    def to_text(self) -> str:
        """ASCII without spaces, for a node's parameter."""
        return f"{self.shape[0]}x{self.shape[1]}:{base64.b64encode(self.body).decode('ascii')}"

    @classmethod
    def from_text(cls, text: str) -> PackedMask:
        """What ``to_text`` made.

        Raises:
            InputError: the text is damaged.
        """
        try:
            size, _, body = text.partition(":")
            rows, columns = (int(n) for n in size.split("x"))
            packed = cls((rows, columns), base64.b64decode(body, validate=True))
            if min(rows, columns) < 1 or rows * columns > _MOST_VOXELS:
                raise ValueError(size)
            # A bomb stops at the size that it claims to be.
            bits = zlib.decompressobj().decompress(packed.body, rows * columns // 8 + 2)
            if len(bits) != (rows * columns + 7) // 8:
                raise ValueError(size)
        except (ValueError, zlib.error) as error:
            msg = f"{text[:40]!r} is no stored mask; the scene was edited or cut off."
            raise InputError(msg) from error
        return packed


def digest_of(mask: NDArray[np.bool_]) -> str:
    """A short name for a mask's content: 16 hexadecimal digits."""
    digest = hashlib.blake2b(repr(mask.shape).encode(), digest_size=8)
    digest.update(np.packbits(mask).data)
    return digest.hexdigest()
