"""What one annotation of a volume and a segmentation leaves in the scene, and finds there again.

Everything hangs on one hidden node of a class that every Slicer knows: references to the volume,
the segmentation and the prompts, the rest as parameters. Without this module it is an inert node.
"""

from __future__ import annotations

import json
import math
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import slicer

from MedSAGaSlicerLib.engine.geometry import AXES
from MedSAGaSlicerLib.engine.regions.choice import AUTO, WHOLE
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.confirmations import Confirmations
from MedSAGaSlicerLib.scene.contributions import Contributions
from MedSAGaSlicerLib.scene.slice_work import WorkState
from MedSAGaSlicerLib.scene.slices import SlicePosition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from MedSAGaSlicerLib.scene.volumes import Grid

SESSION_ATTRIBUTE: Final = "MedSAGa.Session"
FORMAT: Final = "1"

_NODE_CLASS: Final = "vtkMRMLScriptedModuleNode"
_VOLUME, _SEGMENTATION, _PROMPT = "MedSAGaVolume", "MedSAGaSegmentation", "MedSAGaPrompt"
_REGION: Final = "MedSAGaRegion"
_WORK: Final = "work/"

WorkKey = tuple[str, SlicePosition]


class Session:
    """The node that ties a volume, a segmentation and their annotation together."""

    def __init__(self, node: slicer.vtkMRMLScriptedModuleNode) -> None:
        self.node = node
        self.contributions = Contributions(node)
        self._stored: dict[WorkKey, WorkState] = {}

    @classmethod
    def of(
        cls, volume: slicer.vtkMRMLVolumeNode, segmentation: slicer.vtkMRMLSegmentationNode
    ) -> Session:
        """The session of these two in their scene; a new one if there is none."""
        scene = volume.GetScene()
        for session in sessions_in(scene):
            if session.volume is volume and session.segmentation is segmentation:
                return session
        node = slicer.vtkMRMLScriptedModuleNode()
        node.SetName(scene.GenerateUniqueName("MedSAGa annotation"))
        node.SetHideFromEditors(True)
        node.SetAttribute(SESSION_ATTRIBUTE, FORMAT)
        node = scene.AddNode(node)
        node.SetNodeReferenceID(_VOLUME, volume.GetID())
        node.SetNodeReferenceID(_SEGMENTATION, segmentation.GetID())
        return cls(node)

    @property
    def volume(self) -> slicer.vtkMRMLVolumeNode | None:
        """The volume, None if it is gone."""
        return self.node.GetNodeReference(_VOLUME)

    @property
    def segmentation(self) -> slicer.vtkMRMLSegmentationNode | None:
        """The segmentation, None if it is gone."""
        return self.node.GetNodeReference(_SEGMENTATION)

    @property
    def model(self) -> str:
        """The model that the person chose last for this session, "" if none."""
        return str(self.node.GetParameter("model") or "")

    @model.setter
    def model(self, name: str) -> None:
        self.node.SetParameter("model", name)

    @property
    def region_node(self) -> slicer.vtkMRMLMarkupsROINode | None:
        """The ROI whose voxels alone models are shown, None if there is none."""
        return self.node.GetNodeReference(_REGION)

    @region_node.setter
    def region_node(self, roi: slicer.vtkMRMLMarkupsROINode | None) -> None:
        self.node.SetNodeReferenceID(_REGION, None if roi is None else roi.GetID())

    @property
    def region_strategy(self) -> str:
        """How slices are shown where no ROI is: "auto" or "whole"."""
        return WHOLE if self.node.GetParameter("region") == WHOLE else AUTO

    @region_strategy.setter
    def region_strategy(self, strategy: str) -> None:
        self.node.SetParameter("region", strategy)

    @property
    def had_surface(self) -> bool:
        """Whether surfaces for 3-D were taken away and are to be made again."""
        return bool(self.node.GetParameter("surface") == "1")

    @had_surface.setter
    def had_surface(self, had: bool) -> None:
        self.node.SetParameter("surface", "1" if had else "")

    def confirmations(self, shape_ijk: tuple[int, int, int]) -> Confirmations:
        """The confirmed slices that such a volume has, as stored; changes are stored at once."""
        text = self.node.GetParameter("confirmed") or ""
        return Confirmations(text, partial(self.node.SetParameter, "confirmed"), shape_ijk)

    @property
    def placed_on(self) -> NDArray[np.float64] | None:
        """The volume's ijk_to_ras (4x4) when the prompts were last seen, None if never."""
        try:
            numbers = [float(n) for n in json.loads(self.node.GetParameter("grid") or "[]")]
        except (TypeError, ValueError):
            return None
        if len(numbers) != 16 or not all(math.isfinite(n) for n in numbers):
            return None
        return np.array(numbers).reshape(4, 4)

    def store_grid(self, grid: Grid) -> None:
        """Note where the voxels are while the prompts are where they are."""
        self.node.SetParameter("grid", json.dumps(grid.ijk_to_ras.ravel().tolist()))

    def prompt_nodes(self) -> Iterator[slicer.vtkMRMLMarkupsNode]:
        """The markups that are prompts of this session."""
        for n in range(self.node.GetNumberOfNodeReferences(_PROMPT)):
            node = self.node.GetNthNodeReference(_PROMPT, n)
            if node is not None:
                yield node

    def add_prompt_node(self, node: slicer.vtkMRMLMarkupsNode) -> None:
        """Make a markups node one of the session's prompts."""
        self.node.AddNodeReferenceID(_PROMPT, node.GetID())

    def stored_work(self) -> dict[WorkKey, WorkState]:
        """The slices in work as stored; damaged ones are left out."""
        found: dict[WorkKey, WorkState] = {}
        for name in self.node.GetParameterNames():
            axis, _, rest = name.removeprefix(_WORK).partition("/")
            index, _, segment_id = rest.partition("/")
            if not name.startswith(_WORK) or axis not in AXES or not index.isdigit():
                continue
            try:
                state = WorkState.from_text(self.node.GetParameter(name))
            except InputError:
                continue
            found[segment_id, SlicePosition(axis, int(index))] = state
        self._stored = dict(found)
        return found

    def store_work(self, work: Mapping[WorkKey, WorkState]) -> None:
        """Store the slices in work in place of those stored before; only what has changed."""
        for key in [key for key in self._stored if key not in work]:
            self.node.UnsetParameter(_name_of(key))
            del self._stored[key]
        for key, state in work.items():
            if self._stored.get(key) is not state:
                self.node.SetParameter(_name_of(key), state.to_text())
                self._stored[key] = state

    def remove(self) -> None:
        """Take the session and its prompts out of the scene."""
        scene = self.node.GetScene()
        for node in list(self.prompt_nodes()):
            scene.RemoveNode(node)
        if scene is not None:
            scene.RemoveNode(self.node)


def sessions_in(scene: slicer.vtkMRMLScene) -> Iterator[Session]:
    """All sessions of a scene, as found after loading one."""
    for n in range(scene.GetNumberOfNodesByClass(_NODE_CLASS)):
        node = scene.GetNthNodeByClass(n, _NODE_CLASS)
        if node.GetAttribute(SESSION_ATTRIBUTE):
            yield Session(node)


def _name_of(key: WorkKey) -> str:
    segment_id, position = key
    return f"{_WORK}{position.axis}/{position.index}/{segment_id}"
