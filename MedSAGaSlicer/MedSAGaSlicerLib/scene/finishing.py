"""Having taught models segment what nobody has settled yet, slice after slice, without prompts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.engine.finishing.axes import steps_of
from MedSAGaSlicerLib.engine.finishing.cleaning import clean_up
from MedSAGaSlicerLib.engine.finishing.evidence import SUREST, Finding, mirrored_back, unknown
from MedSAGaSlicerLib.engine.finishing.finisher import Finisher
from MedSAGaSlicerLib.engine.geometry import slice_of
from MedSAGaSlicerLib.engine.neighbours import mirrored
from MedSAGaSlicerLib.errors import MedSAGaError
from MedSAGaSlicerLib.scene.jobs import DONE, Job
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of, voxels_of
from MedSAGaSlicerLib.worker.events import Found

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.finishing.finisher import FinishedSlice, Opinion
    from MedSAGaSlicerLib.engine.finishing.settings import FinishSettings
    from MedSAGaSlicerLib.engine.regions.window import Window
    from MedSAGaSlicerLib.scene.jobs import Workplace
    from MedSAGaSlicerLib.scene.taught_segments import Taught
    from MedSAGaSlicerLib.worker.events import Event

# Slices asked about at once: the encoder has the next one when this one is done, and a prompt of
# the person's never waits for more than these.
_AHEAD: Final = 2

# The clean-up may take this long of the caller's time at once.
_STEP_S: Final = 0.01


@dataclass(frozen=True)
class _Question:
    """What is asked about a slice: which adapter, and whether of the mirrored slice."""

    index: int
    adapter: str
    mirrored: bool


class FinishJob(Job):
    """Segments every slice along an axis; what is confirmed or has prompts stays, and is believed.

    ``opinions`` grows as slices are done. With ``writes`` False nothing is written: it only looks
    which slices are doubtful.
    """

    def __init__(
        self,
        place: Workplace,
        taught: Mapping[str, Taught],
        axis: str,
        settings: FinishSettings,
        *,
        writes: bool = True,
    ) -> None:
        """``taught`` has who answers for which segment."""
        grid = grid_of(place.annotation.volume)
        region = place.keys.region
        count = grid.shape_ijk["ijk".index(axis)]
        self._indices = [index for index in range(count) if region.has_slice(axis, index)]
        super().__init__(place, "Finish" if writes else "Review", len(self._indices))
        self.axis, self.segment_ids = axis, tuple(taught)
        self.opinions: list[Opinion] = []
        self._adapters: dict[str, list[str]] = {}
        for segment_id, one in taught.items():
            self._adapters.setdefault(one.folder, []).append(segment_id)
        self._depths = {one.folder: one.depth for one in taught.values()}
        self._names = {segment_id: one.segment for segment_id, one in taught.items()}
        self._settings, self._writes = settings, writes
        self._steps = steps_of(grid.geometry, axis)
        self._finisher = Finisher(settings, *self._steps)
        self._next = self._fed = 0
        self._answers: dict[_Question, Finding] = {}
        self._cleaning: Iterator[None] | None = None

    def heed(self, event: Event) -> bool:
        """Take an answer to one of its questions; whether it was one."""
        if not isinstance(event, Found) or event.request not in self._asked:
            return super().heed(event)
        asked, keys = self._asked.pop(event.request), self._place.keys
        try:
            if asked.pixels_key == keys.key(asked.position):
                finding = event.finding
                finding = mirrored_back(finding) if asked.tag.mirrored else finding
                size = keys.size(asked.position)
                self._answers[asked.tag] = _widened(finding, asked.window, size)
                self._feed()
            else:
                # Voxels were edited while the model was busy: it looked at another image.
                self._put(asked.tag, asked.position, asked.ask)
        except MedSAGaError as error:
            self._give_up(error)
        return True

    def _step(self) -> None:
        while self._next < len(self._indices) and self._next - self._fed < _AHEAD:
            for question in self._questions(self._indices[self._next]):
                self._inquire(question)
            self._next += 1
        if self._fed == len(self._indices) and not self._asked:
            self._conclude()

    def _answered(self, _tag: Any, _answer: Any) -> None:
        """Nothing is asked that would be answered by a mask."""

    def _end(self, state: str, message: str) -> None:
        self._answers.clear()
        super()._end(state, message)

    def _questions(self, index: int) -> list[_Question]:
        sides = (False, True) if self._settings.flips else (False,)
        return [_Question(index, adapter, side) for adapter in self._adapters for side in sides]

    def _inquire(self, question: _Question) -> None:
        client, keys = self._place.client, self._place.keys
        position = SlicePosition(self.axis, question.index)
        names = [self._names[segment_id] for segment_id in self._adapters[question.adapter]]
        depth = self._depths[question.adapter]

        def ask(window: Window) -> int:
            if question.mirrored:
                turned = mirrored(keys.pixels(position, window, depth))
                return client.find(
                    slice_key(turned), question.adapter, names, pixels=lambda: turned
                )
            key = keys.key_of(position, window, depth)
            pixels = partial(keys.pixels, position, window, depth)
            return client.find(key, question.adapter, names, pixels=pixels)

        self._put(question, position, ask)

    def _feed(self) -> None:
        """Give the finisher the slices that have all their answers, in order."""
        while self._fed < len(self._indices):
            index = self._indices[self._fed]
            if not all(question in self._answers for question in self._questions(index)):
                return
            found, mirrored = self._joined(index, False), self._joined(index, True)
            position = SlicePosition(self.axis, index)
            voxels = slice_of(voxels_of(self._place.annotation.volume), self.axis, index)
            if found is not None and not np.isfinite(voxels).any():
                found = unknown(found)
            self._fed += 1
            if found is not None:
                for one in self._finisher.feed(index, found, mirrored, self._given(position)):
                    self._take(one)

    def _joined(self, index: int, mirrored: bool) -> Finding | None:
        """What all adapters found on a slice, in the order of the segments."""
        parts = [
            self._answers.pop(_Question(index, adapter, mirrored), None)
            for adapter in self._adapters
        ]
        known = [part for part in parts if part is not None]
        if not known:
            return None
        order = [i for ids in self._adapters.values() for i in ids]
        places = [order.index(segment_id) for segment_id in self.segment_ids]
        evidence = np.concatenate([part.evidence for part in known])[places]
        scores = [score for part in known for score in part.scores]
        return Finding(evidence, tuple(scores[at] for at in places), known[0].pooled)

    def _given(self, position: SlicePosition) -> dict[int, NDArray[np.bool_]]:
        """The masks that a person has settled on a slice."""
        annotation = self._place.annotation
        return {
            at: annotation.read((segment_id, position))
            for at, segment_id in enumerate(self.segment_ids)
            if not self._writer.is_free((segment_id, position))
        }

    def _take(self, finished: FinishedSlice) -> None:
        self.opinions.append(finished.opinion)
        if self._writes:
            self._write_labels(finished.index, finished.labels)
        self._count.done += 1

    def _write_labels(self, index: int, labels: NDArray[np.uint8]) -> None:
        position = SlicePosition(self.axis, index)
        annotation = self._place.annotation
        for at, segment_id in enumerate(self.segment_ids):
            mask = labels == at + 1
            # Nobody asked for these voxels one by one: no reason to take them from others.
            for other in annotation.editing.overwritten(segment_id):
                if other not in self.segment_ids:
                    mask &= ~annotation.read((other, position))
            self._write((segment_id, position), mask)

    def _conclude(self) -> None:
        """Clean up, a moment at a time, then end."""
        if self._cleaning is None:
            for one in self._finisher.close():
                self._take(one)
            self._cleaning = self._clean() if self._writes else iter(())
            self.message = "Cleaning up."
        until = time.perf_counter() + _STEP_S
        for _ in self._cleaning:
            if time.perf_counter() >= until:
                return
        self._end(DONE, f"{len(self.opinions)} slices are done.")

    def _clean(self) -> Iterator[None]:
        return clean_up(
            self._settings,
            len(self.segment_ids),
            len(self._indices),
            *self._steps,
            lambda at: self._labels(self._indices[at]),
            lambda at, labels: self._write_labels(self._indices[at], labels),
        )

    def _labels(self, index: int) -> NDArray[np.uint8]:
        """What is in the segments now; where they overlap the last one shows."""
        position = SlicePosition(self.axis, index)
        labels = np.zeros(self._place.keys.size(position), np.uint8)
        for at, segment_id in enumerate(self.segment_ids):
            labels[self._place.annotation.read((segment_id, position))] = at + 1
        return labels


def _widened(finding: Finding, window: Window, size: Sequence[int]) -> Finding:
    """A finding in a window as one on the whole slice; nothing is found around it."""
    if finding.evidence.shape[1:] == tuple(size):
        return finding
    evidence = np.full((len(finding.evidence), *size), -SUREST, np.int8)
    for whole, part in zip(evidence, finding.evidence, strict=True):
        window.cut(whole)[...] = part
    return Finding(evidence, finding.scores, finding.pooled)
