"""Confirmed slices: two ways to confirm, and the row of pictures."""

import slicer
from annotating import AnnotatingTestCase

from MedSAGaSlicerLib.gui.focus import shown_views
from MedSAGaSlicerLib.scene.slices import SlicePosition, shown_slice
from MedSAGaSlicerLib.scene.volumes import grid_of


class GalleryTest(AnnotatingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.open_panel()
        self.annotator = self.logic.annotators.current

    def texts(self) -> list[str]:
        gallery = self.ui.galleryList
        return [gallery.item(row).text() for row in range(gallery.count)]

    def confirm(self, k: int) -> None:
        self.annotator.point("Segment 1", self.ras(40, 30, k))
        self.wait_for_masks()
        self.place_of(40, 30, k, "Red")
        self.look()
        self.ui.confirmButton.click()
        self.look()

    def choose(self, row: int) -> None:
        self.ui.galleryList.setCurrentRow(row)
        self.ui.galleryList.itemClicked.emit(self.ui.galleryList.item(row))

    def shown(self, name: str = "Red") -> SlicePosition:
        return shown_slice(self.slice_widget(name).mrmlSliceNode(), grid_of(self.volume))

    def test_confirmed_slices_are_shown_in_order_with_a_picture_and_counted(self) -> None:
        for k in (6, 3):
            self.confirm(k)
        self.assertEqual(self.texts(), ["k 3", "k 6"])
        self.assertFalse(self.ui.galleryList.item(0).icon().isNull())
        self.assertEqual(self.ui.galleryLabel.text, "Confirmed slices: 2 of 15")

    def test_a_slice_with_a_mask_and_an_empty_one_are_confirmed_by_buttons_of_their_own(
        self,
    ) -> None:
        self.annotator.point("Segment 1", self.ras(40, 30, 6))
        self.wait_for_masks()
        self.place_of(40, 30, 6, "Red")
        self.look()
        self.assertTrue(self.ui.confirmButton.isEnabled())
        self.assertIn("A segment is on slice k 6", self.ui.confirmEmptyButton.toolTip)
        self.place_of(40, 30, 8, "Red")
        self.look()
        self.assertIn("No segment is on slice k 8", self.ui.confirmButton.toolTip)
        self.ui.confirmEmptyButton.click()
        self.look()
        self.assertEqual(self.annotator.confirmed(), (SlicePosition("k", 8),))
        self.assertIn("1 of them empty", self.ui.galleryLabel.text)

    def test_a_click_on_a_picture_goes_to_the_slice(self) -> None:
        for k in (3, 6):
            self.confirm(k)
        self.choose(0)
        self.assertEqual(self.shown(), SlicePosition("k", 3))
        self.place_of(40, 30, 50, "Red")
        self.choose(1)
        self.assertEqual(self.shown(), SlicePosition("k", 6))

    def test_a_slice_of_an_axis_that_no_view_shows_says_so(self) -> None:
        self.confirm(3)
        for view in shown_views(slicer.mrmlScene):
            view.SetOrientation("Coronal")
        self.choose(0)
        self.look()
        self.assertIn("No slice view shows the axis k", self.ui.statusLabel.text)
        for view, name in zip(
            shown_views(slicer.mrmlScene), ("Axial", "Coronal", "Sagittal"), strict=True
        ):
            view.SetOrientation(name)

    def test_removing_from_the_confirmed_leaves_the_mask_and_can_be_undone(self) -> None:
        self.confirm(3)
        self.assertIn("Click one", self.ui.unconfirmButton.toolTip)
        self.choose(0)
        self.ui.unconfirmButton.click()
        self.look()
        self.assertEqual((self.texts(), self.annotator.confirmed()), ([], ()))
        self.assertTrue(self.mask(3).any())
        self.ui.undoButton.click()
        self.look()
        self.assertEqual(self.texts(), ["k 3"])

    def test_another_scene_has_a_gallery_of_its_own(self) -> None:
        self.confirm(3)
        slicer.mrmlScene.Clear()
        self.look()
        self.assertEqual(self.texts(), [])
        self.assertEqual(self.ui.galleryLabel.text, "Confirmed slices: 0 of 15")
