"""What can go wrong while annotating: it is said, and the panel goes on."""

from pathlib import Path
from unittest import mock

import numpy as np
import slicer
from annotating import AnnotatingTestCase, disc

from MedSAGaSlicerLib.scene.slices import SlicePosition


class WorkerTroubleTest(AnnotatingTestCase):
    """The fake predictor obeys files in a folder that its model's name ends with."""

    def setUp(self) -> None:
        super().setUp()
        self.open_panel()
        self.annotator = self.logic.annotators.current
        self.cues = Path(self.folder.name) / "cues"
        self.cues.mkdir()
        self.annotator.use_model(f"fake:{self.cues}")
        self.wait_until(lambda: self.ui.modelStateLabel.text == "ready (cpu)")

    def test_a_prompt_that_fails_in_the_worker_is_told_and_the_next_one_is_answered(self) -> None:
        (self.cues / "fail-decode").touch()
        self.annotator.point("Segment 1", self.ras(40, 30, 6))
        self.wait_until(lambda: "the fake fails to decode" in self.ui.statusLabel.text)
        (self.cues / "fail-decode").unlink()
        self.annotator.point("Segment 1", self.ras(20, 20, 3))
        self.wait_for_masks()
        np.testing.assert_array_equal(self.mask(3), disc(20, 20))

    def test_a_full_graphics_card_is_told_and_the_cpu_answers_the_same_prompts(self) -> None:
        self.logic.annotators._client.use_device("cuda")
        self.wait_until(lambda: self.ui.modelStateLabel.text == "ready (cuda)")
        (self.cues / "full-card").touch()
        with mock.patch.object(self.panel.desk, "say", wraps=self.panel.desk.say) as said:
            self.ui.pointButton.click()
            self.click(40, 30, 6)
            self.click(20, 20, 6)
            self.wait_until(lambda: self.mask(6)[20, 20] and self.mask(6)[30, 40])
        np.testing.assert_array_equal(self.mask(6), disc(40, 30) | disc(20, 20))
        self.assertEqual(len(self.annotator.prompts()), 2)
        lines = [call.args[0] for call in said.call_args_list]
        self.assertTrue(any("card is out of memory: the CPU answers" in line for line in lines))
        self.look()
        self.assertEqual(self.ui.modelStateLabel.text, "cpu: card full")
        self.assertIn("prompts are kept", self.ui.modelStateLabel.toolTip)
        # Other programs have left the card, says the person.
        self.ui.deviceSelector.textActivated.emit(self.ui.deviceSelector.currentText)
        self.wait_until(lambda: self.ui.modelStateLabel.text == "ready (cpu)")
        self.assertEqual(self.logic.annotators.device, "auto")
        self.assertEqual(len(self.logic.annotators.current.prompts()), 2)

    def test_an_answer_is_shown_by_the_first_look_after_it_came(self) -> None:
        self.ui.pointButton.click()
        (self.cues / "hold-decode").touch()
        self.click(40, 30, 6)
        self.wait_until((self.cues / "decoding").exists)
        self.wait_until(lambda: self.annotator.encoding == (11, 11, 0.0))
        # Ticks, of which there have been some by now, come as often while something is unanswered.
        self.assertEqual(self.panel._timer.interval, 10)
        (self.cues / "go-decode").touch()
        self.logic.annotators._client._channel.wait(60.0)
        self.look()
        np.testing.assert_array_equal(self.mask(6), disc(40, 30))
        self.assertIn("Mask in", self.ui.statusLabel.text)

    def test_a_worker_that_dies_once_is_started_again_and_nothing_is_lost(self) -> None:
        (self.cues / "crash-decode").touch()
        self.annotator.point("Segment 1", self.ras(40, 30, 6))
        self.wait_until(lambda: self.mask(6).any())
        np.testing.assert_array_equal(self.mask(6), disc(40, 30))

    def test_a_worker_that_dies_again_and_again_is_told_with_what_it_did(self) -> None:
        (self.cues / "crash-decode").write_text("always")
        self.annotator.point("Segment 1", self.ras(40, 30, 6))
        self.wait_until(lambda: not self.logic.annotators.running)
        self.look()
        self.assertIn("decoding a prompt", self.ui.statusLabel.text)
        self.assertEqual(self.ui.modelStateLabel.text, "not running")


