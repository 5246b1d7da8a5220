"""A model that looks at slices by a plan: whole, from near, or in tiles; asked like any model."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, cast, runtime_checkable

import numpy as np

from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.prompts import MaskPrompt, Prompts, is_mask
from MedSAGaSlicerLib.engine.regions.choice import AUTO, TILES, RegionChoice
from MedSAGaSlicerLib.engine.regions.logits import to_pixels, to_slice, to_window
from MedSAGaSlicerLib.engine.regions.plan import nearer_window, plan_region
from MedSAGaSlicerLib.engine.regions.tiles import Blend, tile_windows
from MedSAGaSlicerLib.engine.regions.window import Window, window_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.finishing.evidence import Finding
    from MedSAGaSlicerLib.engine.predictor import Prediction
    from MedSAGaSlicerLib.engine.regions.logits import Extent

    Logits = NDArray[np.float32]

_WINDOWS_KEPT: Final = 64
_LOGITS_KEPT: Final = 32


@runtime_checkable
class Sighted(Protocol):
    """A model that says how large its input is and how slices lie in it."""

    @property
    def encoder_key(self) -> str:
        """Of the encoder and its preprocessing."""

    @property
    def input_size(self) -> int:
        """Side of its input in pixels."""

    def extent(self, size: tuple[int, int]) -> Extent:
        """The part of the input that a slice of (rows, columns) takes."""

    def encode(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Embed a slice, or a part of one."""

    def predict(
        self, embedding: Embedding, prompts: Prompts, previous_logits: MaskPrompt | None = None
    ) -> Prediction:
        """The mask of the prompted object."""


@dataclass(frozen=True, eq=False)
class SliceEmbedding(Embedding):
    """The embedding of a whole slice, with what is needed to look at parts of it.

    ``parts`` are embeddings of windows that were looked at; ``answers`` the logits of those, by
    the identity of the logits that were given out for them.
    """

    pixels: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((1, 1), np.uint8))
    parts: OrderedDict[Window, Embedding] = field(default_factory=OrderedDict)
    answers: OrderedDict[int, tuple[Logits, Window, Logits]] = field(default_factory=OrderedDict)


@dataclass
class _Cost:
    """What was embedded so far: how often, for how long, and the largest slice among it."""

    embeddings: int = 0
    seconds: float = 0.0
    largest: tuple[int, int] = (0, 0)


def looking(predictor: Any, choice: RegionChoice) -> Any:
    """A model that looks at slices as chosen; the model itself if it can look in one way only.

    Of a region the slices are cut before they come here: they are looked at as a whole.
    """
    if choice.strategy not in (AUTO, TILES) or not isinstance(predictor, Sighted):
        return predictor
    if hasattr(predictor, "predict_unprompted"):
        return TaughtRegionPredictor(predictor, choice)
    return RegionPredictor(predictor, choice)


def accounts(predictors: Sequence[Any]) -> list[str]:
    """For people: how each model has looked at slices, of those that had a choice."""
    return [one.account for one in predictors if isinstance(one, RegionPredictor)]


