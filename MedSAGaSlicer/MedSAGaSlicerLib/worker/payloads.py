"""How slices, masks and prompts travel: as few bytes as possible, and checked on arrival."""

from typing import Any

import numpy as np
import numpy.typing as npt

from MedSAGaSlicerLib.engine.embedding_key import check_slice
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.errors import WorkerError
from MedSAGaSlicerLib.worker.protocol import Message

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def pack_pixels(pixels: Pixels) -> tuple[list[int], bytes]:
    """Take a slice, or a stack of them, apart into its shape and its bytes in C order.

    Raises:
        InputError: not a uint8 slice, see ``check_slice``.
    """
    check_slice(pixels)
    return list(pixels.shape), pixels.tobytes()


def unpack_pixels(shape: list[int], body: bytes) -> Pixels:
    """Put a slice together again; read-only, for it shares the memory of ``body``.

    Raises:
        InputError: not the shape of a slice.
        WorkerError: shape and number of bytes do not agree.
    """
    if len(body) != int(np.prod(shape)):
        msg = f"A slice of shape {shape} came with {len(body)} bytes."
        raise WorkerError(msg)
    pixels = np.frombuffer(body, np.uint8).reshape(shape)
    check_slice(pixels)
    return pixels


def pack_mask(mask: Mask) -> tuple[list[int], bytes]:
    """Take a mask (rows, columns) apart into its shape and eight voxels a byte, rows first."""
    return list(mask.shape), np.packbits(mask).tobytes()


def unpack_mask(shape: list[int], body: bytes) -> Mask:
    """Put a mask together again.

    Raises:
        WorkerError: shape and number of bytes do not agree.
    """
    rows, columns = shape
    if len(body) != (rows * columns + 7) // 8:
        msg = f"A mask of shape {shape} came with {len(body)} bytes."
        raise WorkerError(msg)
    bits = np.unpackbits(np.frombuffer(body, np.uint8), count=rows * columns)
    return bits.reshape(rows, columns).view(np.bool_)


def pack_prompts(prompts: Prompts) -> dict[str, Any]:
    """Make JSON of prompts; plain numbers, whatever numpy type the caller had."""
    return {
        "points": [[float(a), float(b)] for a, b in prompts.points],
        "positive": [bool(positive) for positive in prompts.positive],
        "box": None if prompts.box is None else [float(edge) for edge in prompts.box],
    }


def unpack_prompts(fields: dict[str, Any]) -> Prompts:
    """Make prompts of that JSON again; whether they suit the slice is not checked here."""
    box = fields.get("box")
    return Prompts(
        points=tuple((float(a), float(b)) for a, b in fields["points"]),
        positive=tuple(bool(positive) for positive in fields["positive"]),
        box=None if box is None else (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
    )


def with_mask(message: Message) -> dict[str, Any]:
    """A decode's header, with the mask that is expected as "mask" if one came along.

    Raises:
        WorkerError: the mask's shape and number of bytes do not agree.
    """
    header = message.header
    if "mask_shape" not in header:
        return header
    return {**header, "mask": unpack_mask(header["mask_shape"], message.body)}
