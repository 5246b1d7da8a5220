"""The Segment Editor in the panel: its strokes, our undo."""

import numpy as np
import slicer
from annotating import AnnotatingTestCase, disc

from MedSAGaSlicerLib.scene.slices import SlicePosition


class CorrectingTest(AnnotatingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.open_panel()
        self.annotator = self.logic.annotators.current
        self.ui.correctCollapsibleButton.collapsed = False
        self.addCleanup(self.ui.correctCollapsibleButton.setProperty, "collapsed", True)
        self.editor = self.panel.sections.corrections.editor

    def paint(self, i: int, j: int, k: int, effect: str = "Paint") -> None:
        """A dab with the brush, by events as a mouse makes them."""
        self.editor.setActiveEffectByName(effect)
        self.click(i, j, k)
        self.look()

    def test_the_editor_works_on_what_is_annotated(self) -> None:
        self.assertIs(self.editor.segmentationNode(), self.segmentation)
        self.assertIs(self.editor.sourceVolumeNode(), self.volume)
        self.assertEqual(self.editor.currentSegmentID(), self.ui.segmentSelector.currentSegmentID())
        self.assertFalse(self.editor.undoEnabled)

    def test_a_stroke_is_one_step_of_our_undo(self) -> None:
        self.annotator.point("Segment 1", self.ras(40, 30, 6))
        self.wait_for_masks()
        self.paint(60, 40, 6)
        self.assertTrue(self.mask(6)[40, 60])
        self.assertEqual(self.annotator.undo_names()[0], "Paint")
        self.ui.undoButton.click()
        np.testing.assert_array_equal(self.mask(6), disc(40, 30))
        self.ui.redoButton.click()
        self.assertTrue(self.mask(6)[40, 60])
        self.ui.undoButton.click()
        self.ui.undoButton.click()
        self.assertFalse(self.mask(6).any())

    def test_what_was_painted_is_not_lost_to_the_next_click(self) -> None:
        self.paint(60, 40, 6)
        painted = self.mask(6)
        self.annotator.point("Segment 1", self.ras(20, 20, 6))
        self.wait_for_masks()
        np.testing.assert_array_equal(self.mask(6), painted | disc(20, 20))

    def test_painting_on_a_confirmed_slice_takes_it_from_the_confirmed(self) -> None:
        self.annotator.point("Segment 1", self.ras(40, 30, 6))
        self.wait_for_masks()
        self.annotator.confirm("k", 6)
        self.paint(60, 40, 6)
        self.assertEqual(self.annotator.confirmed(), ())
        self.ui.undoButton.click()
        self.wait_until(lambda: self.annotator.confirmed() == (SlicePosition("k", 6),))

    def test_an_effect_and_a_prompt_tool_are_never_both_in_hand(self) -> None:
        self.ui.pointButton.click()
        self.editor.setActiveEffectByName("Paint")
        self.assertFalse(self.ui.pointButton.isChecked())
        self.ui.boxButton.click()
        self.assertIsNone(self.editor.activeEffect())
        self.assertTrue(self.ui.boxButton.isChecked())

    def test_the_editors_list_and_the_panels_selector_agree(self) -> None:
        first = self.ui.segmentSelector.currentSegmentID()
        self.ui.addSegmentButton.click()
        second = self.ui.segmentSelector.currentSegmentID()
        self.assertEqual(self.editor.currentSegmentID(), second)
        self.editor.setCurrentSegmentID(first)
        self.assertEqual(self.ui.segmentSelector.currentSegmentID(), first)

    def test_other_segments_are_not_eaten_by_the_brush(self) -> None:
        self.annotator.point("Segment 1", self.ras(40, 30, 6))
        self.wait_for_masks()
        first = self.ui.segmentSelector.currentSegmentID()
        self.ui.addSegmentButton.click()
        # Beside the prompt, which a press would take hold of.
        self.paint(46, 30, 6)
        self.assertTrue(self.mask(6)[30, 43])
        self.ui.segmentSelector.setCurrentSegmentID(first)
        np.testing.assert_array_equal(self.mask(6), disc(40, 30))

    def test_closing_the_section_or_leaving_the_module_gives_the_mouse_back(self) -> None:
        self.editor.setActiveEffectByName("Paint")
        self.ui.correctCollapsibleButton.collapsed = True
        self.assertIsNone(self.editor.activeEffect())
        self.ui.correctCollapsibleButton.collapsed = False
        self.editor.setActiveEffectByName("Paint")
        slicer.util.selectModule("")
        self.click(60, 40, 6)
        self.assertFalse(self.mask(6).any())

    def test_the_editor_goes_on_in_another_scene(self) -> None:
        self.editor.setActiveEffectByName("Paint")
        slicer.mrmlScene.Clear()
        self.look()
        self.volume = self.make_volume("CT")
        self.ui.volumeSelector.setCurrentNode(self.volume)
        self.ui.addSegmentButton.click()
        self.assertIs(self.editor.segmentationNode(), self.segmentation)
        self.annotator = self.logic.annotators.current
        self.paint(60, 40, 6)
        self.assertTrue(self.mask(6)[40, 60])
        self.assertEqual(self.annotator.undo_names()[0], "Paint")