class RegionPredictor:
    """Looks at objects in small boxes from near (`AUTO`), or at the slice in tiles (`TILES`).

    Logits that it gives out, and takes, are of the whole slice.
    """

    def __init__(self, predictor: Sighted, choice: RegionChoice) -> None:
        self._predictor = predictor
        self._choice = choice
        self._cost = _Cost()

    @property
    def account(self) -> str:
        """For people: how slices were shown, and what that has cost so far."""
        cost = self._cost
        if not cost.embeddings:
            return "No slice was looked at."
        each = cost.seconds / cost.embeddings
        plan = plan_region(self._choice, cost.largest, self.input_size, seconds_per_encode=each)
        return f"{plan.sentence}. {cost.embeddings} embeddings in all, {cost.seconds:.1f} s."

    @property
    def encoder_key(self) -> str:
        """Of the model."""
        return self._predictor.encoder_key

    @property
    def input_size(self) -> int:
        """Of the model."""
        return self._predictor.input_size

    def __getattr__(self, name: str) -> Any:
        """What else the model has, such as the segments it was taught."""
        if name.startswith("_") or name == "predict_unprompted":
            raise AttributeError(name)
        return getattr(self._predictor, name)

    def for_segment(self, name: str) -> Any:
        """The model for a segment of that name, looking in the same way."""
        switch = getattr(self._predictor, "for_segment", None)
        if switch is None:
            return self
        other = looking(switch(name), self._choice)
        if isinstance(other, RegionPredictor):
            other._cost = self._cost
        return other

    def encode(self, pixels: NDArray[np.uint8]) -> SliceEmbedding:
        """Embed a slice as a whole; parts are embedded when they are looked at."""
        whole = self._embed(pixels)
        self._cost.largest = max(self._cost.largest, whole.size, key=max)
        return SliceEmbedding(whole.features, whole.size, whole.encoder, whole.look, pixels)

    def predict(
        self, embedding: Embedding, prompts: Prompts, previous_logits: MaskPrompt | None = None
    ) -> Prediction:
        """The mask of the prompted object, on the whole slice.

        Raises:
            InputError: as the model does.
        """
        if not isinstance(embedding, SliceEmbedding):
            return self._predictor.predict(embedding, prompts, previous_logits)
        if self._choice.strategy == TILES:
            whole = self._predictor.predict(embedding, prompts, previous_logits)
            return self._tiled(embedding, prompts, whole)
        prompts.validate(embedding.size)
        return self._nearer(embedding, prompts, previous_logits)

    def _nearer(
        self, embedding: SliceEmbedding, prompts: Prompts, previous: MaskPrompt | None
    ) -> Prediction:
        known = None if previous is None else embedding.answers.get(id(previous))
        if known is not None and all(known[1].has_point(point) for point in prompts.points):
            # A correction goes on where the answer that it corrects was found.
            return self._from_near(embedding, prompts, known[1], known[2])
        window = nearer_window(prompts, embedding.size, self.input_size)
        if window is None:
            return self._predictor.predict(embedding, prompts, previous)
        if previous is not None:
            previous = self._to_window(embedding, window, previous)
        return self._from_near(embedding, prompts, window, previous)

    def _from_near(
        self,
        embedding: SliceEmbedding,
        prompts: Prompts,
        window: Window,
        previous: MaskPrompt | None,
    ) -> Prediction:
        part = self._part(embedding, window)
        near = self._predictor.predict(part, window.seen_from_within(prompts), previous)
        size, extent = embedding.size, self._predictor.extent
        logits = to_slice(near.logits, window, extent(part.size), size, extent(size))
        embedding.answers[id(logits)] = (logits, window, near.logits)
        while len(embedding.answers) > _LOGITS_KEPT:
            embedding.answers.popitem(last=False)
        return replace(near, mask=window.put_back(near.mask, size), logits=logits)

    def _embed(self, pixels: NDArray[np.uint8]) -> Embedding:
        begin = time.perf_counter()
        embedding = self._predictor.encode(pixels)
        self._cost.seconds += time.perf_counter() - begin
        self._cost.embeddings += 1
        return embedding

    def _part(self, embedding: SliceEmbedding, window: Window) -> Embedding:
        if window not in embedding.parts:
            pixels = np.ascontiguousarray(window.cut(embedding.pixels))
            embedding.parts[window] = self._embed(pixels)
        embedding.parts.move_to_end(window)
        while len(embedding.parts) > _WINDOWS_KEPT:
            embedding.parts.popitem(last=False)
        return embedding.parts[window]

    def _to_window(
        self, embedding: SliceEmbedding, window: Window, logits: MaskPrompt
    ) -> MaskPrompt:
        if is_mask(logits):
            return window.cut(logits)
        size, extent = embedding.size, self._predictor.extent
        given = cast("Logits", logits)
        return to_window(given, extent(size), size, window, extent(window.size))

    def _tiled(self, embedding: SliceEmbedding, prompts: Prompts, whole: Prediction) -> Prediction:
        """The whole slice's answer made finer, tile by tile, where the object is."""
        size, windows = embedding.size, self._windows(embedding.size)
        if len(windows) == 1:
            return whole
        blend, ground = Blend(size), self._pixels(whole.logits, size)
        for window in windows:
            inside = window.seen_from_within(prompts)
            shown = window_of(window.cut(whole.mask))
            if shown is None and True not in inside.positive:
                continue
            if inside.box is None and shown is not None:
                inside = replace(inside, box=_box_of(shown))
            given = self._to_window(embedding, window, whole.logits)
            answer = self._predictor.predict(self._part(embedding, window), inside, given)
            blend.add(window, self._pixels(answer.logits, window.size))
        return self._blended(embedding, blend, ground, whole)

    def _blended(
        self, embedding: SliceEmbedding, blend: Blend, ground: Logits, whole: Prediction
    ) -> Prediction:
        return replace(whole, mask=blend.over(ground) > 0)

    def _windows(self, size: tuple[int, int]) -> tuple[Window, ...]:
        return tile_windows(size, self._choice.for_input(self.input_size).side or self.input_size)

    def _pixels(self, logits: Logits, size: tuple[int, int]) -> Logits:
        return to_pixels(logits, self._predictor.extent(size), size)


class TaughtRegionPredictor(RegionPredictor):
    """As `RegionPredictor`, of a model that can also segment without prompts."""

    def predict_unprompted(self, embedding: Embedding, *segment: str | None) -> Prediction:
        """The mask of what was taught; in tiles if these were chosen, otherwise as a whole.

        Raises:
            InputError: as the model does.
        """
        model: Any = self._predictor
        whole: Prediction = model.predict_unprompted(embedding, *segment)
        if self._choice.strategy != TILES or not isinstance(embedding, SliceEmbedding):
            return whole
        size, windows = embedding.size, self._windows(embedding.size)
        if len(windows) == 1:
            return whole
        blend = Blend(size)
        for window in windows:
            answer = model.predict_unprompted(self._part(embedding, window), *segment)
            blend.add(window, self._pixels(answer.logits, window.size))
        return self._blended(embedding, blend, self._pixels(whole.logits, size), whole)

    def find(self, embedding: Embedding, segments: Sequence[str]) -> Finding:
        """Find several segments without prompts; in tiles if these were chosen.

        Raises:
            InputError: as the model does.
        """
        model: Any = self._predictor
        whole: Finding = model.find(embedding, segments)
        windows = self._windows(embedding.size)
        tiled = self._choice.strategy == TILES and len(windows) > 1
        if not tiled or not isinstance(embedding, SliceEmbedding):
            return whole
        parts = [model.find(self._part(embedding, window), segments) for window in windows]
        for number in range(len(segments)):
            blend, plane = Blend(embedding.size), whole.evidence[number]
            for window, part in zip(windows, parts, strict=True):
                blend.add(window, part.evidence[number].astype(np.float32))
            # Away from zero, lest what is barely inside is lost.
            blended = blend.over(plane.astype(np.float32))
            plane[...] = np.where(blended > 0, np.ceil(blended), np.floor(blended)).astype(np.int8)
        return whole


def _box_of(window: Window) -> tuple[float, float, float, float]:
    return (window.left, window.top, window.right - 1.0, window.bottom - 1.0)
