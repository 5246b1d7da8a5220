"""A slice among its neighbours, for encoders that look at several slices at a time.

Such a *stack* is uint8 (depth, rows, columns, channels): the slice that is meant in the middle,
before and after it the next ones along its normal, as many on either side; 1 or 3 channels. The
fourth dimension tells it from a slice, also in keys and in what goes to a worker. Beyond the end of
a volume, or of what may be shown of it, the last slice that is there stands in for the missing
ones; a picture without neighbours is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from MedSAGaSlicerLib.errors import InputError

Pixels = npt.NDArray[np.uint8]


def neighbours_of(index: int, depth: int, is_there: Callable[[int], bool]) -> tuple[int, ...]:
    """The ``depth`` slices around one, it in the middle, in the order of the axis.

    Args:
        index: of the slice.
        depth: an odd number.
        is_there: whether a slice of that index can be shown.
    """
    before, after = [index], [index]
    for _ in range(depth // 2):
        for reached, step in ((before, -1), (after, 1)):
            following = reached[-1] + step
            reached.append(following if is_there(following) else reached[-1])
    return (*reversed(before[1:]), *after)


def stacked(slices: Sequence[Pixels]) -> Pixels:
    """Slices, (rows, columns) or (rows, columns, 3), as one array (depth, rows, columns, ...)."""
    together = np.stack(slices)
    return together[..., None] if together.ndim == 3 else together


def among(pixels: Pixels, neighbours: Pixels) -> Pixels:
    """The stack of a slice and its neighbours (2 n, rows, columns, channels), in order."""
    half = len(neighbours) // 2
    return np.concatenate([neighbours[:half], stacked([pixels]), neighbours[half:]])


def parted(pixels: Pixels) -> tuple[Pixels, Pixels | None]:
    """The slice that is meant, and its neighbours if it is shown among some."""
    if not is_stack(pixels):
        return pixels, None
    half = len(pixels) // 2
    return planes(pixels)[half].copy(), np.concatenate([pixels[:half], pixels[half + 1 :]])


def planes(stack: Pixels) -> list[Pixels]:
    """The slices of a stack, (rows, columns) or (rows, columns, 3)."""
    return list(stack[..., 0] if stack.shape[3] == 1 else stack)


def is_stack(pixels: npt.NDArray[Any]) -> bool:
    """Whether an array has a slice's neighbours as well."""
    return pixels.ndim == 4


def plane_size(pixels: Pixels) -> tuple[int, int]:
    """(rows, columns) of a slice or of a stack's slices."""
    rows, columns = pixels.shape[1:3] if is_stack(pixels) else pixels.shape[:2]
    return rows, columns


def mirrored(pixels: Pixels) -> Pixels:
    """A slice or a stack with left and right swapped."""
    return np.ascontiguousarray(pixels[:, :, ::-1] if is_stack(pixels) else pixels[:, ::-1])


def depth_of(model: object) -> int:
    """How many slices a model is shown at a time, 1 if it says nothing about it."""
    return int(getattr(model, "depth", 1))


def check_neighbours(pixels: Pixels, neighbours: Pixels) -> None:
    """Refuse neighbours that do not fit a slice.

    Raises:
        InputError: they are not uint8, of another size, or more on one side than on the other.
    """
    wanted = stacked([pixels]).shape[1:]
    fits = neighbours.dtype == np.uint8 and neighbours.ndim == 4 and neighbours.shape[1:] == wanted
    if fits and len(neighbours) > 0 and len(neighbours) % 2 == 0:
        return
    msg = (
        f"The neighbours of a slice of the shape {pixels.shape} are {neighbours.dtype} of "
        f"{neighbours.shape}. Give uint8 (2 n, {', '.join(map(str, wanted))}): n before, n after."
    )
    raise InputError(msg)


def check_shown(pixels: Pixels, depth: int) -> None:
    """Refuse what a model for so many slices at a time cannot take.

    Raises:
        InputError: says what was given and what is wanted.
    """
    given = len(pixels) if is_stack(pixels) else 1
    if given == depth:
        return
    wanted = (
        "looks at single slices"
        if depth == 1
        else f"was taught with neighbours and looks at {depth} slices at a time"
    )
    msg = (
        f"Got {given} slice{'s' * (given > 1)} of the shape {pixels.shape}; this model {wanted}. "
        "Show it as many."
    )
    raise InputError(msg)
