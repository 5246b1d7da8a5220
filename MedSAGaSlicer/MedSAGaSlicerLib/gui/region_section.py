"""What of the slices the model looks at: all of them, small boxes from near, or a ROI's voxels."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import slicer
from slicer.i18n import tr as _

from MedSAGaSlicerLib.engine.regions.choice import AUTO, WHOLE
from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.region import fit_region, is_blank, prompt_boxes

if TYPE_CHECKING:
    from types import SimpleNamespace

    from MedSAGaSlicerLib.gui.controls import Controls, Situation
    from MedSAGaSlicerLib.gui.desk import Desk
    from MedSAGaSlicerLib.gui.parameter_node import ParameterNode
    from MedSAGaSlicerLib.scene.annotator import Annotator

ROI: Final = "roi"
_PLAN_S: Final = 1.0
"""What the model looks at is said anew this often: it changes with the slice and the ROI."""


class RegionSection:
    """Two selectors, and a line with what is looked at and what that costs.

    The annotation keeps its region with the scene, and the console can change it: what it has is
    shown. Only "a region of interest, but which is not said yet" is the panel's alone.
    """

    def __init__(self, ui: SimpleNamespace, desk: Desk, controls: Controls) -> None:
        """Offer the choices."""
        self.ui, self._desk, self._controls = ui, desk, controls
        self._of: Annotator | None = None
        self._seen: object = None
        self._showing = False
        self._planned_for: tuple[object, ...] = ()
        self._plan_again = 0.0
        names = (_("Automatic"), _("Whole slice"), _("Region of interest"))
        for name, kind in zip(names, (AUTO, WHOLE, ROI), strict=True):
            self.ui.regionSelector.addItem(name, kind)
        self.ui.regionSelector.textActivated.connect(self.onRegion)
        self.ui.roiSelector.currentNodeIDChanged.connect(self.onRoi)

    def show(self, situation: Situation) -> None:
        """Show what the annotation has, and what it costs."""
        parameters, obstacle = self._desk.parameters, situation.obstacle
        annotator = None if obstacle else self._desk.annotator
        self._controls.allow(self.ui.regionSelector, obstacle)
        self._controls.allow(self.ui.roiSelector, obstacle)
        if parameters is None:
            return
        if annotator is not None:
            self._follow(annotator, parameters)
        self._show_choice(parameters)
        self._show_plan(annotator, parameters)

    def onRegion(self, _text: str = "") -> None:
        """Another way to look was chosen."""
        parameters, kind = self._desk.parameters, str(self.ui.regionSelector.currentData)
        if parameters is None:
            return
        parameters.region = kind
        self._look_at(parameters.roi if kind == ROI else kind)

    def onRoi(self, _node_id: str = "") -> None:
        """Another region of interest was chosen, or made; a new one is laid about the volume."""
        parameters, roi = self._desk.parameters, self.ui.roiSelector.currentNode()
        if self._showing or parameters is None:
            return
        parameters.roi = roi
        if roi is not None and is_blank(roi) and parameters.volume is not None:
            fit_region(roi, parameters.volume)
        self._look_at(roi)

    def _look_at(self, region: slicer.vtkMRMLMarkupsROINode | str | None) -> None:
        """None: nobody has said which region of interest; what was looked at stays until then."""

        def change(annotator: Annotator) -> None:
            if region is None:
                return
            try:
                annotator.region = region
            except InputError:
                if self._desk.parameters is not None:
                    self._desk.parameters.roi = None
                raise

        self._desk.do(change)

    def _follow(self, annotator: Annotator, parameters: ParameterNode) -> None:
        region, is_same = annotator.region, annotator is self._of
        if not isinstance(region, str):
            if (parameters.region, parameters.roi) != (ROI, region):
                parameters.region, parameters.roi = ROI, region
        elif parameters.region != region and not (
            # Which one is not said yet, or it was deleted.
            parameters.region == ROI and is_same and region in (self._seen, AUTO)
        ):
            parameters.region = region
        self._of, self._seen = annotator, region

    def _show_choice(self, parameters: ParameterNode) -> None:
        kind, roi, box = parameters.region, parameters.roi, self.ui.regionSelector
        if box.currentData != kind:
            box.setCurrentIndex(box.findData(kind))
        self.ui.roiSelector.setVisible(kind == ROI)
        if kind != ROI:
            return
        # Prompts are ROIs as well, but nobody means them here.
        prompts = [node.GetID() for node in prompt_boxes(slicer.mrmlScene)]
        model = self.ui.roiSelector.sortFilterProxyModel()
        if list(model.hiddenNodeIDs) != prompts:
            model.hiddenNodeIDs = prompts
        if self.ui.roiSelector.currentNode() is not roi:
            self._showing = True
            self.ui.roiSelector.setCurrentNode(roi)
            self._showing = False

    def _show_plan(self, annotator: Annotator | None, parameters: ParameterNode) -> None:
        state, now = (annotator, self._seen, parameters.region), time.monotonic()
        if state == self._planned_for and now < self._plan_again:
            return
        self._planned_for, self._plan_again = state, now + _PLAN_S
        plan = ""
        if annotator is not None:
            try:
                plan = annotator.region_plan
            except InputError as error:
                plan = str(error)
            if parameters.region == ROI and isinstance(self._seen, str):
                which = _("Choose a region of interest, or create one. Until then: {plan}")
                plan = which.format(plan=plan)
        self.ui.regionLabel.setText(plan)
        self.ui.regionLabel.setVisible(bool(plan))
