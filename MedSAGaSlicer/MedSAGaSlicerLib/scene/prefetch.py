"""Which slices to embed while the person looks at one: outward, first where they are going."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.regions.choice import RegionChoice
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of, normalisation_of, shown_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import slicer

    from MedSAGaSlicerLib.engine.intensity import Normalisation
    from MedSAGaSlicerLib.engine.prompts import Prompts
    from MedSAGaSlicerLib.engine.regions.window import Window
    from MedSAGaSlicerLib.worker.client import InferenceClient
    from MedSAGaSlicerLib.worker.events import Encoded
    from MedSAGaSlicerLib.worker.payloads import Pixels
    from MedSAGaSlicerLib.worker.requests import PixelSource

# Scrolling on by more than this many slices at once is a jump: where to next is unknown then.
_LONGEST_STRIDE: Final = 3

# Slices embedded before the one looked at and behind it, while scrolling; both ways without.
_AHEAD, _BEHIND, _AROUND = 16, 4, 8

# Keys made per step: each costs some milliseconds of the caller's time.
_KEYS_PER_STEP: Final = 2


class SliceKeys:
    """The names under which the worker knows a volume's slices."""

    def __init__(
        self, volume: slicer.vtkMRMLVolumeNode, region: Callable[[], RegionChoice] = RegionChoice
    ) -> None:
        """``region`` is asked what of the slices the worker is shown."""
        self._volume = volume
        self._region = region
        self._keys: dict[SlicePosition, str] = {}
        self._made_of: tuple[int, Normalisation, RegionChoice] | None = None

    @property
    def region(self) -> RegionChoice:
        """What of the slices the worker is shown now.

        Raises:
            InputError: a region of interest cannot be used any more.
        """
        return self._region()

    def window(self, position: SlicePosition) -> Window:
        """What of a slice the worker is shown."""
        return self.region.window(position.axis, self.size(position))

    def check_shown(self, position: SlicePosition, prompts: Prompts) -> None:
        """Refuse prompts on what the worker is not shown.

        Raises:
            InputError: they are outside the region; see also ``region``.
        """
        if not self.region.has_slice(position.axis, position.index):
            msg = (
                f"The slice {position.axis} {position.index} lies outside the region of interest. "
                "Widen that, or take it off the annotation."
            )
            raise InputError(msg)
        self.window(position).check_inside(prompts)

    def size(self, position: SlicePosition) -> tuple[int, int]:
        """(rows, columns) of the whole slice."""
        shape = grid_of(self._volume).shape_ijk
        column, row = position.in_plane
        return shape[row], shape[column]

    def key(self, position: SlicePosition) -> str:
        """The slice's key, made anew if voxels have changed.

        Raises:
            InputError: the volume has no such slice, or cannot be read.
        """
        self.forget_changed()
        if position not in self._keys:
            self._keys[position] = slice_key(self.pixels(position))
        return self._keys[position]

    def key_of(self, position: SlicePosition, window: Window, depth: int = 1) -> str:
        """The key of a part of the slice, or of a stack of ``depth`` slices around it.

        Raises:
            InputError: see ``key``.
        """
        if depth == 1 and window == self.window(position):
            return self.key(position)
        return slice_key(self.pixels(position, window, depth))

    def pixels(
        self, position: SlicePosition, window: Window | None = None, depth: int = 1
    ) -> Pixels:
        """What the worker is shown of the slice, or another part of it, normalised.

        For a model that looks at neighbours too, a stack (``engine.neighbours``) of ``depth``.

        Raises:
            InputError: see ``key``.
        """
        shown = window or self.window(position)
        return shown_of(self._volume, position.axis, position.index, shown, self.region, depth)

    def is_known(self, position: SlicePosition) -> bool:
        """Whether the key costs nothing."""
        return position in self._keys

    def positions_of(self, key: str) -> list[SlicePosition]:
        """The slices of a key; equal slices share one."""
        return [position for position, known in self._keys.items() if known == key]

    def forget_changed(self) -> bool:
        """Forget all keys if other voxels are shown now; whether they are."""
        image = self._volume.GetImageData()
        # VTK counts all changes of all objects by one clock: another image has another time.
        made_of = None
        if image is not None:
            made_of = image.GetMTime(), normalisation_of(self._volume), self.region
        if made_of == self._made_of:
            return False
        had_any, self._made_of = self._made_of is not None, made_of
        self._keys.clear()
        return had_any