class UnusualDataTest(AnnotatingTestCase):
    def test_names_may_have_spaces_slashes_and_any_letters(self) -> None:
        self.volume.SetName("Läsion / 左 #1|x")
        self.open_panel()
        segment_id = self.ui.segmentSelector.currentSegmentID()
        name = "Tumor «лево»/2 %s"
        self.segmentation.GetSegmentation().GetSegment(segment_id).SetName(name)
        self.ui.pointButton.click()
        self.click(40, 30, 6)
        self.wait_for_masks()
        np.testing.assert_array_equal(self.mask(6), disc(40, 30))
        self.look()
        self.ui.confirmButton.click()
        self.assertEqual(len(self.logic.annotators.current.confirmed()), 1)

    def test_a_volume_of_one_slice_is_annotated_and_confirmed(self) -> None:
        flat = np.full((1, 60, 80), 7, np.int16)
        self.volume = slicer.util.addVolumeFromArray(flat, np.diag([-1.0, -1.0, 2.0, 1.0]), "flat")
        self.open_panel()
        self.ui.pointButton.click()
        self.click(40, 30, 0)
        self.wait_for_masks()
        self.look()
        self.ui.confirmButton.click()
        confirmed = self.logic.annotators.current.confirmed()
        self.assertEqual(confirmed, (SlicePosition("k", 0),))

    def test_a_segmentation_made_of_surfaces_gets_voxels_at_the_first_click(self) -> None:
        self.open_panel()
        segment_id = self.ui.segmentSelector.currentSegmentID()
        self.ui.pointButton.click()
        self.click(40, 30, 6)
        self.wait_for_masks()
        node = self.segmentation
        node.CreateClosedSurfaceRepresentation()
        node.GetSegmentation().SetSourceRepresentationName("Closed surface")
        self.click(20, 20, 6)
        self.wait_for_masks()
        self.look()
        self.assertTrue(self.mask(6)[20, 20], self.ui.statusLabel.text)
        self.assertTrue(segment_id)

    def test_removing_the_volume_while_a_job_goes_through_it_ends_the_job(self) -> None:
        self.open_panel()
        self.ui.pointButton.click()
        self.click(40, 30, 6)
        self.wait_for_masks()
        self.look()
        self.ui.propagateForwardButton.click()
        slicer.mrmlScene.RemoveNode(self.volume)
        self.look()
        self.assertEqual(self.panel.sections.jobs.doing, "")
        self.assertFalse(self.ui.jobWidget.isVisibleTo(self.widget.parent))

    def test_a_segmentation_that_cannot_be_written_says_why_and_keeps_the_prompts(self) -> None:
        self.open_panel()
        self.ui.pointButton.click()
        self.click(40, 30, 6)
        self.wait_for_masks()
        warp = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "a warp")
        self.segmentation.SetAndObserveTransformNodeID(warp.GetID())
        self.click(20, 20, 6)
        self.look()
        self.assertIn("'CT segmentation'", self.ui.statusLabel.text)
        self.assertEqual(len(self.logic.annotators.current.prompts()), 1)
        self.segmentation.SetAndObserveTransformNodeID(None)
        self.look()
        np.testing.assert_array_equal(self.mask(6), disc(40, 30))
        self.click(20, 20, 6)
        self.wait_for_masks()
        self.assertTrue(self.mask(6)[20, 20])

    def test_a_segmentation_from_a_read_only_file_is_annotated_and_the_file_left_alone(
        self,
    ) -> None:
        self.open_panel()
        path = Path(self.folder.name) / "read only.seg.nrrd"
        writer = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
        writer.SetFileName(str(path))
        self.assertTrue(writer.WriteData(self.segmentation))
        self.segmentation.SetAndObserveStorageNodeID(writer.GetID())
        path.chmod(0o444)
        before = path.read_bytes()
        self.ui.pointButton.click()
        self.click(40, 30, 6)
        self.wait_for_masks()
        self.look()
        self.ui.confirmButton.click()
        np.testing.assert_array_equal(self.mask(6), disc(40, 30))
        self.assertEqual(len(self.logic.annotators.current.confirmed()), 1)
        self.assertEqual(path.read_bytes(), before)

    def test_where_embeddings_cannot_be_kept_it_says_so_and_masks_come_all_the_same(self) -> None:
        (Path(self.folder.name) / "cache").touch()
        with mock.patch.object(self.panel.desk, "say", wraps=self.panel.desk.say) as said:
            self.open_panel()
            self.ui.pointButton.click()
            self.click(40, 30, 6)
            self.wait_for_masks()
            lines = said.call_args_list
            self.wait_until(lambda: any("kept in memory" in call.args[0] for call in lines))
        np.testing.assert_array_equal(self.mask(6), disc(40, 30))


