"""The machine: storage, settings, device, installing, keys, and closing while a lesson goes on."""

import os
import sys
from pathlib import Path
from unittest import mock

import qt
import slicer
from annotating import AnnotatingTestCase

from MedSAGaSlicerLib.gui import overview
from MedSAGaSlicerLib.gui.installer import commands
from MedSAGaSlicerLib.gui.shortcuts import KEYS


class StorageTest(AnnotatingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.open_panel()
        self.ui.storageCollapsibleButton.collapsed = False
        self.addCleanup(self.ui.storageCollapsibleButton.setProperty, "collapsed", True)

    def test_it_says_where_pixels_lie_and_deletes_them_after_asking(self) -> None:
        left = Path(os.environ["MEDSAGA_TAUGHT"]) / ".lessons" / "0123456789abcdef" / "pixels"
        left.parent.mkdir(parents=True)
        left.write_bytes(bytes(5000))
        self.panel.sections.storage.measure()
        self.assertIn("5 kB", self.ui.placesEdit.plainText)
        self.assertIn(os.environ["MEDSAGA_EXAMPLES"], self.ui.placesEdit.plainText)
        with mock.patch("slicer.util.confirmYesNoDisplay", return_value=False):
            self.ui.deletePixelsButton.click()
        self.assertTrue(left.is_file())
        self.ui.deletePixelsButton.click()
        self.assertFalse(left.exists())
        self.assertNotIn("5 kB", self.ui.placesEdit.plainText)

    def test_embeddings_are_deleted_with_and_without_a_worker(self) -> None:
        self.ui.clearCacheButton.click()
        self.assertIn("deleted", self.panel.desk.said)
        self.logic.annotators.close()
        self.panel.desk.say("nothing yet")
        self.ui.clearCacheButton.click()
        self.assertIn("deleted", self.panel.desk.said)

    def test_settings_are_kept_for_this_machine_and_start_another_worker(self) -> None:
        first = self.logic.annotators.current
        self.ui.cacheLimitSpinBox.setValue(3)
        self.ui.cacheLimitSpinBox.editingFinished.emit()
        self.assertEqual(qt.QSettings().value("MedSAGaSlicer/CacheGB"), "3")
        self.assertIsNot(self.logic.annotators.current, first)
        self.assertIsNotNone(self.logic.annotators.current)
        box = self.ui.deviceSelector
        box.setCurrentIndex(box.findData("cpu"))
        box.textActivated.emit(box.currentText)
        self.assertEqual(self.logic.annotators.settings.device, "cpu")

    def test_the_fastest_encoding_is_one_choice_and_exact_the_usual_one(self) -> None:
        settings, box = self.logic.annotators.settings, self.ui.precisionSelector
        self.assertIsNone(settings.make_client("starter").precision)
        first = self.logic.annotators.current
        box.setCurrentIndex(box.findData("auto"))
        box.textActivated.emit(box.currentText)
        self.addCleanup(qt.QSettings().remove, "MedSAGaSlicer")
        self.assertEqual(settings.make_client("starter").precision, "auto")
        self.assertIsNot(self.logic.annotators.current, first)

    def test_a_worker_of_the_persons_own_is_what_the_settings_say(self) -> None:
        settings = self.logic.annotators.settings
        self.ui.workerEdit.setText("/opt/my env/bin/python3")
        self.ui.workerEdit.editingFinished.emit()
        self.addCleanup(self.ui.workerEdit.setText, "")
        self.assertFalse(settings.is_own_python)
        settings.worker_command = f'"{sys.executable}" -m MedSAGaSlicerLib.worker'
        client = settings.make_client("starter")
        self.assertEqual(client.command, (sys.executable, "-m", "MedSAGaSlicerLib.worker"))
        self.assertIsNotNone(client.environment)
        settings.worker_command = ""
        self.assertIsNone(settings.make_client("starter").environment)

    def test_diagnostics_name_versions_and_no_volume(self) -> None:
        self.volume.SetName("Mustermann^Max")
        self.ui.copyDiagnosticsButton.click()
        text = qt.QApplication.clipboard().text()
        self.assertIn("MedSAGaSlicer:", text)
        self.assertIn("torch", text)
        self.assertNotIn("Mustermann", text)

    def test_the_device_is_tried_by_the_worker(self) -> None:
        self.wait_until(lambda: not self.logic.annotators.busy)
        self.look()
        self.ui.testDeviceButton.click()
        self.wait_until(lambda: "GFLOP" in self.ui.deviceTestLabel.text)
        self.assertIn("cpu", self.ui.deviceTestLabel.text)


class InstallingTest(AnnotatingTestCase):
    """pip is replaced by commands that do nothing, or fail."""

    def setUp(self) -> None:
        super().setUp()
        self.missing = mock.patch.object(
            overview, "missing_packages", side_effect=lambda: tuple(self.packages)
        )
        self.packages = ["torch", "safetensors"]
        self.missing.start()
        self.addCleanup(self.missing.stop)
        slicer.util.selectModule("MedSAGaSlicer")
        self.addCleanup(slicer.util.selectModule, "")
        self.installer = self.panel.sections.installer
        self.addCleanup(self.installer.close)
        self.addCleanup(setattr, self.installer, "_trouble", "")
        self.make_run = self.installer.make_run
        self.addCleanup(setattr, self.installer, "make_run", self.make_run)

    def run_instead(self, code: str) -> None:
        command = [sys.executable, "-c", code]
        self.installer.make_run = lambda lines: self.make_run([command for _ in lines])

    def install(self) -> None:
        self.ui.installButton.click()
        self.wait_until(lambda: not self.installer.is_installing)

    def test_without_torch_the_panel_says_so_and_nothing_is_started(self) -> None:
        self.assertIn("torch", self.ui.setupLabel.text)
        self.assertTrue(self.ui.installButton.isVisibleTo(self.widget.parent))
        self.assertIn("Missing Python packages: torch", self.ui.statusLabel.text)
        self.assertFalse(self.ui.pointButton.isEnabled())
        self.assertFalse(self.logic.annotators.running)

    def test_one_question_names_packages_and_sizes(self) -> None:
        with mock.patch("slicer.util.confirmYesNoDisplay", return_value=False) as asked:
            self.ui.installButton.click()
        self.assertIn("torch (0.2 GB, with CUDA about 3 GB)", asked.call_args.args[0])
        self.assertFalse(self.installer.is_installing)

    def test_after_installing_the_panel_goes_on(self) -> None:
        self.run_instead("print('installing')")
        with mock.patch.object(self.installer, "_installed", self.on_installed):
            self.install()
        self.assertFalse(self.ui.setupWidget.isVisibleTo(self.widget.parent))

    def on_installed(self) -> None:
        self.packages = [] if not self.installer.is_installing else self.packages
        self.panel.sections._on_installed()

    def test_a_failed_installation_says_what_to_do(self) -> None:
        self.run_instead("raise SystemExit('No space left on device')")
        self.install()
        self.assertIn("free disk space", self.ui.setupLabel.text)
        self.assertIn("No space left on device", self.ui.setupLabel.text)
        self.assertTrue(self.ui.installButton.isVisibleTo(self.widget.parent))

    def test_without_a_network_or_leave_to_write_the_reason_and_a_remedy_are_shown(self) -> None:
        for reason, remedy in (
            ("Temporary failure in name resolution", "Check the connection"),
            ("[Errno 13] Permission denied: '/opt/Slicer/lib'", "folder may be written"),
        ):
            self.run_instead(f"raise SystemExit({reason!r})")
            self.install()
            self.assertIn(reason, self.ui.setupLabel.text)
            self.assertIn(remedy, self.ui.setupLabel.text)
            self.assertEqual(self.panel.desk.details.splitlines()[-1], reason)

    def test_an_installation_can_be_stopped(self) -> None:
        self.run_instead("import time; time.sleep(1000)")
        self.ui.installButton.click()
        self.assertTrue(self.ui.stopInstallButton.isVisibleTo(self.widget.parent))
        self.look()
        self.ui.stopInstallButton.click()
        self.assertFalse(self.installer.is_installing)
        self.assertIn("Stopped", self.panel.desk.said)

    def test_slicers_own_packages_are_kept_and_torch_comes_by_its_own_way(self) -> None:
        first, torch, rest = commands(("torch", "segment-anything"), "kept.txt")
        for line in (first, torch, rest):
            self.assertEqual(line[line.index("--constraint") + 1], "kept.txt")
        self.assertIn("light_the_torch", torch)
        self.assertEqual(rest[-1], "segment-anything>=1.0")


class KeysTest(AnnotatingTestCase):
    def test_keys_work_while_the_module_is_shown_and_only_then(self) -> None:
        self.open_panel()
        made = self.panel.sections.shortcuts.made
        self.assertEqual(set(made), set(KEYS))
        made["P"].activated.emit()
        self.assertTrue(self.ui.pointButton.isChecked())
        made["X"].activated.emit()
        self.assertTrue(self.ui.boxButton.isChecked())
        slicer.util.selectModule("")
        self.assertEqual(made, {})

    def test_the_help_names_every_key(self) -> None:
        help_text = slicer.modules.medsagaslicer.helpText
        for key in KEYS:
            self.assertIn(f"<b>{key}</b>", help_text)


class ClosingTest(AnnotatingTestCase):
    def test_slicer_closes_without_a_question_when_nothing_is_taught(self) -> None:
        self.open_panel()
        with mock.patch("slicer.util.confirmYesNoDisplay") as asked:
            self.assertTrue(slicer.util.mainWindow().close())
        asked.assert_not_called()

    def test_closing_while_a_model_is_taught_asks_and_may_be_called_off(self) -> None:
        self.open_panel()
        self.addCleanup(self.panel.sections.teaching.close)
        annotator = self.logic.annotators.current
        annotator.point("Segment 1", self.ras(40, 30, 6))
        self.wait_for_masks()
        annotator.confirm("k", 6)
        self.look()
        self.ui.teachButton.click()
        self.wait_until(lambda: len(self.panel.sections.teaching.job.curve) == 3)
        with mock.patch("slicer.util.confirmYesNoDisplay", return_value=False) as asked:
            self.assertFalse(slicer.util.mainWindow().close())
        self.assertIn("goes on from there", asked.call_args.args[0])
        self.assertTrue(self.panel.sections.teaching.is_teaching)
        self.assertTrue(slicer.util.mainWindow().close())
        self.widget.cleanup()
        self.assertFalse(self.panel.sections.teaching.is_teaching)
