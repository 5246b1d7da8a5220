"""Which prompts of a slice speak of one object: what a model is asked in one go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from MedSAGaSlicerLib.engine.prompts import Box, Point, Prompts
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import voxel_of

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Prompt:
    """One point or one box of one segment on one slice.

    ``point`` is (column, row), ``box`` (min column, min row, max column, max row) with the first
    and the last voxel inside; exactly one of them is there. ``positive`` is False for what is
    placed with Ctrl held. ``number`` tells the prompts of a session apart, later ones have higher
    ones. ``label`` is what the person calls it.
    """

    number: int
    segment_id: str
    position: SlicePosition
    positive: bool
    point: Point | None = None
    box: Box | None = None
    label: str = ""

    @property
    def coordinates(self) -> tuple[float, ...]:
        """The point's two or the box's four coordinates."""
        return self.point or self.box or ()

    @property
    def voxel(self) -> tuple[int, int]:
        """The (column, row) of the voxel that a point, or a box's first corner, lies in."""
        column, row = voxel_of(self.coordinates[:2])
        return int(column), int(row)

    def differs(self, other: Prompt) -> bool:
        """Whether it asks something else than ``other``; a label asks nothing."""
        return self != other and replace(self, label="") != replace(other, label="")


@dataclass(frozen=True)
class Group:
    """What is asked in one go, and whether its answer is added to the segment or taken away."""

    prompts: Prompts
    adds: bool

    def refines(self, other: Group) -> bool:
        """Whether this asks the same as ``other`` and more."""
        mine = set(zip(self.prompts.points, self.prompts.positive, strict=True))
        its = set(zip(other.prompts.points, other.prompts.positive, strict=True))
        same = self.adds == other.adds and self.prompts.box == other.prompts.box
        return same and its < mine


def groups_of(prompts: Iterable[Prompt]) -> tuple[Group, ...]:
    """Sort the prompts of one segment on one slice into groups.

    Each box is an object of its own; points belong to the box they lie in, or to the nearest.
    Without a box all points speak of one object. A box drawn with Ctrl, or points that are all
    negative, say what to remove: the model is asked for it as for any object, and the answer is
    taken away. Of contradicting points in one voxel the later counts.
    """
    ordered = sorted(prompts, key=lambda prompt: prompt.number)
    points = _uncontradicted([p for p in ordered if p.point is not None])
    boxes = [p for p in ordered if p.box is not None]
    if not boxes:
        adds = any(p.positive for p in points)
        return (_group(points, None, adds=adds),) if points else ()
    # Of equal boxes the later decides, as of points.
    unique = {p.box: p for p in boxes}
    members: dict[Box | None, list[Prompt]] = {box: [] for box in unique}
    for point in points:
        nearest = min(reversed(list(unique)), key=lambda box: _distance(box, point.point))
        members[nearest].append(point)
    return tuple(_group(members[box], box, adds=unique[box].positive) for box in unique)


def _uncontradicted(points: list[Prompt]) -> list[Prompt]:
    signs = {prompt.voxel: prompt.positive for prompt in points}
    return [prompt for prompt in points if signs[prompt.voxel] == prompt.positive]


def _group(points: list[Prompt], box: Box | None, *, adds: bool) -> Group:
    # What is to be removed is the model's foreground, so signs turn round.
    places = tuple(p.point for p in points if p.point is not None)
    return Group(Prompts(places, tuple(p.positive == adds for p in points), box), adds)


def _distance(box: Box | None, point: Point | None) -> float:
    assert box is not None  # noqa: S101 - prompts are sorted by which of the two they have
    assert point is not None  # noqa: S101
    across = max(box[0] - 0.5 - point[0], 0.0, point[0] - box[2] - 0.5)
    down = max(box[1] - 0.5 - point[1], 0.0, point[1] - box[3] - 0.5)
    return across * across + down * down
