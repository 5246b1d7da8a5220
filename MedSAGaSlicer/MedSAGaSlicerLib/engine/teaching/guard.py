"""The guard: slices kept aside say whether a lesson made the model better.

They are measured exactly twice, before and after, with the same prompts; nothing that is measured
ever looks at them. Only the finder that an adapter gets has learned from them too, after a copy of
it was taken to be measured.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from MedSAGaSlicerLib.engine.metrics import dice
from MedSAGaSlicerLib.engine.prompts import Prompts
from MedSAGaSlicerLib.engine.teaching.simulated_prompts import click_inside, jittered_box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MedSAGaSlicerLib.engine.embedding import Embedding
    from MedSAGaSlicerLib.engine.examples import Example, ExampleSet, Place

    Prompted = Callable[[Embedding, Prompts, str], NDArray[np.bool_]]
    """The mask that a model gives for prompts on a slice, the segment meant being named."""
    Unprompted = Callable[[Embedding, str], NDArray[np.bool_]]
    """The mask that it gives for a segment without any prompt."""

FEWEST: Final = 8
"""Confirmed slices below which nothing is measured."""
_PART: Final = 0.2
_LEAST_HELD_OUT: Final = 2
_CLICK_SETS, _BOX_SETS = 3, 3
_MOST_LOST: Final = 0.05


@dataclass(frozen=True)
class Score:
    """Dice of one segment on one slice kept aside: of each click, of each box, without prompt."""

    place: Place
    segment: str
    clicks: tuple[float, ...]
    boxes: tuple[float, ...]
    unprompted: float | None = None

    @property
    def mean(self) -> float:
        """Over all prompts."""
        return float(np.mean(self.clicks + self.boxes))


def choose_held_out(examples: ExampleSet, earlier: Collection[Place] = ()) -> tuple[Place, ...]:
    """Which confirmed slices to keep aside: about a fifth, none if there are fewer than `FEWEST`.

    Those kept aside `earlier` stay so; new ones are chosen far from what remains to learn from, by
    distance in millimetres, another volume being far. Only slices that show a segment can be
    prompted, so only they are taken, and each segment keeps a slice to learn from. Deterministic,
    whatever the order of the examples.
    """
    confirmed = sorted(examples.examples, key=lambda example: example.key)
    if len(confirmed) < FEWEST:
        return ()
    wanted = max(_LEAST_HELD_OUT, round(_PART * len(confirmed)))
    kept: list[Example] = []
    for example in confirmed:
        if example.place in earlier and len(kept) < wanted and _spare(examples, kept, example):
            kept.append(example)
    while len(kept) < wanted:
        free = [e for e in confirmed if e not in kept and _spare(examples, kept, e)]
        if not free:
            break
        seen = {name for e in kept for name, mask in e.masks.items() if mask.any()}
        kept.append(max(free, key=lambda e: (_news(e, seen), _remoteness(e, confirmed, kept))))
    if len(kept) < _LEAST_HELD_OUT:
        return ()
    return tuple(sorted(example.place for example in kept))


def _spare(examples: ExampleSet, kept: list[Example], candidate: Example) -> bool:
    """Whether it shows a segment, and each segment it shows stays on two slices to learn from."""
    shown = [name for name, mask in candidate.masks.items() if mask.any()]
    gone = {e.place for e in kept} | {candidate.place}
    remaining = [sum(e.place not in gone for e in examples.with_segment(name)) for name in shown]
    return bool(shown) and min(remaining) >= 2


def _news(example: Example, seen: set[str]) -> int:
    """How many segments it shows that no slice kept aside shows yet."""
    return sum(name not in seen for name, mask in example.masks.items() if mask.any())


def _remoteness(example: Example, confirmed: list[Example], kept: list[Example]) -> float:
    """Distance to the nearest slice that will be learned from, in millimetres."""
    others = [e for e in confirmed if e not in kept and e is not example]
    return min((_distance(example, other) for other in others), default=0.0)


def _distance(one: Example, other: Example) -> float:
    if one.case != other.case:
        return 1e6
    if one.axis != other.axis:
        # They cross.
        return 0.0
    return abs(one.index - other.index) * one.step_mm


def prompt_sets(example: Example, segment: str) -> tuple[list[Prompts], list[Prompts]]:
    """The clicks and the boxes a slice is measured with: the same whenever it is measured."""
    mask = example.masks[segment]
    rng = np.random.default_rng([int(example.key[:8], 16), len(segment)])
    clicks = [Prompts((click_inside(rng, mask),), (True,)) for _ in range(_CLICK_SETS)]
    boxes = []
    for _ in range(_BOX_SETS):
        left, top, right, bottom = (float(edge) for edge in jittered_box(rng, mask))
        boxes.append(Prompts(box=(left, top, right, bottom)))
    return clicks, boxes


def measure(
    held_out: Iterable[tuple[Example, Embedding]], prompted: Prompted, unprompted: Unprompted | None
) -> Iterator[Score]:
    """The scores of all segments on the slices kept aside, one after the other."""
    for example, embedding in held_out:
        for segment, mask in example.masks.items():
            if not mask.any():
                continue
            clicks, boxes = prompt_sets(example, segment)
            yield Score(
                example.place,
                segment,
                tuple(dice(prompted(embedding, given, segment), mask) for given in clicks),
                tuple(dice(prompted(embedding, given, segment), mask) for given in boxes),
                None if unprompted is None else dice(unprompted(embedding, segment), mask),
            )


def verdict(before: list[Score], after: list[Score]) -> dict[str, Any]:
    """Whether the lesson is accepted: the mean paired gain is above 0, no segment lost over 0.05.

    Returns:
        Plain values for a report: ``accepted``, ``before`` and ``after`` (mean Dice), ``gain``,
        ``n`` (slices kept aside), the same by segment and by kind of prompt.
    """
    by_segment = {}
    for name in dict.fromkeys(score.segment for score in before):
        pair = [[s.mean for s in scores if s.segment == name] for scores in (before, after)]
        by_segment[name] = {"before": _mean(pair[0]), "after": _mean(pair[1]), "n": len(pair[0])}
    gain = _mean([b.mean - a.mean for a, b in zip(before, after, strict=True)])
    losses = [entry["before"] - entry["after"] for entry in by_segment.values()]
    unprompted = [s.unprompted for s in after if s.unprompted is not None]
    return {
        "accepted": gain > 0 and max(losses) <= _MOST_LOST,
        "before": _mean([score.mean for score in before]),
        "after": _mean([score.mean for score in after]),
        "gain": gain,
        "n": len({score.place for score in before}),
        "segments": by_segment,
        "click": {"before": _flat(before, "clicks"), "after": _flat(after, "clicks")},
        "box": {"before": _flat(before, "boxes"), "after": _flat(after, "boxes")},
        "unprompted": _mean(unprompted) if unprompted else None,
    }


def _flat(scores: list[Score], kind: str) -> float:
    return _mean([value for score in scores for value in getattr(score, kind)])


def _mean(values: list[float]) -> float:
    return float(np.mean(values))
