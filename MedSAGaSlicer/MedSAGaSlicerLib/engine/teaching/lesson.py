"""What is taught and in which order: the samples of a lesson and the batches drawn from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from MedSAGaSlicerLib.engine.teaching.samples import SampleMaker
from MedSAGaSlicerLib.engine.teaching.views import make_view

if TYPE_CHECKING:
    from MedSAGaSlicerLib.engine.examples import Example
    from MedSAGaSlicerLib.engine.teaching.method import Method
    from MedSAGaSlicerLib.engine.teaching.samples import Sample

_PARTS: Final = 3
_FEWEST_FOR_PARTS: Final = 6
_STEP_STREAM: Final = 11
_PLACE_STREAM: Final = 12


class Lesson:
    """Samples by example, and what each step takes of them."""

    def __init__(
        self, examples: Sequence[Example], views: int, batch: int, seed: int, depth: int = 1
    ) -> None:
        """Nothing is embedded yet: that is for `prepare`.

        Args:
            examples: to learn from.
            views: of each.
            batch: objects per step.
            seed: of the order.
            depth: slices that the encoder looks at together.
        """
        self._parts = parts_of(examples)
        self._examples = tuple(examples)
        self._views = views
        self._batch = batch
        self._seed = seed
        self._depth = depth
        self._pairs = [(n, name) for n, e in enumerate(self._examples) for name in e.masks]
        self._samples: list[list[Sample]] = [[] for _ in self._examples]

    @property
    def total(self) -> int:
        """How many samples there will be."""
        return len(self._examples) * self._views

    def prepare(self, method: Method) -> Iterator[int]:
        """Make and embed the samples, the slices as they are first; yields how many are ready."""
        maker = SampleMaker(method.model)
        done = 0
        for view in range(self._views):
            for number, example in enumerate(self._examples):
                sample = maker(self._parts[number], make_view(example, view, self._depth))
                method.prepare(sample)
                self._samples[number].append(sample)
                done += 1
                yield done

    def batch(self, step: int) -> tuple[list[Sample], list[str]]:
        """The samples of a step and the segment meant on each."""
        return self._drawn(_STEP_STREAM, step, self._batch, mirrored=True)

    def unmirrored(self, step: int, count: int) -> tuple[list[Sample], list[str]]:
        """So many others whose places in the picture are true."""
        return self._drawn(_PLACE_STREAM, step, count, mirrored=False)

    def _drawn(
        self, stream: int, step: int, count: int, *, mirrored: bool
    ) -> tuple[list[Sample], list[str]]:
        """Every pair of example and segment comes equally often, in a new order each time."""
        samples, segments = [], []
        for place in range(step * count, (step + 1) * count):
            epoch, at = divmod(place, len(self._pairs))
            order = np.random.default_rng([self._seed, stream, 0, epoch])
            number, name = self._pairs[int(order.permutation(len(self._pairs))[at])]
            pick = np.random.default_rng([self._seed, stream, 1, place])
            views = [view for view in self._samples[number] if mirrored or not view.mirrored]
            samples.append(views[int(pick.integers(len(views)))])
            segments.append(name)
        return samples, segments


def parts_of(examples: Sequence[Example]) -> list[int]:
    """In which of three parts each example is; all in one if they are fewer than six.

    Whole volumes, if there are enough of them: what is guessed for one was then learned from
    others. Of fewer volumes every third slice.
    """
    if len(examples) < _FEWEST_FOR_PARTS:
        return [0] * len(examples)
    sizes = Counter(example.case for example in examples)
    part_of_case: dict[str, int] = {}
    filled = [0] * _PARTS
    # The largest volumes first, each into the part that has least.
    for case, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        part_of_case[case] = filled.index(min(filled))
        filled[part_of_case[case]] += size
    if min(filled) > 0 and max(filled) <= len(examples) / 2:
        return [part_of_case[example.case] for example in examples]
    order = sorted(range(len(examples)), key=lambda number: examples[number].place)
    return [order.index(number) % _PARTS for number in range(len(examples))]
