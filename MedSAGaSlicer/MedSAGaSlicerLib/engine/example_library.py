"""The library of examples from earlier scenes: what lies there is listed, and can be deleted."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from MedSAGaSlicerLib.engine.example_file import INDEX_FILE, read_examples, read_index
from MedSAGaSlicerLib.engine.example_file import write_examples as write_folder
from MedSAGaSlicerLib.engine.examples import ExampleSet
from MedSAGaSlicerLib.errors import InputError

FOLDER_VARIABLE: Final = "MEDSAGA_EXAMPLES"
_NAME: Final = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")


@dataclass(frozen=True)
class LibraryEntry:
    """Examples of one scene.

    Attributes:
        name: of its folder; says when it was added.
        segments: what they show, in order.
        slices: how many there are.
        size: bytes on disk.
        problem: why it cannot be read, None if it can.
    """

    name: str
    segments: tuple[str, ...]
    slices: int
    size: int
    problem: str | None = None


def default_library(
    environment: Mapping[str, str] = os.environ, platform: str = sys.platform
) -> Path:
    """The folder that MEDSAGA_EXAMPLES names, otherwise one among the person's own data.

    Not in a cache: what a person drew must not be swept away.
    """
    if environment.get(FOLDER_VARIABLE):
        return Path(environment[FOLDER_VARIABLE]).expanduser()
    home = Path.home()
    if platform == "win32":
        own = Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif platform == "darwin":
        own = home / "Library" / "Application Support"
    else:
        own = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    return own / "MedSAGaSlicer" / "Examples"


class ExampleLibrary:
    """The examples in one folder; pixels lie there, readable by this person alone."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use a folder, by default `default_library()`; it is made when something is added."""
        self.folder = default_library() if folder is None else Path(folder)

    def add(self, examples: ExampleSet) -> str:
        """Put the examples of a scene there; returns their name.

        Raises:
            InputError: the folder cannot be written.
            OSError: the disk is full; nothing half written stays.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            msg = f"Cannot make the folder of examples {self.folder}: {error.strerror or error}."
            raise InputError(msg) from error
        now = datetime.now(timezone.utc)
        name = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
        write_folder(self.folder / name, examples)
        return name

    def entries(self) -> tuple[LibraryEntry, ...]:
        """All that lies there, the newest first; what is damaged is listed with the reason."""
        return tuple(self._entry(path) for path in reversed(self._folders()))

    def read(self, name: str) -> ExampleSet:
        """The examples of that name.

        Raises:
            InputError: there are none, or they are damaged.
        """
        return read_examples(self._path(name))

    def delete(self, name: str) -> int:
        """Delete the examples of that name; returns the bytes freed.

        Raises:
            InputError: there are none.
        """
        path = self._path(name)
        freed = _size(path)
        shutil.rmtree(path)
        return freed

    def delete_all(self) -> int:
        """Delete all examples, the damaged ones too; returns the bytes freed."""
        return sum(self.delete(path.name) for path in self._folders())

    def _folders(self) -> list[Path]:
        # Only what was put here: a library folder may be shared with other things.
        if not self.folder.is_dir():
            return []
        return sorted(p for p in self.folder.iterdir() if _NAME.fullmatch(p.name) and p.is_dir())

    def _path(self, name: str) -> Path:
        path = self.folder / name
        if not _NAME.fullmatch(name) or not path.is_dir():
            msg = f"There are no examples {name!r} in {self.folder}. List them to see what is."
            raise InputError(msg)
        return path

    @staticmethod
    def _entry(path: Path) -> LibraryEntry:
        size = _size(path)
        try:
            content = read_index(path)
            segments = tuple(str(name) for name in content["segments"])
            return LibraryEntry(path.name, segments, len(content["slices"]), size)
        except InputError as error:
            return LibraryEntry(path.name, (), 0, size, str(error))
        except (KeyError, TypeError) as error:
            problem = f"{path / INDEX_FILE} is damaged ({error!r})."
            return LibraryEntry(path.name, (), 0, size, problem)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
