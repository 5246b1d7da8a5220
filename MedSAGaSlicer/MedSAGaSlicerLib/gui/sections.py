"""The panel's collapsible sections: loaded, told what happens, and closed together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import slicer

from MedSAGaSlicerLib.gui.corrections import Corrections
from MedSAGaSlicerLib.gui.finish_section import FinishSection
from MedSAGaSlicerLib.gui.job_row import JobRow
from MedSAGaSlicerLib.gui.models_section import ModelsSection
from MedSAGaSlicerLib.gui.slices_section import SlicesSection
from MedSAGaSlicerLib.gui.teach_section import TeachSection

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    import qt

    from MedSAGaSlicerLib.gui.controls import Controls, Situation
    from MedSAGaSlicerLib.gui.desk import Desk
    from MedSAGaSlicerLib.scene.events import AnnotationEvent

FILES: Final = {
    "Slices": "slicesCollapsibleButton",
    "Teach": "teachCollapsibleButton",
    "Finish": "finishCollapsibleButton",
    "Models": "modelsCollapsibleButton",
    "Storage": "storageCollapsibleButton",
}
"""Each section's .ui file, and the headline below which it belongs."""


def load_sections(root: qt.QWidget, resource_path: Callable[[str], str]) -> SimpleNamespace:
    """Put the sections into the panel, and fold those that are not needed at once; all widgets."""
    ui: SimpleNamespace = slicer.util.childWidgetVariables(root)
    for name, headline in FILES.items():
        content = slicer.util.loadUI(resource_path(f"UI/{name}.ui"))
        vars(ui)[headline].layout().addWidget(content)
        vars(ui).update(vars(slicer.util.childWidgetVariables(content)))
    for headline in (
        ui.correctCollapsibleButton,
        ui.finishCollapsibleButton,
        ui.modelsCollapsibleButton,
        ui.storageCollapsibleButton,
    ):
        headline.collapsed = True
    return ui


class Sections:
    """Everything in the panel below inputs and prompts."""

    def __init__(
        self,
        ui: SimpleNamespace,
        desk: Desk,
        controls: Controls,
        effect_chosen: Callable[[], None],
        refreshed: Callable[[], None],
    ) -> None:
        """Make them; nothing is shown until ``show``."""
        self.jobs = JobRow(ui, desk)
        self.corrections = Corrections(ui, desk, effect_chosen)
        self.teaching = TeachSection(ui, desk, controls)
        self.models = ModelsSection(ui, desk, controls, refreshed)
        self._slices = SlicesSection(ui, desk, controls, self.jobs)
        self._finish = FinishSection(ui, desk, controls, self.jobs)

    @property
    def busy(self) -> bool:
        """Whether something goes on that needs to be looked after."""
        return self.teaching.is_teaching or bool(self.jobs.doing)

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages that are missing."""
        return self.models.missing

    @property
    def present_models(self) -> tuple[str, ...]:
        """The models that can be used."""
        return self.models.present

    def refresh(self) -> None:
        """Look for packages, models and files again."""
        self.models.refresh()

    def enter(self) -> None:
        """The module is shown."""

    def leave(self) -> None:
        """The module is left."""
        self.corrections.leave()

    def leave_scene(self) -> None:
        """The scene is about to lose its nodes."""
        self.corrections.leave()

    def close(self) -> None:
        """The panel is about to be destroyed."""
        self.corrections.close()
        self.teaching.close()

    def poll(self) -> None:
        """Bring on what goes on without an annotator."""
        self.teaching.poll()

    def hear(self, event: AnnotationEvent) -> None:
        """Take note of news."""

    def show(self, situation: Situation) -> None:
        """Show how things stand."""
        self._slices.show(situation)
        self.teaching.show(situation)
        self._finish.show(situation)
