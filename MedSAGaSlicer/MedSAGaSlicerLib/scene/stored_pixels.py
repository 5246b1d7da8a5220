"""Where pixels of images lie on this machine outside scenes: to be shown, and to be deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache, default_folder
from MedSAGaSlicerLib.engine.example_library import ExampleLibrary
from MedSAGaSlicerLib.scene.own_folders import delete_lessons, lessons_folder, taught_folder

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A folder with what comes from pixels: ``kind`` in words, and its bytes."""

    kind: str
    folder: Path
    size: int


def places() -> tuple[Place, ...]:
    """All of them: embeddings, examples of the library, and what lessons left."""
    library, lessons = ExampleLibrary(), lessons_folder(taught_folder())
    cache = EmbeddingCache(default_folder())
    return (
        Place("embeddings", default_folder(), cache.usage()["disk_bytes"]),
        Place("examples", library.folder, sum(entry.size for entry in library.entries())),
        Place("lessons", lessons, _size(lessons)),
    )


def delete_examples() -> int:
    """Delete the library of examples and what lessons left; the bytes freed.

    Embeddings are the worker's to delete, if there is one. Not while a lesson is given.
    """
    return ExampleLibrary().delete_all() + delete_lessons(taught_folder())


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
