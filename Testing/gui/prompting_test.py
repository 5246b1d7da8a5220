"""Prompts by the panel's tools, with the mouse in live slice views."""

from unittest import mock

import numpy as np
import qt
import slicer
from annotating import AnnotatingTestCase, disc


class PromptingTest(AnnotatingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.open_panel()

    @property
    def interaction(self) -> slicer.vtkMRMLInteractionNode:
        return slicer.app.applicationLogic().GetInteractionNode()

    def prompts(self) -> tuple:
        return self.logic.annotators.current.prompts()

    def assert_mask(self, expected: np.ndarray, k: int = 6) -> None:
        self.wait_for_masks()
        np.testing.assert_array_equal(self.mask(k), expected)

    def test_a_click_makes_a_mask_and_undo_takes_back_both(self) -> None:
        self.ui.pointButton.click()
        self.click(40, 30, 6)
        self.assert_mask(disc(40, 30))
        self.wait_until(lambda: "Mask in" in self.ui.statusLabel.text)
        self.ui.undoButton.click()
        self.assert_mask(np.zeros_like(disc(0, 0)))
        self.assertEqual(self.prompts(), ())
        self.assertIn("Undone: Point.", self.ui.statusLabel.text)
        self.ui.redoButton.click()
        self.assert_mask(disc(40, 30))
        self.assertEqual(len(self.prompts()), 1)

    def test_the_status_line_says_how_far_the_slices_are_that_come_next(self) -> None:
        self.click(40, 30, 6)
        self.wait_until(lambda: not self.logic.annotators.busy)
        annotator = self.logic.annotators.current
        with (
            mock.patch.object(type(annotator), "encoding", (43, 120, 2.1)),
            mock.patch.object(type(self.logic.annotators), "busy", True),
        ):
            self.look()
            self.assertIn("Encoding 43/120, 2 s left.", self.ui.statusLabel.text)
        self.look()
        self.assertNotIn("Encoding", self.ui.statusLabel.text)

    def test_the_slices_around_the_one_looked_at_are_embedded_and_counted(self) -> None:
        self.click(40, 30, 6)
        annotator = self.logic.annotators.current
        # All but the one that is looked at.
        self.wait_until(lambda: annotator.encoding == (11, 11, 0.0))

    def test_the_tool_stays_in_hand_until_its_button_is_pressed_again(self) -> None:
        self.ui.pointButton.click()
        self.click(20, 20, 6)
        self.click(60, 40, 6)
        self.ui.pointButton.click()
        self.click(40, 30, 6)
        self.assertEqual(len(self.prompts()), 2)

    def test_only_one_tool_is_in_hand(self) -> None:
        self.ui.pointButton.click()
        self.ui.boxButton.click()
        down = self.ui.pointButton.isChecked(), self.ui.boxButton.isChecked()
        self.assertEqual(down, (False, True))
        self.drag((30, 20), (50, 40), 6)
        (prompt,) = self.prompts()
        self.assertEqual(prompt.box, (30, 20, 50, 40))

    def test_ctrl_says_what_does_not_belong(self) -> None:
        self.ui.pointButton.click()
        self.click(40, 30, 6)
        self.click(46, 30, 6, ctrl=True)
        self.assertEqual([prompt.positive for prompt in self.prompts()], [True, False])

    def test_every_slice_view_takes_prompts(self) -> None:
        self.ui.pointButton.click()
        for n, view in enumerate(("Red", "Green", "Yellow")):
            self.click(20 + 20 * n, 15 + 15 * n, 3 + 3 * n, view=view)
        axes = [prompt.position.axis for prompt in self.prompts()]
        self.assertEqual(axes, ["k", "j", "i"])

    def test_a_box_is_dragged_in_every_slice_view(self) -> None:
        self.ui.boxButton.click()
        for view, start, end in (
            ("Red", (20, 15, 3), (30, 25, 3)),
            ("Green", (40, 30, 2), (50, 30, 8)),
            ("Yellow", (60, 20, 2), (60, 40, 8)),
        ):
            self.drag_between(start, end, view)
        axes = [prompt.position.axis for prompt in self.prompts()]
        self.assertEqual(axes, ["k", "j", "i"])
        self.wait_for_masks()
        self.assertTrue(self.mask(3)[15:26, 20:31].all())
        self.assertTrue(self.mask(5)[30, 40:51].all())
        self.assertTrue(self.mask(5)[20:41, 60].all())

    def test_a_prompt_that_is_dragged_afterwards_takes_its_mask_along(self) -> None:
        self.ui.pointButton.click()
        self.click(40, 30, 6)
        self.assert_mask(disc(40, 30))
        points = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode")
        points.SetNthControlPointPositionWorld(0, *self.ras(20, 20, 6))
        self.wait_until(lambda: self.mask(6)[20, 20])
        self.assert_mask(disc(20, 20))
        self.ui.undoButton.click()
        self.assert_mask(disc(40, 30))

    def test_prompts_go_to_the_segment_that_is_chosen(self) -> None:
        first = self.ui.segmentSelector.currentSegmentID()
        self.ui.pointButton.click()
        self.ui.addSegmentButton.click()
        second = self.ui.segmentSelector.currentSegmentID()
        self.click(20, 20, 6)
        self.ui.segmentSelector.setCurrentSegmentID(first)
        self.click(60, 40, 6)
        self.assertEqual([prompt.segment_id for prompt in self.prompts()], [second, first])

    def test_leaving_the_module_gives_the_mouse_back(self) -> None:
        self.ui.pointButton.click()
        slicer.util.selectModule("")
        self.click(40, 30, 6)
        slicer.util.selectModule("MedSAGaSlicer")
        self.assertFalse(self.ui.pointButton.isChecked())
        self.assertEqual(self.prompts(), ())

    def test_another_tool_of_slicers_gets_the_mouse(self) -> None:
        self.ui.pointButton.click()
        self.interaction.SetCurrentInteractionMode(self.interaction.Place)
        self.assertFalse(self.ui.pointButton.isChecked())
        self.ui.pointButton.click()
        self.assertEqual(
            self.interaction.GetCurrentInteractionMode(), self.interaction.ViewTransform
        )

    def test_without_predicting_at_once_masks_come_on_command(self) -> None:
        self.ui.autoPredictCheckBox.click()
        self.ui.pointButton.click()
        self.click(20, 20, 6)
        self.click(60, 40, 6)
        self.wait_until(self.ui.predictButton.isEnabled)
        self.assertFalse(self.mask(6).any())
        self.ui.predictButton.click()
        self.assert_mask(disc(20, 20) | disc(60, 40))
        self.assertFalse(self.ui.predictButton.isEnabled())

    def test_clear_removes_the_prompts_of_the_slice_that_is_looked_at(self) -> None:
        self.ui.pointButton.click()
        self.click(40, 30, 3)
        self.click(40, 30, 6)
        self.wait_for_masks()
        self.wait_until(self.ui.clearButton.isEnabled)
        self.ui.clearButton.click()
        self.assert_mask(np.zeros_like(disc(0, 0)))
        self.assert_mask(disc(40, 30), 3)
        self.assertIn("no prompts on slice k 6", self.ui.clearButton.toolTip)

    def test_a_slice_is_confirmed_and_a_prompt_takes_that_back(self) -> None:
        annotator = self.logic.annotators.current
        self.ui.pointButton.click()
        self.click(40, 30, 6)
        self.wait_for_masks()
        self.ui.confirmButton.click()
        self.assertEqual([(p.axis, p.index) for p in annotator.confirmed()], [("k", 6)])
        self.assertEqual(self.ui.confirmButton.text, "Unc&onfirm k 6")
        self.click(20, 20, 6)
        self.wait_for_masks()
        self.assertEqual(annotator.confirmed(), ())
        self.ui.confirmButton.click()
        self.ui.confirmButton.click()
        self.assertEqual(annotator.confirmed(), ())

    def test_a_click_beside_the_image_is_refused_kindly(self) -> None:
        self.ui.pointButton.click()
        self.click(-4, 30, 6)
        self.wait_until(lambda: "outside the volume" in self.ui.statusLabel.text)
        self.assertEqual(self.prompts(), ())

    def test_an_oblique_view_is_aligned_by_a_button(self) -> None:
        self.click(40, 30, 6)
        self.assertFalse(self.ui.alignButton.isVisibleTo(self.widget.parent))
        node = self.slice_widget().mrmlSliceNode()
        matrix = node.GetSliceToRAS()
        for row, column, value in ((0, 0, -0.8), (2, 0, 0.6), (0, 2, 0.6), (2, 2, 0.8)):
            matrix.SetElement(row, column, value)
        node.UpdateMatrices()
        self.wait_until(lambda: not self.ui.confirmEmptyButton.isEnabled())
        self.assertIn("obliquely", self.ui.confirmEmptyButton.toolTip)
        self.assertTrue(self.ui.alignButton.isVisibleTo(self.widget.parent))
        self.ui.alignButton.click()
        self.assertTrue(self.ui.confirmEmptyButton.isEnabled())
        self.assertFalse(self.ui.alignButton.isVisibleTo(self.widget.parent))

    def test_the_remove_button_turns_what_ctrl_means_around(self) -> None:
        self.ui.pointButton.click()
        self.addCleanup(self.ui.removeButton.setChecked, False)
        self.click(40, 30, 6)
        self.ui.removeButton.click()
        self.click(46, 30, 6)
        self.click(20, 20, 6, ctrl=True)
        self.assertEqual([prompt.positive for prompt in self.prompts()], [True, False, True])

    def test_a_tool_in_hand_shows_in_the_cursor(self) -> None:
        view = self.slice_widget().sliceView()
        self.ui.boxButton.click()
        self.assertEqual(view.cursor.shape(), qt.Qt.CrossCursor)
        self.ui.boxButton.click()
        self.assertNotEqual(view.cursor.shape(), qt.Qt.CrossCursor)
