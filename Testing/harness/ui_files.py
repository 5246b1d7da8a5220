"""Panels from .ui files, with the stand-ins for Slicer's widgets."""

from typing import Any
from xml.etree import ElementTree

from harness.widgets import SIGNALS, SLOTS, WIDGETS
from PySide6 import QtCore, QtUiTools, QtWidgets


class UiLoader(QtUiTools.QUiLoader):
    """Loads a .ui file as Slicer does, and connects what the file connects.

    A widget class that has no stand-in is refused. Signals with VTK's classes as arguments are
    unknown to PySide6, so the file's connections are made here.
    """

    def load(self, device: QtCore.QIODevice, parent: QtWidgets.QWidget | None = None) -> Any:
        tree = ElementTree.fromstring(bytes(device.readAll()))  # noqa: S314 - our own file
        for custom in tree.iter("customwidget"):
            self._register(custom)
        links = [link for links in tree.findall("connections") for link in links]
        for links_element in tree.findall("connections"):
            tree.remove(links_element)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        root = super().load(buffer, parent)
        if root is None:
            raise RuntimeError(self.errorString())
        for link in links:
            _connect(root, link)
        return root

    def _register(self, custom: ElementTree.Element) -> None:
        name = custom.findtext("class") or ""
        if name not in WIDGETS:
            msg = f"the harness has no stand-in for {name}; write one (Testing/harness/widgets.py)"
            raise NotImplementedError(msg)
        self.registerCustomWidget(WIDGETS[name])
        base = custom.find("extends")
        if base is not None:
            base.text = "QWidget"


def _connect(root: QtWidgets.QWidget, link: ElementTree.Element) -> None:
    sender, receiver = (_named(root, link.findtext(end)) for end in ("sender", "receiver"))
    signal = _member(sender, link.findtext("signal"), SIGNALS)
    signal.connect(_member(receiver, link.findtext("slot"), SLOTS))


def _named(root: QtWidgets.QWidget, name: str | None) -> QtWidgets.QWidget:
    return root if root.objectName == name else root.findChild(QtWidgets.QWidget, name)


def _member(widget: QtWidgets.QWidget, signature: str | None, known: dict[str, Any]) -> Any:
    name, _, arguments = (signature or "").rstrip(")").partition("(")
    kind = type(widget).__name__
    if known.get(kind, {}).get(name) != arguments:
        msg = f"{kind} has no {signature}"
        raise AttributeError(msg)
    return getattr(widget, name)
