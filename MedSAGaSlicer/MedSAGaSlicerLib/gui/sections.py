"""The panel's collapsible sections: loaded, told what happens, and closed together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import slicer

from MedSAGaSlicerLib.gui.closing import Closing
from MedSAGaSlicerLib.gui.corrections import Corrections
from MedSAGaSlicerLib.gui.finish_section import FinishSection
from MedSAGaSlicerLib.gui.installer import Installer
from MedSAGaSlicerLib.gui.job_row import JobRow
from MedSAGaSlicerLib.gui.models_section import ModelsSection
from MedSAGaSlicerLib.gui.region_section import RegionSection
from MedSAGaSlicerLib.gui.shortcuts import Shortcuts
from MedSAGaSlicerLib.gui.slices_section import SlicesSection
from MedSAGaSlicerLib.gui.storage_section import StorageSection
from MedSAGaSlicerLib.gui.taught_section import TaughtSection
from MedSAGaSlicerLib.gui.teach_section import TeachSection
from MedSAGaSlicerLib.worker.events import Surveyed

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
        *,
        effect_chosen: Callable[[], None],
        refreshed: Callable[[], None],
        restarted: Callable[[], None],
    ) -> None:
        """Make them; nothing is shown until ``show``."""
        self._desk = desk
        self.jobs = JobRow(ui, desk)
        self.corrections = Corrections(ui, desk, effect_chosen)
        self.teaching = TeachSection(ui, desk, controls)
        self.models = ModelsSection(ui, desk, controls, refreshed)
        self.taught = TaughtSection(ui, desk, controls)
        self.storage = StorageSection(ui, desk, controls, restarted, self._is_teaching)
        self.installer = Installer(ui, desk, self._on_installed)
        self._refreshed = refreshed
        self._region = RegionSection(ui, desk, controls)
        self._slices = SlicesSection(ui, desk, controls, self.jobs)
        self._finish = FinishSection(ui, desk, controls, self.jobs)
        self.shortcuts = Shortcuts(ui)
        self.closing = Closing(desk, self._is_teaching)

    @property
    def busy(self) -> bool:
        """Whether something goes on that needs to be looked after."""
        apart = self.models.is_downloading or self.installer.is_installing
        return self.teaching.is_teaching or bool(self.jobs.doing) or apart

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
        self.taught.refresh()
        self.storage.measure()
        self.installer.show(self.missing)

    def enter(self) -> None:
        """The module is shown."""
        self.shortcuts.enter()

    def leave(self) -> None:
        """The module is left."""
        self.shortcuts.leave()
        self.corrections.leave()

    def close(self) -> None:
        """The panel is about to be destroyed."""
        self.closing.close()
        self.corrections.close()
        self.teaching.close()
        self.models.close()
        self.installer.close()

    def poll(self) -> None:
        """Bring on what goes on without an annotator."""
        self.teaching.poll()
        self.models.poll()
        self.installer.poll()

    def hear(self, event: AnnotationEvent) -> None:
        """Take note of news."""
        self.storage.hear(event)
        if isinstance(event, Surveyed):
            self.teaching.plan(event.values)

    def show(self, situation: Situation) -> None:
        """Show how things stand."""
        self._region.show(situation)
        self._slices.show(situation)
        self.teaching.show(situation)
        self._finish.show(situation)
        self.taught.show(situation)
        self.storage.show()

    def _is_teaching(self) -> bool:
        return self.teaching.is_teaching

    def _on_installed(self) -> None:
        self.refresh()
        self._refreshed()
