"""What the model looks at: chosen in the panel or in the console, kept with the scene."""

import numpy as np
import slicer
from annotating import AnnotatingTestCase


class RegionTest(AnnotatingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.open_panel()
        self.annotator = self.logic.annotators.current
        self.wait_until(lambda: not self.logic.annotators.busy)
        self.look()

    def choose(self, kind: str) -> None:
        box = self.ui.regionSelector
        box.setCurrentIndex(box.findData(kind))
        box.textActivated.emit(box.currentText)
        self.look()

    def shrink(self, roi: slicer.vtkMRMLMarkupsROINode) -> None:
        """To the voxels 20..39, 10..29 of all slices."""
        roi.SetSize(20, 20, 24)
        roi.SetCenterWorld(*self.ras(29.5, 19.5, 5.5))

    def visible(self, name: str) -> bool:
        return bool(getattr(self.ui, name).isVisibleTo(self.widget.parent))

    def test_the_whole_slice_is_seen_at_first_and_the_line_says_what_that_costs(self) -> None:
        self.assertEqual(self.ui.regionSelector.currentData, "auto")
        self.assertFalse(self.visible("roiSelector"))
        self.assertIn("80 x 60", self.ui.regionLabel.text)
        self.assertIn("1 embedding per slice", self.ui.regionLabel.text)

    def test_it_cannot_be_chosen_before_there_is_something_to_look_at(self) -> None:
        self.ui.volumeSelector.setCurrentNode(None)
        self.look()
        self.assertFalse(self.ui.regionSelector.isEnabled())
        self.assertEqual(self.ui.regionSelector.toolTip, "Choose a volume first.")

    def test_a_choice_is_the_annotators_and_the_parameter_nodes(self) -> None:
        self.choose("whole")
        self.assertEqual(self.annotator.region, "whole")
        self.assertEqual(self.logic.parameters().region, "whole")
        self.choose("auto")
        self.assertEqual(self.annotator.region, "auto")

    def test_a_region_of_interest_is_made_by_the_selector_and_lies_about_the_volume(self) -> None:
        self.choose("roi")
        self.assertTrue(self.visible("roiSelector"))
        self.assertEqual(self.annotator.region, "auto")
        self.assertIn("Choose a region of interest", self.ui.regionLabel.text)
        roi = self.ui.roiSelector.addNode()
        self.look()
        self.assertIs(self.annotator.region, roi)
        self.assertIs(self.logic.parameters().roi, roi)
        self.assertIn("Region of interest 80 x 60 px of 80 x 60", self.ui.regionLabel.text)

    def test_only_what_is_in_the_region_is_changed(self) -> None:
        self.choose("roi")
        self.shrink(self.ui.roiSelector.addNode())
        self.ui.boxButton.click()
        self.drag((25, 15), (35, 25), 6)
        self.wait_for_masks()
        expected = np.zeros((60, 80), bool)
        expected[15:26, 25:36] = True
        np.testing.assert_array_equal(self.mask(6), expected)
        self.drag((50, 15), (60, 25), 6)
        self.look()
        self.assertIn("outside the region", self.ui.statusLabel.text)

    def test_a_turned_region_is_refused_with_the_reason(self) -> None:
        roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "turned")
        roi.SetSize(10, 10, 10)
        matrix = slicer.vtkMRMLMarkupsROINode().GetObjectToNodeMatrix()
        for row, column, value in ((0, 0, 0.8), (0, 1, -0.6), (1, 0, 0.6), (1, 1, 0.8)):
            matrix.SetElement(row, column, value)
        roi.SetAndObserveObjectToNodeMatrix(matrix)
        self.choose("roi")
        self.ui.roiSelector.setCurrentNode(roi)
        self.look()
        self.assertIn("turned against", self.ui.statusLabel.text)
        self.assertIsNone(self.ui.roiSelector.currentNode())
        self.assertEqual(self.annotator.region, "auto")

    def test_prompts_are_no_regions(self) -> None:
        self.ui.boxButton.click()
        self.drag((25, 15), (35, 25), 6)
        self.choose("roi")
        self.assertEqual(self.ui.roiSelector.nodeCount(), 0)

    def test_what_the_console_chooses_is_shown(self) -> None:
        self.annotator.region = "whole"
        self.look()
        self.assertEqual(self.ui.regionSelector.currentData, "whole")

    def test_a_region_that_is_deleted_is_looked_for_and_the_whole_slice_seen(self) -> None:
        self.choose("roi")
        roi = self.ui.roiSelector.addNode()
        self.look()
        slicer.mrmlScene.RemoveNode(roi)
        self.look()
        self.assertEqual(self.annotator.region, "auto")
        self.assertIn("Choose a region of interest", self.ui.regionLabel.text)

    def test_the_region_comes_back_when_it_is_chosen_again_and_with_the_module(self) -> None:
        self.choose("roi")
        roi = self.ui.roiSelector.addNode()
        self.choose("whole")
        self.choose("roi")
        self.assertIs(self.annotator.region, roi)
        slicer.util.selectModule("")
        slicer.util.selectModule("MedSAGaSlicer")
        self.assertEqual(self.ui.regionSelector.currentData, "roi")
        self.assertIs(self.ui.roiSelector.currentNode(), roi)

    def test_each_volume_has_its_own(self) -> None:
        self.choose("roi")
        roi = self.ui.roiSelector.addNode()
        self.look()
        self.ui.volumeSelector.setCurrentNode(self.make_volume("other"))
        self.look()
        self.assertEqual(self.ui.regionSelector.currentData, "auto")
        self.ui.volumeSelector.setCurrentNode(self.volume)
        self.look()
        self.assertIs(self.ui.roiSelector.currentNode(), roi)
