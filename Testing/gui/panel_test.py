"""The panel: every control, and what happens around it."""

import html
import re
from pathlib import Path

import numpy as np
import slicer
from annotating import MODEL, OTHER_MODEL, AnnotatingTestCase, disc


class ChoosingTest(AnnotatingTestCase):
    def test_controls_that_cannot_be_used_say_why(self) -> None:
        slicer.util.selectModule("MedSAGaSlicer")
        self.addCleanup(slicer.util.selectModule, "")
        for reason, act in (
            ("Choose a volume first.", lambda: self.ui.volumeSelector.setCurrentNode(self.volume)),
            ("Choose a segmentation first, or press New.", self.ui.segmentationSelector.addNode),
            ("Choose a segment first, or press New.", self.ui.addSegmentButton.click),
        ):
            self.assertFalse(self.ui.pointButton.isEnabled())
            self.assertEqual(self.ui.pointButton.toolTip, reason)
            self.assertEqual(self.ui.statusLabel.text, reason)
            act()
        self.assertTrue(self.ui.pointButton.isEnabled())
        self.assertIn("Ctrl", self.ui.pointButton.toolTip)
        self.assertEqual(self.ui.undoButton.toolTip, "Nothing to undo.")

    def assert_that_what_is_disabled_says_why(self) -> None:
        """What a control says of itself is in the panel's files; a reason is not."""
        files = Path(self.widget.resourcePath("UI")).glob("*.ui")
        texts = "".join(path.read_text(encoding="utf-8") for path in files)
        usual = {html.unescape(text) for text in re.findall("<string[^>]*>(.*)</string>", texts)}
        controls = [control for control in vars(self.ui).values() if hasattr(control, "toolTip")]
        disabled = [control for control in controls if not control.isEnabled()]
        self.assertTrue(disabled)
        for control in disabled:
            # What is inside of something disabled is, too.
            self.assertTrue(control.toolTip, control.objectName)
            self.assertNotIn(control.toolTip, usual, control.objectName)

    def test_whatever_is_disabled_says_why_at_every_stage(self) -> None:
        slicer.util.selectModule("MedSAGaSlicer")
        self.addCleanup(slicer.util.selectModule, "")
        self.look()
        self.assert_that_what_is_disabled_says_why()
        self.ui.volumeSelector.setCurrentNode(self.volume)
        self.ui.addSegmentButton.click()
        self.look()
        self.assert_that_what_is_disabled_says_why()
        annotator = self.logic.annotators.current
        annotator.point("Segment 1", self.ras(40, 30, 6))
        self.wait_for_masks()
        self.place_of(40, 30, 6, "Red")
        annotator.confirm("k", 6)
        self.look()
        self.assert_that_what_is_disabled_says_why()

    def test_the_volume_that_is_looked_at_is_chosen_at_first(self) -> None:
        selection = slicer.app.applicationLogic().GetSelectionNode()
        selection.SetActiveVolumeID(self.volume.GetID())
        slicer.util.selectModule("MedSAGaSlicer")
        self.addCleanup(slicer.util.selectModule, "")
        self.assertIs(self.ui.volumeSelector.currentNode(), self.volume)

    def test_opening_the_panel_adds_nothing_to_the_scene(self) -> None:
        before = {node.GetID() for node in slicer.util.getNodes("*").values()}
        slicer.util.selectModule("MedSAGaSlicer")
        self.addCleanup(slicer.util.selectModule, "")
        added = {node.GetID() for node in slicer.util.getNodes("*").values()} - before
        self.assertLessEqual(added, {self.logic.getParameterNode().GetID()})

    def test_new_makes_a_segmentation_once_and_a_segment_each_time(self) -> None:
        self.open_panel()
        self.ui.addSegmentButton.click()
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode"), 1)
        segmentation = self.segmentation.GetSegmentation()
        names = [segmentation.GetNthSegment(n).GetName() for n in range(2)]
        self.assertEqual(names, ["Segment 1", "Segment 2"])
        self.assertEqual(
            self.ui.segmentSelector.currentSegmentID(), segmentation.GetNthSegmentID(1)
        )

    def test_a_chosen_volume_is_shown_in_the_views(self) -> None:
        self.open_panel()
        composite = self.slice_widget().sliceLogic().GetSliceCompositeNode()
        self.assertEqual(composite.GetBackgroundVolumeID(), self.volume.GetID())

    def test_a_volume_that_cannot_be_annotated_says_why(self) -> None:
        self.open_panel()
        empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing in it")
        self.ui.volumeSelector.setCurrentNode(empty)
        self.assertFalse(self.ui.pointButton.isEnabled())
        self.assertIn("nothing in it", self.ui.pointButton.toolTip)
        self.ui.volumeSelector.setCurrentNode(self.volume)
        self.assertTrue(self.ui.pointButton.isEnabled())

    def test_another_model_answers_from_then_on(self) -> None:
        self.open_panel()
        box = self.ui.modelSelector
        # With the starter before them, where it is.
        names = [box.itemText(n) for n in range(box.count)]
        self.assertEqual(names[-2:], [MODEL, OTHER_MODEL])
        self.assertEqual(box.currentText, names[0])
        box.textActivated.emit(OTHER_MODEL)
        self.wait_until(lambda: self.ui.statusLabel.text == f"{OTHER_MODEL} is ready.")
        self.assertEqual(box.currentText, OTHER_MODEL)
        self.assertEqual(self.ui.modelStateLabel.text, "ready (cpu)")

    def test_a_model_that_cannot_be_loaded_says_why(self) -> None:
        self.open_panel()
        annotator = self.logic.annotators.current
        annotator.use_model("broken")
        annotator.point("Segment 1", self.ras(40, 30, 6))
        self.wait_until(lambda: self.ui.modelStateLabel.text == "not loaded")
        self.assertIn("broken is no checkpoint", self.ui.statusLabel.text)
        self.ui.modelSelector.textActivated.emit(OTHER_MODEL)
        self.wait_until(lambda: self.ui.modelStateLabel.text == "ready (cpu)")
        self.ui.predictButton.click()
        self.wait_for_masks()
        np.testing.assert_array_equal(self.mask(6), disc(40, 30))

    def test_choices_are_found_again_when_the_module_is_shown_again(self) -> None:
        self.open_panel()
        self.ui.addSegmentButton.click()
        chosen = self.ui.segmentSelector.currentSegmentID()
        self.ui.autoPredictCheckBox.click()
        slicer.util.selectModule("")
        slicer.util.selectModule("MedSAGaSlicer")
        self.assertIs(self.ui.volumeSelector.currentNode(), self.volume)
        self.assertEqual(self.ui.segmentSelector.currentSegmentID(), chosen)
        self.assertFalse(self.ui.autoPredictCheckBox.isChecked())


