"""Names for embeddings: what they depend on, and nothing else, decides the name."""

import hashlib

import numpy as np
import numpy.typing as npt

from MedSAGaSlicerLib.errors import InputError

_VERSION = 2
"""Of what is kept beside the features: since 2 the slice's look."""


def slice_key(pixels: npt.NDArray[np.uint8]) -> str:
    """Name a slice by its bytes.

    Args:
        pixels: uint8, (rows, columns) or (rows, columns, 3), after normalisation, or a stack of
            such slices (``engine.neighbours``). Any strides.

    Returns:
        40 hexadecimal digits. Shape and bytes are covered; display settings, position in the
        volume and file names are not, so an edited slice gets a new key by itself and equal
        slices share one.

    Raises:
        InputError: not a uint8 slice of at least one pixel.
    """
    check_slice(pixels)
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=20)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def embedding_key(slice_key: str, encoder: str) -> str:
    """Name the embedding of a slice: its key together with the encoder's.

    Args:
        slice_key: from ``slice_key``.
        encoder: ``Predictor.encoder_key``, which covers the encoder's weights and the version of
            the preprocessing. Decoder weights are not in it: a decoder adapter finds the
            embeddings of its base.

    Returns:
        40 hexadecimal digits, usable as a file name.
    """
    named = f"{_VERSION}\n{slice_key}\n{encoder}"
    return hashlib.blake2b(named.encode(), digest_size=20).hexdigest()


def check_slice(pixels: npt.NDArray[np.uint8]) -> None:
    """Refuse what is no slice for the encoder, nor a stack of slices.

    Raises:
        InputError: not uint8, or not (rows, columns) or (rows, columns, 3), or empty; or four
            dimensions that are no stack's (``engine.neighbours``).
    """
    grey, colour = pixels.ndim == 2, pixels.ndim == 3 and pixels.shape[2] == 3
    stack = pixels.ndim == 4 and pixels.shape[0] % 2 == 1 and pixels.shape[3] in (1, 3)
    if pixels.dtype == np.uint8 and pixels.size > 0 and (grey or colour or stack):
        return
    msg = (
        f"Got an array of shape {pixels.shape} and type {pixels.dtype}; a slice is uint8 with "
        "(rows, columns) or (rows, columns, 3), an odd number of them together (depth, rows, "
        "columns, 1 or 3). Normalise the slice first."
    )
    raise InputError(msg)
