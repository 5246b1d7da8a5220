"""Where taught models and lessons under way lie on this machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from MedSAGaSlicerLib.engine.example_library import FOLDER_VARIABLE as EXAMPLES_VARIABLE
from MedSAGaSlicerLib.engine.example_library import default_library

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER_VARIABLE: Final = "MEDSAGA_TAUGHT"


def taught_folder(
    environment: Mapping[str, str] = os.environ, platform: str = sys.platform
) -> Path:
    """The folder that MEDSAGA_TAUGHT names, otherwise one among the person's own data."""
    if environment.get(FOLDER_VARIABLE):
        return Path(environment[FOLDER_VARIABLE]).expanduser()
    beside = {name: value for name, value in environment.items() if name != EXAMPLES_VARIABLE}
    return default_library(beside, platform).parent / "Taught"


def lessons_folder(taught: Path) -> Path:
    """Where lessons keep their examples and their state until they have ended."""
    return taught / ".lessons"


def delete_lessons(taught: Path) -> int:
    """Delete what lessons that were stopped have left, pixels too; returns the bytes freed.

    Not to be called while a lesson is given.
    """
    folder = lessons_folder(taught)
    freed = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    shutil.rmtree(folder, ignore_errors=True)
    return freed