class SceneInTheMiddleTest(AnnotatingTestCase):
    """The scene is closed, and another one annotated, whatever is under way."""

    def setUp(self) -> None:
        super().setUp()
        self.open_panel()
        self.ui.boxButton.click()
        self.drag((25, 15), (55, 45), 6)
        self.wait_for_masks()
        self.look()

    def assert_that_another_scene_can_be_annotated(self) -> None:
        slicer.mrmlScene.Clear()
        self.look()
        self.assertEqual(self.panel.sections.jobs.doing, "")
        self.assertFalse(self.ui.boxButton.isChecked())
        self.volume = self.make_volume("next")
        self.ui.volumeSelector.setCurrentNode(self.volume)
        self.ui.addSegmentButton.click()
        self.ui.pointButton.click()
        self.click(40, 30, 6)
        self.wait_for_masks()
        np.testing.assert_array_equal(self.mask(6), disc(40, 30))

    def test_while_a_mask_is_carried_on(self) -> None:
        self.ui.propagateBothButton.click()
        self.assert_that_another_scene_can_be_annotated()

    def test_while_a_box_is_dragged(self) -> None:
        x, y = self.place_of(30, 20, 3, "Red")
        interactor = self.interactor("Red")
        for event in ("MouseMove", "LeftButtonPress"):
            interactor.SetEventInformation(x, y, 0, 0, chr(0), 0, None)
            getattr(interactor, f"{event}Event")()
        self.assert_that_another_scene_can_be_annotated()
        interactor.LeftButtonReleaseEvent()

    def test_while_a_correction_is_painted(self) -> None:
        self.ui.correctCollapsibleButton.collapsed = False
        self.addCleanup(self.ui.correctCollapsibleButton.setProperty, "collapsed", True)
        self.panel.sections.corrections.editor.setActiveEffectByName("Paint")
        self.click(60, 40, 6)
        self.assert_that_another_scene_can_be_annotated()

    def test_while_a_region_of_interest_is_chosen(self) -> None:
        box = self.ui.regionSelector
        box.setCurrentIndex(box.findData("roi"))
        box.textActivated.emit(box.currentText)
        self.ui.roiSelector.addNode()
        self.look()
        self.assert_that_another_scene_can_be_annotated()
        self.assertEqual(self.ui.regionSelector.currentData, "auto")


class PropagatingTest(AnnotatingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.open_panel()

    def prompt(self) -> None:
        self.ui.boxButton.click()
        self.drag((25, 15), (55, 45), 6)
        self.wait_for_masks()
        self.look()

    def test_without_a_slice_to_begin_with_it_says_so(self) -> None:
        self.place_of(40, 30, 6, "Red")
        self.look()
        self.ui.propagateBothButton.click()
        self.look()
        self.assertEqual(self.panel.sections.jobs.doing, "")
        self.assertIn("Segment 1", self.ui.statusLabel.text)

    def test_every_direction_goes_its_way_and_is_one_step_of_undo(self) -> None:
        for button in (
            self.ui.propagateBackButton,
            self.ui.propagateBothButton,
            self.ui.propagateForwardButton,
        ):
            self.prompt()
            button.click()
            self.wait_until(lambda: not self.panel.sections.jobs.doing)
            while self.ui.undoButton.isEnabled():
                self.ui.undoButton.click()
                self.look()
            self.assertFalse(self.mask(5).any() or self.mask(7).any())

    def test_a_job_shows_its_bar_forbids_another_and_can_be_stopped(self) -> None:
        self.prompt()
        self.ui.propagateBothButton.click()
        self.assertTrue(self.ui.jobWidget.isVisibleTo(self.widget.parent))
        self.assertIn("under way", self.ui.propagateBackButton.toolTip)
        self.assertIn("Propagating: ", self.ui.statusLabel.text)
        self.ui.stopButton.click()
        self.look()
        self.assertEqual(self.panel.sections.jobs.doing, "")
        self.assertTrue(self.ui.propagateBackButton.isEnabled())
