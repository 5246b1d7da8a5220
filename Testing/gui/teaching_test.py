"""Teach: from the button to a model that answers, with a lesson that waits for the test."""

from pathlib import Path
from unittest import mock

import numpy as np
import qt
import slicer
from annotating import AnnotatingTestCase, disc

from MedSAGaSlicerLib.worker.client import InferenceClient


class TeachingTest(AnnotatingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.open_panel()
        self.addCleanup(self.panel.sections.teaching.close)
        self.annotator = self.logic.annotators.current

    @property
    def job(self) -> object:
        return self.panel.sections.teaching.job

    def confirm(self, *slices: int) -> None:
        for k in slices:
            self.annotator.point("Segment 1", self.ras(40, 30, k))
        self.wait_for_masks()
        for k in slices:
            self.annotator.confirm("k", k)
        self.look()

    def begin(self) -> None:
        self.confirm(2, 4, 6)
        self.ui.teachButton.click()
        self.wait_until(lambda: len(self.job.curve) == 3)
        self.look()

    def end(self, how: str) -> None:
        note = Path(self.folder.name) / "note"
        note.write_text(how)
        # By renaming, so that the other process never reads half of it.
        note.rename(note.with_name("end"))
        self.wait_until(lambda: not self.job.running)
        self.look()

    def visible(self, name: str) -> bool:
        return bool(getattr(self.ui, name).isVisibleTo(self.widget.parent))

    def test_without_confirmed_slices_teach_says_what_to_do(self) -> None:
        self.look()
        self.assertFalse(self.ui.teachButton.isEnabled())
        self.assertIn("confirm", self.ui.teachButton.toolTip)
        self.confirm(4)
        self.assertTrue(self.ui.teachButton.isEnabled())
        self.assertIn("Slices: 1. From fewer than 5", self.ui.planLabel.text)

    def test_the_plan_is_made_for_the_lesson_that_would_be_given(self) -> None:
        self.confirm(2, 4, 6)
        self.panel.sections.teaching.plan({"methods": [row("decoder", 40), row("full", 90)]})
        self.look()
        self.assertIn("≈ 40 s, 0.9 GB, decoder", self.ui.planLabel.text)
        box = self.ui.methodSelector
        box.setCurrentIndex(box.findData("full"))
        self.look()
        self.assertIn("≈ 90 s, 0.9 GB, full", self.ui.planLabel.text)

    def test_another_length_of_lessons_is_planned_anew_taught_and_kept(self) -> None:
        self.addCleanup(qt.QSettings().remove, "MedSAGaSlicer")
        self.confirm(2, 4, 6)
        self.wait_until(lambda: not self.logic.annotators.busy)
        self.panel.sections.teaching.plan({"methods": [row("decoder", 40)]})
        with mock.patch.object(InferenceClient, "survey", autospec=True) as asked:
            self.ui.stepsSpinBox.setValue(150)
            self.look()
        (_, slices, settings), _ = asked.call_args
        self.assertEqual((slices, settings["steps"]), (3, 150))
        self.assertNotIn("40 s", self.ui.planLabel.text)
        self.assertEqual(self.logic.annotators.settings.lesson_steps, 150)
        self.ui.teachButton.click()
        self.assertEqual(self.job.lesson.config.steps, 150)
        self.assertFalse(self.ui.stepsSpinBox.isEnabled())

    def test_a_length_that_the_console_sets_is_shown(self) -> None:
        self.addCleanup(qt.QSettings().remove, "MedSAGaSlicer")
        qt.QSettings().setValue("MedSAGaSlicer/LessonSteps", "250")
        self.look()
        self.assertEqual(self.ui.stepsSpinBox.value, 250)

    def test_trying_the_device_leaves_the_plan_to_the_confirmed_slices(self) -> None:
        self.confirm(2, 4, 6)
        with mock.patch.object(InferenceClient, "survey", autospec=True) as asked:
            self.ui.testDeviceButton.click()
        self.assertEqual(asked.call_args.args[1], 3)

    def test_a_lesson_shows_how_it_goes_and_masks_are_answered_meanwhile(self) -> None:
        self.begin()
        self.assertEqual(self.ui.lessonBar.value, 30)
        self.assertEqual(self.ui.lessonBar.text, "30 %, 7 s left")
        self.assertFalse(self.ui.curveLabel.pixmap.isNull())
        self.assertFalse(self.ui.teachButton.isEnabled())
        self.assertIn("under way", self.ui.teachButton.toolTip)
        self.annotator.point("Segment 1", self.ras(20, 20, 9))
        self.wait_for_masks()
        np.testing.assert_array_equal(self.mask(9), disc(20, 20))
        self.assertTrue(self.job.running)

    def test_a_better_model_is_in_use_and_one_click_goes_back(self) -> None:
        self.begin()
        self.end("better")
        self.assertIn("0.500 → 0.800 on 2 slices", self.ui.resultLabel.text)
        self.assertFalse(self.ui.useResultButton.isEnabled())
        self.annotator.point("Segment 1", self.ras(20, 20, 9))
        self.wait_for_masks()
        np.testing.assert_array_equal(self.mask(9), ~disc(20, 20))
        self.ui.revertButton.click()
        self.wait_for_masks()
        self.assertIsNone(self.annotator.taught("Segment 1"))
        self.assertTrue(self.ui.useResultButton.isEnabled())
        self.ui.useResultButton.click()
        self.assertIsNotNone(self.annotator.taught("Segment 1"))

    def test_a_worse_model_is_not_used_unless_the_person_says_so(self) -> None:
        self.begin()
        self.end("worse")
        self.assertIn("Not better", self.ui.resultLabel.text)
        self.assertFalse(self.ui.revertButton.isEnabled())
        self.assertIsNone(self.annotator.taught("Segment 1"))
        self.ui.useResultButton.click()
        self.assertIsNotNone(self.annotator.taught("Segment 1"))

    def test_too_few_slices_are_not_measured_and_that_is_said(self) -> None:
        self.begin()
        self.end("unmeasured")
        self.assertIn("Not measured", self.ui.resultLabel.text)

    def test_a_lesson_can_be_stopped_and_gone_on_with(self) -> None:
        self.begin()
        self.ui.stopLessonButton.click()
        self.wait_until(lambda: not self.job.running)
        self.assertIn("Stopped at step 3", self.ui.statusLabel.text)
        self.assertFalse(self.visible("lessonBar"))
        self.wait_until(self.ui.teachButton.isEnabled)

    def test_a_lesson_without_memory_says_so(self) -> None:
        self.begin()
        self.end("out of memory")
        self.assertIn("out of memory", self.ui.resultLabel.text)
        self.assertFalse(self.visible("useResultButton"))
        self.wait_until(self.ui.teachButton.isEnabled)

    def test_a_lesson_on_a_full_card_has_prompts_answered_by_the_cpu_and_steps_down(self) -> None:
        self.begin()
        client = self.logic.annotators._client
        devices = [client.device]
        with (
            mock.patch.object(self.panel.desk, "say", wraps=self.panel.desk.say) as said,
            mock.patch.object(client, "use_device", wraps=client.use_device) as moved,
        ):
            self.end("full card")
        lines = [call.args[0] for call in said.call_args_list]
        self.assertIn("The lesson waits for memory on cuda.", lines)
        self.assertIn("Too little memory: it goes on by decoder, 2 objects at once.", lines)
        self.assertEqual([call.args[0] for call in moved.call_args_list], ["cpu", *devices])
        self.assertIn("0.500 → 0.800", self.ui.resultLabel.text)

    def test_a_lesson_with_the_disk_full_says_so(self) -> None:
        self.begin()
        self.end("disk")
        self.assertIn("Free some space", self.ui.resultLabel.text)

    def test_a_lesson_goes_on_when_the_scene_is_closed_and_its_model_is_not_lost(self) -> None:
        self.begin()
        slicer.mrmlScene.Clear()
        self.end("better")
        self.assertTrue((self.job.lesson.output / "model.json").is_file())
        self.ui.useResultButton.click()
        self.assertIn("ended", self.panel.desk.said)

    def test_no_lesson_outlives_the_panel(self) -> None:
        self.begin()
        self.widget.cleanup()
        self.assertFalse(self.job.running)


def row(method: str, seconds: float) -> dict[str, object]:
    """A line of the worker's plan; the decoder is what automatic stands for."""
    known = {"method": method, "auto": method == "decoder", "seconds": seconds}
    return {**known, "peak_bytes": 0.9e9, "fits": True, "why": None}