class Prefetcher:
    """Keeps the worker busy with the slices that will probably be looked at next.

    ``seconds_per_encode`` is what the last embedding took, None before the first.
    """

    def __init__(
        self, volume: slicer.vtkMRMLVolumeNode, client: InferenceClient, keys: SliceKeys
    ) -> None:
        self._volume = volume
        self._client = client
        self._keys = keys
        self._here: SlicePosition | None = None
        self._direction = 0
        self._wanted: Iterator[SlicePosition] = iter(())
        self._listed: list[tuple[str, PixelSource]] = []
        self._ready: set[str] = set()
        self.seconds_per_encode: float | None = None

    @property
    def here(self) -> SlicePosition | None:
        """The slice looked at, None if none was named yet."""
        return self._here

    def visit(self, position: SlicePosition) -> None:
        """The person looks at this slice now: embed it, then its neighbours.

        Raises:
            InputError: the volume has no such slice, or cannot be read.
        """
        if position == self._here:
            return
        self._direction = self._direction_to(position)
        self._here = position
        key = self._keys.key(position)
        if key not in self._ready:
            self._client.encode(key, self._keys.pixels(position))
        self._wanted = self._plan(position)
        self._listed = []
        self._list_some()
        # Replaces the former list, so that what lies behind a jump is no longer embedded.
        self._client.prefetch(self._listed)

    def step(self) -> None:
        """Go on planning for a few milliseconds; to be called by a timer.

        Raises:
            InputError: the volume cannot be read.
        """
        if self._list_some():
            self._client.prefetch(self._listed)

    def note(self, event: Encoded) -> list[SlicePosition]:
        """Note that a slice has its embedding; which slices these are."""
        self._ready.add(event.key)
        if not event.cached:
            self.seconds_per_encode = event.milliseconds / 1000
        return self._keys.positions_of(event.key)

    def is_ready(self, position: SlicePosition) -> bool:
        """Whether prompts on a slice are answered at once, as far as is known."""
        return self._keys.is_known(position) and self._keys.key(position) in self._ready

    @property
    def progress(self) -> tuple[int, int]:
        """How many of the slices that will be looked at next are embedded, and how many to be."""
        return sum(key in self._ready for key, _ in self._listed), len(self._listed)

    def restart(self) -> None:
        """Begin anew, as when another model is used or voxels have changed."""
        here, self._here, self._direction = self._here, None, 0
        self._ready.clear()
        if here is not None:
            self.visit(here)

    def stop(self) -> None:
        """Embed nothing more that nobody asked for."""
        self._here, self._wanted, self._listed = None, iter(()), []
        self._client.prefetch([])

    def _list_some(self) -> bool:
        """Put more of what is wanted on the list; whether there was any."""
        made, before = 0, len(self._listed)
        while made < _KEYS_PER_STEP and (position := next(self._wanted, None)) is not None:
            made += not self._keys.is_known(position)
            key = self._keys.key(position)
            if key not in self._ready:
                self._listed.append((key, partial(self._keys.pixels, position)))
        return len(self._listed) > before

    def _direction_to(self, position: SlicePosition) -> int:
        here = self._here
        if here is None or here.axis != position.axis:
            return 0
        stride = position.index - here.index
        if abs(stride) > _LONGEST_STRIDE:
            return 0
        return 1 if stride > 0 else -1

    def _plan(self, position: SlicePosition) -> Iterator[SlicePosition]:
        count = grid_of(self._volume).shape_ijk[position.normal]
        for offset in _offsets(self._direction):
            if 0 <= position.index + offset < count:
                yield SlicePosition(position.axis, position.index + offset)


def _offsets(direction: int) -> Iterator[int]:
    """Steps from a slice in the order of their worth."""
    if direction == 0:
        for step in range(1, _AROUND + 1):
            yield step
            yield -step
        return
    every = _AHEAD // _BEHIND
    for step in range(1, _AHEAD + 1):
        yield direction * step
        if step % every == 0:
            yield -direction * (step // every)
