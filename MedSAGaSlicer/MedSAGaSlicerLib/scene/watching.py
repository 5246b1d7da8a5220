"""Notices what others do to the nodes of an annotation, and keeps it until it is asked.

The observers only take notes: work in the middle of somebody else's change would be asking for
trouble, and a hundred changes in a row shall cost as much as one.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

import slicer
import vtk

from MedSAGaSlicerLib.scene.observing import Observers
from MedSAGaSlicerLib.scene.segments import make_noticed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Watch:
    """Observes a scene, a volume, a segmentation and slice views.

    ``gone``, a method, is called with the reason as soon as a node is removed or the scene closes.
    What is noted is taken down by whoever reacts to it; ``edited`` by every reaction and every
    recording.
    """

    def __init__(self, gone: Callable[[str], None]) -> None:
        # Whose watch this is goes when nobody else wants it any more.
        self._tell_gone = WeakMethod(gone)
        self._nodes: tuple[slicer.vtkMRMLNode, ...] = ()
        self._observers, self._views = Observers(), Observers()
        self._is_ours = False
        self.markups_changed = True
        self.segments_changed = True
        self.volume_moved = True
        self.edited = False
        self.removed_segments: list[str] = []
        self.changed_views: list[slicer.vtkMRMLSliceNode] = []

    def observe(
        self,
        volume: slicer.vtkMRMLVolumeNode,
        segmentation: slicer.vtkMRMLSegmentationNode,
        session: slicer.vtkMRMLScriptedModuleNode,
    ) -> None:
        """Start observing."""
        self._nodes = (volume, segmentation, session)
        make_noticed(segmentation)
        scene, core = volume.GetScene(), segmentation.GetSegmentation()
        self._observers.add(scene, scene.StartCloseEvent, self._on_scene_close)
        self._observers.add(scene, scene.NodeAboutToBeRemovedEvent, self._on_node_removed)
        self._observers.add(volume, volume.TransformModifiedEvent, self._on_volume_moved)
        self._observers.add(volume, vtk.vtkCommand.ModifiedEvent, self._on_volume_moved)
        self._observers.add(
            segmentation, segmentation.TransformModifiedEvent, self._on_volume_moved
        )
        self._observers.add(core, core.SourceRepresentationModified, self._on_segments_changed)
        self._observers.add(core, core.RepresentationModified, self._on_segments_changed)
        self._observers.add(core, core.SegmentModified, self.note_markups)
        self._observers.add(core, core.SegmentRemoved, self._on_segment_removed)

    def add_view(self, view: slicer.vtkMRMLSliceNode) -> None:
        """Notice where a slice view is scrolled to."""
        if view not in self._views:
            self._views.add(view, vtk.vtkCommand.ModifiedEvent, self._on_view)
            self.changed_views.append(view)

    def remove_view(self, view: slicer.vtkMRMLSliceNode) -> None:
        """No longer look at a view."""
        self._views.remove(view)
        self.changed_views = [changed for changed in self.changed_views if changed is not view]

    @contextmanager
    def ours(self) -> Iterator[None]:
        """What happens to segments and prompts in here is our own doing."""
        self._is_ours = True
        try:
            yield
        finally:
            self._is_ours = False

    def note_markups(self, *_event: Any) -> None:
        """Note that prompts may have changed."""
        self.markups_changed |= not self._is_ours

    def close(self) -> None:
        """Stop observing."""
        self._observers.close()
        self._views.close()
        self.changed_views.clear()

    def _gone(self, reason: str) -> None:
        tell = self._tell_gone()
        if tell is not None:
            tell(reason)

    def _on_scene_close(self, *_event: Any) -> None:
        self._gone("The scene was closed.")

    @vtk.calldata_type(vtk.VTK_OBJECT)  # type: ignore[untyped-decorator]
    def _on_node_removed(self, _scene: Any, _event: Any, node: Any = None) -> None:
        if node in self._nodes:
            self._gone(f"{node.GetName()!r} was removed from the scene.")
        elif node in self._views:
            self.remove_view(node)

    def _on_volume_moved(self, *_event: Any) -> None:
        self.volume_moved = True

    def _on_segments_changed(self, *_event: Any) -> None:
        if not self._is_ours:
            self.segments_changed = self.edited = True

    @vtk.calldata_type(vtk.VTK_STRING)  # type: ignore[untyped-decorator]
    def _on_segment_removed(self, _core: Any, _event: Any, segment_id: str | None = None) -> None:
        if segment_id is not None:
            self.removed_segments.append(segment_id)
        self.segments_changed = self.edited = True

    def _on_view(self, view: slicer.vtkMRMLSliceNode, *_event: Any) -> None:
        if view not in self.changed_views:
            self.changed_views.append(view)
