"""Examples as a model will be shown slices: in tiles, if it is to look at tiles."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from MedSAGaSlicerLib.engine.examples import Example, ExampleSet
from MedSAGaSlicerLib.engine.regions.choice import TILES, RegionChoice
from MedSAGaSlicerLib.engine.regions.tiles import tile_windows
from MedSAGaSlicerLib.engine.regions.window import Window

_WITHOUT: Final = 4
"""One of so many slices that show something gives a tile that does not, if it has one."""


def shown_windows(choice: RegionChoice, axis: str, size: tuple[int, int]) -> tuple[Window, ...]:
    """The parts of a slice of (rows, columns) that can be examples of it."""
    if choice.strategy == TILES and choice.side is not None:
        return tile_windows(size, choice.side)
    return (choice.window(axis, size),)


def as_tiles(examples: ExampleSet, choice: RegionChoice) -> ExampleSet:
    """One tile of each slice as its example, if tiles were chosen; otherwise the same examples.

    One, so that a slice that is kept aside is not seen by way of the overlap of its tiles. It is
    drawn by the slice's pixels among those that show most segments, and for every fourth slice
    among those that show none: a model that looks at tiles has to know what has nothing in it.
    """
    if choice.strategy != TILES:
        return examples
    shown = sorted(one.key for one in examples.examples if not one.is_empty)
    bare = set(shown[_WITHOUT - 1 :: _WITHOUT])
    tiles = tuple(_tile(one, choice, bare=one.key in bare) for one in examples.examples)
    return ExampleSet(examples.segments, tiles)


def _tile(example: Example, choice: RegionChoice, *, bare: bool) -> Example:
    windows = shown_windows(choice, example.axis, example.size)
    counts = [sum(w.cut(mask).any() for mask in example.masks.values()) for w in windows]
    wanted = min(counts) if bare else max(counts)
    candidates = [w for w, count in zip(windows, counts, strict=True) if count == wanted]
    rng = np.random.default_rng(int(example.key[:8], 16))
    window = candidates[int(rng.integers(len(candidates)))]
    prompts = {name: window.seen_from_within(given) for name, given in example.prompts.items()}
    around = example.neighbours
    return replace(
        example,
        pixels=np.ascontiguousarray(window.cut(example.pixels)),
        masks={name: window.cut(mask).copy() for name, mask in example.masks.items()},
        prompts={name: given for name, given in prompts.items() if not given.is_empty},
        neighbours=None if around is None else np.ascontiguousarray(window.cut(around)),
    )
