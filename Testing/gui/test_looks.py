"""How the panel looks: nothing is cut off where it is narrow, and everything can be read."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from harness.desktop import Desktop
from harness.workplace import Workplace
from PySide6 import QtWidgets

NARROW = 300
HEADLINES = ("slices", "correct", "teach", "finish", "models", "storage")


@pytest.fixture
def workplace(desktop: Desktop) -> Iterator[Workplace]:
    """As narrow as Slicer lets the panel be, with every section open."""
    workplace = Workplace(desktop, panel_width=NARROW)
    for name in HEADLINES:
        getattr(workplace.ui, f"{name}CollapsibleButton").collapsed = False
    desktop.app.processEvents()
    yield workplace
    workplace.close()


def test_the_panel_fits_into_a_narrow_column_with_its_scroll_bar(workplace: Workplace) -> None:
    panel = workplace.module.parent
    assert panel.minimumSizeHint.width() <= workplace.column.viewport().width


def test_the_models_can_be_seen_without_scrolling(workplace: Workplace) -> None:
    table = workplace.ui.modelsTable
    bars = table.horizontalScrollBar(), table.verticalScrollBar()
    assert [bar.isVisible() for bar in bars] == [False, False]


def test_a_long_name_does_not_widen_the_panel(workplace: Workplace) -> None:
    panel = workplace.module.parent
    before = panel.minimumSizeHint.width()
    ui = workplace.ui
    segmentation = ui.segmentationSelector.addNode()
    segmentation.SetName("201: CT abdomen and pelvis without contrast, 5.0 mm, B30f " * 3)
    for selector in (ui.modelSelector, ui.knownAsSelector, ui.methodSelector):
        selector.addItem("a very long name of a model or a segment, " * 5)
    workplace.desktop.app.processEvents()
    assert panel.minimumSizeHint.width() == before


def test_every_label_that_may_be_long_goes_on_in_the_next_line(checkout: Path) -> None:
    files = (checkout / "MedSAGaSlicer/Resources/UI").glob("*.ui")
    trees = [ElementTree.parse(path) for path in files]  # noqa: S314 - our own files
    labels = [
        label
        for tree in trees
        for label in tree.iter("widget")
        # What stands beside a control is as long as it is; what is filled by the code may grow.
        if label.get("class") == "QLabel" and not label.findtext("property[@name='text']/string")
    ]
    wrapped = {x.get("name") for x in labels if x.find("property[@name='wordWrap']") is not None}
    pictures_and_badges = {"curveLabel", "modelStateLabel"}
    assert {x.get("name") for x in labels} - wrapped == pictures_and_badges


def test_no_text_of_a_button_is_cut_off(workplace: Workplace) -> None:
    buttons = workplace.module.parent.findChildren(QtWidgets.QPushButton)
    assert buttons
    # The longest of those that change.
    workplace.ui.confirmButton.setText("Unc&onfirm k 1234")
    workplace.desktop.app.processEvents()
    for button in buttons:
        if button.isVisible():
            text = button.fontMetrics().horizontalAdvance(button.text.replace("&", ""))
            assert text <= button.width - 4, button.objectName
