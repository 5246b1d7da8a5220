"""What Slicer finds by name in the module file and the panel's .ui, checked without Slicer."""

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest


@pytest.fixture(scope="module")
def source(checkout: Path) -> str:
    return (checkout / "MedSAGaSlicer/MedSAGaSlicer.py").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def panel(checkout: Path) -> ElementTree.Element:
    path = checkout / "MedSAGaSlicer/Resources/UI/MedSAGaSlicer.ui"
    return ElementTree.parse(path).getroot()  # noqa: S314 - our own file


def test_slicer_finds_its_four_classes(source: str) -> None:
    classes = [node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    suffixes = ["", "Widget", "Logic", "Test"]
    assert classes == [f"MedSAGaSlicer{suffix}" for suffix in suffixes]


def test_the_module_file_stays_without_decisions(source: str) -> None:
    assert len(source.splitlines()) <= 150


def test_slicers_start_does_not_import_the_library(source: str) -> None:
    statements = [node for node in ast.parse(source).body if "Import" in type(node).__name__]
    assert statements
    assert not any("MedSAGaSlicerLib" in ast.unparse(node) for node in statements)


def test_every_widget_that_the_code_names_is_in_the_panel(
    checkout: Path, panel: ElementTree.Element
) -> None:
    files = (checkout / "MedSAGaSlicer/Resources/UI").glob("*.ui")
    roots = [panel, *(ElementTree.parse(path).getroot() for path in files)]  # noqa: S314 - our own
    present = {element.get("name") for root in roots for element in root.iter()}
    gui = checkout / "MedSAGaSlicer" / "MedSAGaSlicerLib" / "gui"
    code = "\n".join(path.read_text(encoding="utf-8") for path in gui.rglob("*.py"))
    named = set(re.findall(r"\bself\.ui\.(\w+)", code))
    assert named
    assert named <= present


def test_every_scene_widget_of_the_panel_is_given_the_scene(panel: ElementTree.Element) -> None:
    (top,) = panel.findall("widget")
    assert (top.get("class"), top.get("name")) == ("qMRMLWidget", "MedSAGaSlicer")
    needing = {
        element.get("name")
        for element in panel.iter("widget")
        if element is not top and (element.get("class") or "").startswith(("qMRML", "qSlicer"))
    }
    connected = {
        connection.findtext("receiver")
        for connection in panel.iter("connection")
        if connection.findtext("signal") == "mrmlSceneChanged(vtkMRMLScene*)"
    }
    assert needing == connected


def test_every_control_of_the_panel_explains_itself(checkout: Path) -> None:
    files = (checkout / "MedSAGaSlicer/Resources/UI").glob("*.ui")
    roots = [ElementTree.parse(path).getroot() for path in files]  # noqa: S314 - our own
    controls = re.compile(r"Q\w*(Button|Box|Slider|Edit|Table)\w*|ctk(Slider|Path|Range)\w*")
    silent = [
        element.get("name")
        for root in roots
        for element in root.iter("widget")
        if controls.fullmatch(element.get("class") or "")
        and not any(child.get("name") == "toolTip" for child in element.findall("property"))
    ]
    assert not silent