class ConsoleTest(AnnotatingTestCase):
    def test_the_console_has_the_panels_annotator(self) -> None:
        self.open_panel()
        annotator = self.logic.annotator(self.volume, self.segmentation)
        annotator.point("Segment 1", self.ras(40, 30, 6))
        self.wait_for_masks()
        np.testing.assert_array_equal(self.mask(6), disc(40, 30))
        self.ui.undoButton.click()
        self.assertFalse(self.mask(6).any())

    def test_the_panel_follows_the_console_to_other_nodes(self) -> None:
        self.open_panel()
        other = self.make_volume("other")
        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "other")
        self.logic.annotator(other, segmentation).point("tumour", self.ras(40, 30, 6))
        self.wait_for_masks()
        self.assertIs(self.ui.volumeSelector.currentNode(), other)
        self.assertIs(self.segmentation, segmentation)

    def test_an_annotator_works_without_the_panel(self) -> None:
        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        annotator = self.logic.annotator(self.volume, segmentation)
        annotator.box("tumour", self.ras(10, 12, 3), self.ras(20, 15, 3))
        annotator.wait()
        segment_id = segmentation.GetSegmentation().GetSegmentIdBySegmentName("tumour")
        array = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, self.volume)
        self.assertEqual(int(array.sum()), 11 * 4)
        self.assertTrue(array[3, 12:16, 10:21].all())


class SceneTest(AnnotatingTestCase):
    def test_closing_the_scene_while_a_mask_is_awaited_leaves_a_panel_that_works(self) -> None:
        self.open_panel()
        self.logic.annotators.current.point("Segment 1", self.ras(40, 30, 6))
        slicer.mrmlScene.Clear()
        self.assertIsNone(self.ui.volumeSelector.currentNode())
        self.assertFalse(self.ui.pointButton.isEnabled())
        self.volume = self.make_volume("CT")
        self.ui.volumeSelector.setCurrentNode(self.volume)
        self.ui.addSegmentButton.click()
        self.logic.annotators.current.point("Segment 1", self.ras(40, 30, 6))
        self.wait_for_masks()
        np.testing.assert_array_equal(self.mask(6), disc(40, 30))

    def test_removing_the_volume_stops_and_says_so(self) -> None:
        self.open_panel()
        slicer.mrmlScene.RemoveNode(self.volume)
        self.assertFalse(self.ui.pointButton.isEnabled())
        self.assertEqual(self.ui.pointButton.toolTip, "Choose a volume first.")

    def test_a_mask_comes_after_the_module_was_left(self) -> None:
        self.open_panel()
        self.logic.annotators.current.point("Segment 1", self.ras(40, 30, 6))
        slicer.util.selectModule("")
        self.wait_for_masks()
        np.testing.assert_array_equal(self.mask(6), disc(40, 30))

    def test_no_worker_is_left_after_the_panel(self) -> None:
        self.open_panel()
        self.wait_until(lambda: not self.logic.annotators.busy)
        self.widget.cleanup()
        self.assertFalse(self.logic.annotators.running)
