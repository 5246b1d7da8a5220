"""Prompts as markups: where they are kept, shown, and changed by whoever likes to.

Points of a segment are one point list; a box is a ROI one slice thick that lies along the volume's
axes. The person may move, rename and remove them by any tool of Slicer; ``PromptStore.read`` tells
what there is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import slicer
import vtk

from MedSAGaSlicerLib.scene.observing import Observers
from MedSAGaSlicerLib.scene.prompt_groups import Prompt
from MedSAGaSlicerLib.scene.prompt_markups import (
    SEGMENT_ATTRIBUTE,
    box_of,
    can_be_dragged,
    has_own_name,
    make_box,
    make_points,
    name_after,
    put_box,
    show_sign,
    tag_of,
    tag_text,
)
from MedSAGaSlicerLib.scene.slices import SlicePosition, from_plane, to_plane
from MedSAGaSlicerLib.scene.volumes import voxel_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from MedSAGaSlicerLib.scene.session import Session
    from MedSAGaSlicerLib.scene.volumes import Grid

TAG_ATTRIBUTE: Final = "MedSAGa.Prompt"

# What a point without a tag is taken for.
_UNTAGGED: Final = (True, "k", 0)

# Files store coordinates with a few digits: less than this, in voxels, is no move.
_NO_MOVE: Final = 1e-3

_CHANGES: Final = ("Added", "Modified", "PositionDefined", "PositionUndefined", "Removed")


class PromptStore:
    """The prompts of one session.

    ``changed`` is called, possibly often, when markups may have changed.
    """

    def __init__(
        self,
        session: Session,
        segmentation: slicer.vtkMRMLSegmentationNode,
        changed: Callable[[], None],
    ) -> None:
        self._session = session
        self._segmentation = segmentation
        self._changed = changed
        self._observers = Observers()
        self._dragged: set[slicer.vtkMRMLMarkupsNode] = set()
        self._known: dict[int, Prompt] = {}
        self._labels: dict[int, str] = {}
        self._next = 1

    @property
    def is_dragging(self) -> bool:
        """Whether a prompt is being moved by the mouse just now."""
        return any(node.GetScene() is not None for node in self._dragged)

    @property
    def is_hovered(self) -> bool:
        """Whether the mouse is over a point or a handle that a press would take hold of."""
        displays = [node.GetDisplayNode() for node in self._session.prompt_nodes()]
        return any(display is not None and can_be_dragged(display) for display in displays)

    def next_number(self) -> int:
        """A number that no prompt of this session has had."""
        self._next += 1
        return self._next - 1

    def read(self, grid: Grid) -> dict[int, Prompt]:
        """All prompts that lie in the volume, by number; each belongs to the slice it lies in.

        Points that another tool added to a list of ours become positive prompts along k.
        """
        self._observe()
        found: dict[int, Prompt] = {}
        for node in self._session.prompt_nodes():
            segment = self._segmentation.GetSegmentation().GetSegment(_segment_id(node))
            if segment is None:
                continue
            name_after(node, segment)
            if _is_box(node):
                self._read_box(node, grid, found)
            else:
                self._read_points(node, grid, found)
        self._labels |= {n: prompt.label for n, prompt in found.items()}
        self._known = {n: _settled(self._known.get(n), prompt) for n, prompt in found.items()}
        return dict(self._known)

    def put(self, prompt: Prompt, grid: Grid) -> None:
        """Put a prompt into the scene, or move the one of its number there.

        One that was there before gets the label back that it had last.
        """
        prompt = replace(prompt, label=self._labels.get(prompt.number, prompt.label))
        if prompt.box is not None:
            self._put_box(prompt, grid)
        else:
            self._put_point(prompt, grid)
        self._next = max(self._next, prompt.number + 1)
        self._known[prompt.number] = prompt

    def remove(self, number: int) -> None:
        """Take a prompt out of the scene; a list that becomes empty goes too."""
        self._known.pop(number, None)
        node, at = self._find(number)
        if node is None:
            return
        if at is not None and node.GetNumberOfControlPoints() > 1:
            node.RemoveNthControlPoint(at)
        else:
            self._drop(node)

    def remove_of_segment(self, segment_id: str) -> None:
        """Take all prompts of a segment out of the scene."""
        for node in list(self._session.prompt_nodes()):
            if _segment_id(node) == segment_id:
                self._drop(node)

    def set_visible(self, *, visible: bool) -> None:
        """Show or hide all prompts."""
        for node in self._session.prompt_nodes():
            node.GetDisplayNode().SetVisibility(visible)

    def close(self) -> None:
        """Stop listening to the markups; they stay."""
        self._observers.close()
        self._dragged.clear()

    def _put_box(self, prompt: Prompt, grid: Grid) -> None:
        assert prompt.box is not None  # noqa: S101 - the caller has looked
        node, _ = self._find(prompt.number)
        if node is None:
            segment = self._segmentation.GetSegmentation().GetSegment(prompt.segment_id)
            node = make_box(self._session.node.GetScene(), segment)
            node.SetAttribute(SEGMENT_ATTRIBUTE, prompt.segment_id)
            node.SetAttribute(
                TAG_ATTRIBUTE, tag_text(prompt.positive, prompt.position.axis, prompt.number)
            )
            show_sign(node, positive=prompt.positive)
            if prompt.label:
                node.SetName(prompt.label)
            self._session.add_prompt_node(node)
            self._observe()
        put_box(node, grid, prompt.position, prompt.box)

    def _put_point(self, prompt: Prompt, grid: Grid) -> None:
        assert prompt.point is not None  # noqa: S101 - a prompt has one of the two
        ras = [float(x) for x in grid.to_ras(from_plane(prompt.position, *prompt.point))]
        node, at = self._find(prompt.number)
        if node is not None:
            node.SetNthControlPointPositionWorld(at, *ras)
            return
        lists = (n for n in self._session.prompt_nodes() if not _is_box(n))
        node = next((n for n in lists if _segment_id(n) == prompt.segment_id), None)
        if node is None:
            segment = self._segmentation.GetSegmentation().GetSegment(prompt.segment_id)
            node = make_points(self._session.node.GetScene(), segment)
            node.SetAttribute(SEGMENT_ATTRIBUTE, prompt.segment_id)
            self._session.add_prompt_node(node)
            self._observe()
        at = node.AddControlPointWorld(vtk.vtkVector3d(*ras))
        node.SetNthControlPointDescription(
            at, tag_text(prompt.positive, prompt.position.axis, prompt.number)
        )
        node.SetNthControlPointLabel(at, prompt.label or ("+" if prompt.positive else "-"))
        node.SetNthControlPointSelected(at, prompt.positive)

    def _find(self, number: int) -> tuple[slicer.vtkMRMLMarkupsNode | None, int | None]:
        """The node of a prompt, and which of its points it is (None for a box)."""
        for node in self._session.prompt_nodes():
            if _is_box(node):
                if _is_number(node.GetAttribute(TAG_ATTRIBUTE), number):
                    return node, None
                continue
            for at in range(node.GetNumberOfControlPoints()):
                if _is_number(node.GetNthControlPointDescription(at), number):
                    return node, at
        return None, None

    def _drop(self, node: slicer.vtkMRMLMarkupsNode) -> None:
        self._forget(node)
        node.GetScene().RemoveNode(node)

    def _read_points(
        self, node: slicer.vtkMRMLMarkupsNode, grid: Grid, found: dict[int, Prompt]
    ) -> None:
        for at in range(node.GetNumberOfControlPoints()):
            if node.GetNthControlPointPositionStatus(at) != node.PositionDefined:
                continue
            positive, axis, number = tag_of(node.GetNthControlPointDescription(at)) or _UNTAGGED
            if number == 0 or number in found:
                # Added, or copied with its description, by some other tool.
                number = max([self._next, *(n + 1 for n in (*found, *self._known))])
                node.SetNthControlPointDescription(at, tag_text(positive, axis, number))
            self._next = max(self._next, number + 1)
            if bool(node.GetNthControlPointSelected(at)) != positive:
                # Being selected shows the sign; the description says what it is.
                node.SetNthControlPointSelected(at, positive)
            ijk = grid.to_ijk(node.GetNthControlPointPositionWorld(at))
            if not grid.contains(ijk):
                continue
            found[number] = Prompt(
                number=number,
                segment_id=_segment_id(node),
                position=SlicePosition(axis, int(voxel_of(ijk)["ijk".index(axis)])),
                positive=positive,
                point=to_plane(np.clip(ijk, -0.5, np.array(grid.shape_ijk) - 0.5), axis),
                label=node.GetNthControlPointLabel(at),
            )

    def _read_box(
        self, node: slicer.vtkMRMLMarkupsNode, grid: Grid, found: dict[int, Prompt]
    ) -> None:
        tag = tag_of(node.GetAttribute(TAG_ATTRIBUTE))
        if tag is None:
            return
        positive, axis, number = tag
        self._next = max(self._next, number + 1)
        placed = box_of(node, grid, axis)
        if placed is not None:
            found[number] = Prompt(
                number=number,
                segment_id=_segment_id(node),
                position=placed[0],
                positive=positive,
                box=placed[1],
                label=node.GetName() if has_own_name(node) else "",
            )

    def _observe(self) -> None:
        present = set(self._session.prompt_nodes())
        for node in set(self._observers) - present:
            self._forget(node)
        for node in present - set(self._observers):
            markups = slicer.vtkMRMLMarkupsNode
            reactions = dict.fromkeys(
                (f"Point{change}Event" for change in _CHANGES), self._on_change
            ) | {
                "PointStartInteractionEvent": self._on_drag_start,
                "PointEndInteractionEvent": self._on_drag_end,
            }
            for name, reaction in reactions.items():
                self._observers.add(node, getattr(markups, name), reaction)

    def _forget(self, node: slicer.vtkMRMLMarkupsNode) -> None:
        self._observers.remove(node)
        self._dragged.discard(node)

    def _on_change(self, *_event: Any) -> None:
        self._changed()

    def _on_drag_start(self, node: slicer.vtkMRMLMarkupsNode, *_event: Any) -> None:
        self._dragged.add(node)

    def _on_drag_end(self, node: slicer.vtkMRMLMarkupsNode, *_event: Any) -> None:
        self._dragged.discard(node)
        self._changed()


def _is_box(node: slicer.vtkMRMLMarkupsNode) -> bool:
    return bool(node.IsA("vtkMRMLMarkupsROINode"))


def _segment_id(node: slicer.vtkMRMLMarkupsNode) -> str:
    return str(node.GetAttribute(SEGMENT_ATTRIBUTE) or "")


def _is_number(tag: str | None, number: int) -> bool:
    parts = tag_of(tag)
    return parts is not None and parts[2] == number


def _settled(known: Prompt | None, seen: Prompt) -> Prompt:
    """What was seen, with the coordinates known before if it has not really moved."""
    if known is None or known.position != seen.position:
        return seen
    moves = zip(known.coordinates, seen.coordinates, strict=True)
    if (known.box is None) != (seen.box is None) or any(abs(a - b) > _NO_MOVE for a, b in moves):
        return seen
    return replace(seen, point=known.point, box=known.box)
