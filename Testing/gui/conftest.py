"""The panel's tests outside Slicer: each file of them gets a stand-in for the application."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent

if not all(importlib.util.find_spec(name) for name in ("slicer", "PySide6")):
    # The extras "scene" and "gui" are not installed.
    collect_ignore_glob = ["*"]
else:
    sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]

    from harness import pythonqt, scripted_module
    from harness.desktop import Desktop
    from harness.widgets import WIDGETS

    # The tests' files import it, as they do in Slicer.
    pythonqt.install(WIDGETS)
    scripted_module.install()

    @pytest.fixture(autouse=True, scope="module")
    def desktop() -> Iterator[Desktop]:
        desktop = Desktop()
        yield desktop
        desktop.close()
        assert desktop.errors.take() == []

    @pytest.fixture(autouse=True)
    def _no_exception_is_lost(desktop: Desktop) -> Iterator[None]:
        yield
        assert desktop.errors.take() == []
