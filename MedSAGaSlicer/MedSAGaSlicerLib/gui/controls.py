"""Which controls can be used right now, and why the others cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.gui.wording import slice_name

if TYPE_CHECKING:
    from types import SimpleNamespace

    from MedSAGaSlicerLib.gui.focus import Focus
    from MedSAGaSlicerLib.scene.annotator import Annotator
    from MedSAGaSlicerLib.scene.slices import SlicePosition


@dataclass(frozen=True)
class Situation:
    """What the controls depend on.

    ``obstacle`` is why nothing can be annotated, "" if it can. ``position`` is the slice that the
    person looks at; if there is none, ``misplaced`` says why. ``under_way`` is the job that goes
    through the volume just now, "" if none.
    """

    obstacle: str
    position: SlicePosition | None = None
    misplaced: str = ""
    confirmed: tuple[SlicePosition, ...] = ()
    has_prompts: bool = False
    undo: str | None = None
    redo: str | None = None
    predicts_at_once: bool = True
    has_unasked: bool = False
    under_way: str = ""

    @classmethod
    def of(
        cls, annotator: Annotator, focus: Focus, segment_id: str, under_way: str = ""
    ) -> Situation:
        """The situation of an annotation that goes on."""
        position, misplaced = None, ""
        try:
            position = focus.position(annotator.volume)
        except InputError as error:
            misplaced = str(error)
        undo, redo = annotator.undo_names()
        places = {(p.segment_id, p.position) for p in annotator.prompts()}
        return cls(
            obstacle="",
            position=position,
            misplaced=misplaced,
            confirmed=annotator.confirmed(),
            has_prompts=(segment_id, position) in places,
            undo=undo,
            redo=redo,
            predicts_at_once=annotator.auto_predict,
            has_unasked=annotator.has_unasked_prompts,
            under_way=under_way,
        )

    @property
    def nowhere(self) -> str:
        """Why nothing can be done with the slice that is looked at, "" if something can."""
        missing = "" if self.position else self.misplaced or str(_("No slice view is shown."))
        return self.obstacle or missing

    @property
    def is_confirmed(self) -> bool:
        """Whether the slice that is looked at is confirmed."""
        return self.position in self.confirmed

    @property
    def here(self) -> str:
        """What the slice that is looked at is called."""
        return slice_name(self.position) if self.position else str(_("slice"))


class Controls:
    """Enables controls, or disables them with the reason in their tooltip."""

    def __init__(self, ui: SimpleNamespace) -> None:
        """Remember what the controls say of themselves."""
        self.ui = ui
        self._shown: Situation | None = None
        self._usual_tooltips: dict[str, str] = {}

    def show(self, situation: Situation) -> None:
        """Let the person prompt as far as that is possible now."""
        # With every tick of the timer: nothing to do as long as nothing changes.
        if situation == self._shown:
            return
        self._shown = situation
        obstacle = situation.obstacle
        for control in (self.ui.pointButton, self.ui.boxButton, self.ui.removeButton):
            self.allow(control, obstacle)
        self.allow(self.ui.autoPredictCheckBox, obstacle)
        self.allow(self.ui.undoButton, obstacle or unless(situation.undo, _("Nothing to undo.")))
        self.allow(self.ui.redoButton, obstacle or unless(situation.redo, _("Nothing to redo.")))
        nothing = _("There are no new prompts.")
        if situation.predicts_at_once:
            nothing = _("The model is asked at every prompt.")
        self.allow(self.ui.predictButton, obstacle or unless(situation.has_unasked, nothing))
        bare = _("The segment has no prompts on {slice}.").format(slice=situation.here)
        reason = situation.nowhere or unless(situation.has_prompts, bare)
        self.allow(self.ui.clearButton, reason)
        self.ui.alignButton.setVisible(bool(situation.misplaced))

    def allow(self, control: Any, reason: str) -> None:
        """Enable a control, or disable it with the reason in its tooltip."""
        usual = self._usual_tooltips.setdefault(str(control.objectName), str(control.toolTip))
        control.setEnabled(not reason)
        if control.toolTip != (reason or usual):
            control.setToolTip(reason or usual)


def unless(possible: object, reason: str) -> str:
    """The reason why something is not possible, "" if it is."""
    return "" if possible else reason
