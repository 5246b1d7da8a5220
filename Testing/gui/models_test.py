"""Models: downloads that break and go on, files brought along, and those that were taught."""

import os
from pathlib import Path
from unittest import mock

import slicer
from annotating import FAKES, AnnotatingTestCase
from fake_lesson import leave_adapter

from MedSAGaSlicerLib.engine import registry
from MedSAGaSlicerLib.engine.teaching.adapter_folder import list_adapters, read_description
from MedSAGaSlicerLib.worker.fetch_client import FetchClient

CONTENT = bytes(range(256)) * 64
WANTED = "sam_vit_l"


class DownloadTest(AnnotatingTestCase):
    """The child process knows the registry as it is, so the hash is never the pinned one here."""

    def setUp(self) -> None:
        super().setUp()
        self.network = Path(self.folder.name) / "network"
        self.network.mkdir()
        (self.network / "content").write_bytes(CONTENT)
        slicer.util.selectModule("MedSAGaSlicer")
        self.addCleanup(slicer.util.selectModule, "")
        self.ui.modelsCollapsibleButton.collapsed = False
        self.addCleanup(self.ui.modelsCollapsibleButton.setProperty, "collapsed", True)
        self.models = self.panel.sections.models
        self.models.make_fetch_client = self.make_fetch_client
        self.addCleanup(self.models.close)
        self.choose(WANTED)

    def make_fetch_client(self) -> FetchClient:
        path = os.pathsep.join([str(FAKES), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, "FAKE_NETWORK": str(self.network)}
        return FetchClient(environment=environment, transport="fake_network:fetch")

    def choose(self, name: str) -> None:
        names = [entry.name for entry in registry.entries()]
        self.ui.modelsTable.selectRow(names.index(name))

    def download(self) -> None:
        self.ui.downloadButton.click()
        self.wait_until(lambda: not self.models.is_downloading)

    @property
    def part(self) -> Path:
        return registry.path_of(registry.entry(WANTED)).with_suffix(".pth.part")

    def test_nothing_is_asked_of_the_network_before_the_person_agrees(self) -> None:
        with mock.patch("slicer.util.confirmYesNoDisplay", return_value=False) as asked:
            self.ui.downloadButton.click()
        question = asked.call_args.args[0]
        self.assertIn("1.2 GB", question)
        self.assertIn("https://", question)
        self.assertFalse(self.models.is_downloading)

    def test_without_a_network_it_says_so_and_can_be_tried_again(self) -> None:
        (self.network / "unreachable").touch()
        self.download()
        self.assertIn("check the connection", self.panel.desk.said)
        self.assertTrue(self.ui.downloadButton.isEnabled())

    def test_a_download_that_broke_off_goes_on_from_there(self) -> None:
        (self.network / "breaks").touch()
        self.download()
        self.assertIn("goes on from there", self.panel.desk.said)
        self.assertEqual(self.part.read_bytes(), CONTENT[: len(CONTENT) // 2])

    def test_a_download_shows_its_progress_and_can_be_stopped(self) -> None:
        (self.network / "hold").touch()
        self.ui.downloadButton.click()
        self.assertTrue(self.ui.downloadWidget.isVisibleTo(self.widget.parent))
        self.assertIn("under way", self.ui.downloadButton.toolTip)
        self.wait_until(lambda: self.part.exists() and self.part.stat().st_size)
        self.ui.stopDownloadButton.click()
        self.wait_until(lambda: not self.models.is_downloading)
        self.assertIn("Stopped", self.panel.desk.said)
        self.assertFalse(self.ui.downloadWidget.isVisibleTo(self.widget.parent))

    def test_a_folder_that_cannot_be_written_says_so(self) -> None:
        blocked = Path(self.folder.name) / "a file"
        blocked.touch()
        with mock.patch.dict(os.environ, {registry.FOLDER_VARIABLE: str(blocked / "models")}):
            self.download()
        self.assertTrue(self.panel.desk.said)
        self.assertFalse(self.models.is_downloading)

    def test_the_shipped_model_is_neither_downloaded_nor_deleted(self) -> None:
        self.choose("starter")
        self.assertIn("comes with", self.ui.deleteModelButton.toolTip)
        self.assertFalse(self.ui.downloadButton.isEnabled())

    def test_a_model_without_a_checked_file_says_how_to_have_it(self) -> None:
        self.choose("lite_medsam")
        self.assertIn("From file", self.ui.downloadButton.toolTip)

    def test_a_file_of_the_persons_is_copied_and_can_be_deleted_again(self) -> None:
        self.choose("lite_medsam")
        own = Path(self.folder.name) / "mein Modell ü.pth"
        own.write_bytes(CONTENT)
        with mock.patch("qt.QFileDialog.getOpenFileName", return_value=str(own)):
            self.ui.importModelButton.click()
        self.assertIn("lite_medsam", self.models.present)
        self.choose("lite_medsam")
        self.ui.deleteModelButton.click()
        self.assertNotIn("lite_medsam", self.models.present)
        self.assertTrue(own.is_file())

    def test_refresh_finds_what_was_put_there(self) -> None:
        registry.path_of(registry.entry(WANTED)).touch()
        self.ui.refreshButton.click()
        self.assertIn(WANTED, self.models.present)
        box = self.ui.modelSelector
        self.assertGreaterEqual(box.findText(WANTED), 0)


class TaughtModelsTest(AnnotatingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.taught = Path(os.environ["MEDSAGA_TAUGHT"])
        leave_adapter(self.taught / "one", segments=("Segment 1",))
        leave_adapter(self.taught / "two", segments=("liver", "spleen/left lobe"))
        self.open_panel()
        self.annotator = self.logic.annotators.current

    def choose(self, name: str) -> None:
        folders = [adapter.folder.name for adapter in list_adapters(self.taught)]
        self.ui.taughtTable.clearSelection()
        self.ui.taughtTable.selectRow(folders.index(name))

    def answering(self) -> str | None:
        folder = self.annotator.taught("Segment 1")
        return None if folder is None else folder.name

    def test_one_is_chosen_for_a_segment_and_given_up_again(self) -> None:
        self.ui.taughtTable.clearSelection()
        self.assertIn("Click a taught model", self.ui.useTaughtButton.toolTip)
        self.choose("one")
        self.ui.useTaughtButton.click()
        self.assertEqual(self.answering(), "one")
        # The fake's "base" is the starter.
        self.assertEqual(self.annotator.model, "starter")
        self.look()
        self.assertIn("mine", self.ui.taughtStateLabel.text)
        self.ui.useBaseButton.click()
        self.assertIsNone(self.answering())

    def test_of_several_segments_that_it_knows_one_is_said(self) -> None:
        self.choose("two")
        self.assertTrue(self.ui.knownAsSelector.isEnabled())
        self.ui.knownAsSelector.setCurrentIndex(1)
        self.ui.useTaughtButton.click()
        self.assertEqual(self.answering(), "two")

    def test_a_name_is_edited_in_the_table(self) -> None:
        self.choose("one")
        row = self.ui.taughtTable.currentRow()
        self.ui.taughtTable.item(row, 0).setText("Leber, 3 Fälle")
        self.assertEqual(read_description(self.taught / "one").name, "Leber, 3 Fälle")
        self.ui.taughtTable.item(row, 0).setText("  ")
        self.assertIn("not empty", self.panel.desk.said)
        self.assertEqual(read_description(self.taught / "one").name, "Leber, 3 Fälle")

    def test_one_is_exported_and_imported_on_another_machine(self) -> None:
        away = Path(self.folder.name) / "a stick"
        away.mkdir()
        self.choose("one")
        with mock.patch("qt.QFileDialog.getExistingDirectory", return_value=str(away)):
            self.ui.exportTaughtButton.click()
        self.assertEqual(read_description(away / "one").segments, ("Segment 1",))
        with mock.patch("qt.QFileDialog.getExistingDirectory", return_value=str(away / "one")):
            self.ui.importTaughtButton.click()
        self.assertEqual(self.ui.taughtTable.rowCount, 3)
        with mock.patch("qt.QFileDialog.getExistingDirectory", return_value=str(away)):
            self.ui.importTaughtButton.click()
        self.assertIn("no taught model", self.panel.desk.said)

    def test_one_in_use_is_deleted_after_asking_and_the_segment_goes_back(self) -> None:
        self.choose("one")
        self.ui.useTaughtButton.click()
        self.look()
        self.choose("one")
        with mock.patch("slicer.util.confirmYesNoDisplay", return_value=False):
            self.ui.deleteTaughtButton.click()
        self.assertTrue((self.taught / "one").is_dir())
        self.ui.deleteTaughtButton.click()
        self.assertFalse((self.taught / "one").exists())
        self.assertIsNone(self.answering())
