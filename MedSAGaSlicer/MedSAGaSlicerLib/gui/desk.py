"""What the panel's sections share: the annotator in use, where the person looks, a line to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from MedSAGaSlicerLib.errors import InputError, MedSAGaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from MedSAGaSlicerLib.gui.annotators import Annotators
    from MedSAGaSlicerLib.gui.focus import Focus
    from MedSAGaSlicerLib.gui.parameter_node import ParameterNode
    from MedSAGaSlicerLib.scene.annotator import Annotator
    from MedSAGaSlicerLib.scene.slices import SlicePosition


class Desk:
    """Where all sections work: they act on its annotator and say on it what happened.

    ``parameters`` are the scene's, None while the module is not shown. ``before`` is called before
    each action and ``acted`` after it, whether it could be done or not.
    """

    def __init__(self, annotators: Annotators, focus: Focus) -> None:
        self.annotators, self.focus = annotators, focus
        self.parameters: ParameterNode | None = None
        self.before: Callable[[], None] = _ignore
        self.acted: Callable[[], None] = _ignore
        self.said = self.details = ""

    @property
    def annotator(self) -> Annotator | None:
        """The annotator in use, None if there is none."""
        return self.annotators.current

    @property
    def segment_id(self) -> str:
        """The segment that is chosen, "" if none."""
        return "" if self.parameters is None else self.parameters.segmentId

    @property
    def segment_name(self) -> str:
        """What it is called, "" if there is none."""
        segmentation = None if self.parameters is None else self.parameters.segmentation
        if segmentation is None or not self.segment_id:
            return ""
        return str(segmentation.GetSegmentation().GetSegment(self.segment_id).GetName())

    def say(self, line: str, details: str = "") -> None:
        """Have a line shown, unless it is empty."""
        if line:
            self.said, self.details = line, details or line

    def do(self, action: Callable[[Annotator], object]) -> None:
        """Do something with the annotator, or say why that is not possible."""
        if self.annotator is not None:
            self.before()
            # It may have ended just now.
            annotator = self.annotator
            try:
                if annotator is not None:
                    action(annotator)
            except MedSAGaError as error:
                self.say(str(error))
        self.acted()

    def do_there(self, action: Callable[[Annotator, SlicePosition], object]) -> None:
        """Do something with the annotator and the slice that is looked at."""

        def act(annotator: Annotator) -> None:
            position = self.focus.position(annotator.volume)
            if position is not None:
                action(annotator, position)

        self.do(act)

    def jump(self, position: SlicePosition) -> None:
        """Have the view that shows such slices go to one, or say why none can."""

        def go(annotator: Annotator) -> None:
            if not self.focus.jump(annotator.volume, position):
                text = _("No slice view shows the axis {axis}. Choose a layout with another view.")
                raise InputError(str(text.format(axis=position.axis)))

        self.do(go)

    @staticmethod
    def ask(question: str, title: str) -> bool:
        """Whether the person agrees."""
        return bool(slicer.util.confirmYesNoDisplay(question, windowTitle=title))


def _ignore() -> None: ...
