"""Embeddings kept in memory and on disk, so that no slice is encoded twice.

On disk an embedding is one ``.npy`` file of float16, named by ``embedding_key``, with the slice's
look and a seal of ``SEAL_BYTES`` after the array (which readers of .npy ignore): key, sizes of
slice and look, and a checksum of everything before it. Files appear by renaming and are never
changed, so several processes may share a folder; one that is damaged in any way is deleted and
counts as absent.
"""

import io
import json
import os
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.embedding_key import embedding_key
from MedSAGaSlicerLib.engine.files import atomic_path
from MedSAGaSlicerLib.engine.registry import FOLDER_VARIABLE as MODEL_FOLDER_VARIABLE
from MedSAGaSlicerLib.engine.registry import model_folder
from MedSAGaSlicerLib.errors import InputError

FOLDER_VARIABLE = "MEDSAGA_CACHE"
SEAL_BYTES = 256
STALE_SECONDS = 3600.0


def default_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder that MEDSAGA_CACHE names, otherwise one in the person's cache."""
    if environment.get(FOLDER_VARIABLE):
        return Path(environment[FOLDER_VARIABLE]).expanduser()
    beside = {name: value for name, value in environment.items() if name != MODEL_FOLDER_VARIABLE}
    return model_folder(beside).parent / "Embeddings"


class EmbeddingCache:
    """Least recently used embeddings go first, from memory and from disk. Thread-safe.

    What was put can be had again at once; only ``ram_bytes`` and ``disk_bytes`` limit for how
    long. Trouble with the disk is no error: ``problem`` tells it, memory goes on.
    """

    def __init__(
        self, folder: Path | None, *, ram_bytes: int = 1 << 30, disk_bytes: int = 8 << 30
    ) -> None:
        """Use ``folder``, created when missing; None or ``disk_bytes`` 0 means memory only."""
        self.folder = folder if disk_bytes > 0 else None
        self.problem: str | None = None
        self._ram_bytes = ram_bytes
        self._disk = None if self.folder is None else _Folder(self.folder, disk_bytes)
        self._entries: OrderedDict[str, Embedding] = OrderedDict()
        self._used = 0
        self._lock = threading.Lock()

    def contains(self, slice_key: str, encoder: str) -> bool:
        """Whether ``get`` will most likely find it: a file is not opened to tell."""
        name = embedding_key(slice_key, encoder)
        with self._lock:
            if name in self._entries:
                return True
        return self._disk is not None and self._disk.path(name).is_file()

    def get(self, slice_key: str, encoder: str) -> Embedding | None:
        """Find an embedding; its features are read-only, float16, perhaps mapped from a file."""
        name = embedding_key(slice_key, encoder)
        with self._lock:
            found = self._entries.get(name)
            if found is not None:
                self._entries.move_to_end(name)
                return found
        stored = None if self._disk is None else self._disk.read(name)
        if stored is None:
            return None
        features, size, look = stored
        return self._keep(name, Embedding(features, size, encoder, look))

    def keep(self, slice_key: str, embedding: Embedding) -> Embedding:
        """Put into memory, and return what ``get`` will return: rounded to float16."""
        features = np.ascontiguousarray(embedding.features, np.float16)
        features.flags.writeable = False
        name = embedding_key(slice_key, embedding.encoder)
        return self._keep(name, replace(embedding, features=features))

    def store(self, slice_key: str, embedding: Embedding) -> None:
        """Write what ``keep`` returned to disk, or set ``problem`` if that cannot be done."""
        if self._disk is None:
            return
        try:
            self._disk.write(embedding_key(slice_key, embedding.encoder), embedding)
        except (OSError, InputError) as error:
            self.problem = (
                f"Embeddings cannot be written to {self.folder} ({error}). They are kept in "
                "memory only: free some space, or choose another folder in the settings."
            )
        else:
            self.problem = None

    def clear(self) -> None:
        """Delete every embedding, of all models, from memory and from disk."""
        with self._lock:
            self._entries.clear()
            self._used = 0
        if self._disk is not None:
            self._disk.clear()

    def usage(self) -> dict[str, int]:
        """Count entries and bytes in memory and on disk."""
        files, size = (0, 0) if self._disk is None else self._disk.usage()
        with self._lock:
            entries, used = len(self._entries), self._used
        return {
            "ram_entries": entries,
            "ram_bytes": used,
            "disk_entries": files,
            "disk_bytes": size,
        }

    def _keep(self, name: str, embedding: Embedding) -> Embedding:
        with self._lock:
            former = self._entries.pop(name, None)
            self._used += _bytes_of(embedding) - (_bytes_of(former) if former else 0)
            self._entries[name] = embedding
            # The newest stays whatever its size: a caller is about to use it.
            while self._used > self._ram_bytes and len(self._entries) > 1:
                self._used -= _bytes_of(self._entries.popitem(last=False)[1])
        return embedding


_Content = tuple[npt.NDArray[np.float16], tuple[int, int], npt.NDArray[np.uint8] | None]
"""Features, size and look of an embedding."""


def _bytes_of(embedding: Embedding) -> int:
    return embedding.features.nbytes + (0 if embedding.look is None else embedding.look.nbytes)


class _Folder:
    """The files of one cache folder, within a number of bytes."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._estimate = 0
        self._writes_until_count = 0
        self._remove_leftovers()

    def path(self, name: str) -> Path:
        return self._folder / f"{name}.npy"

    def read(self, name: str) -> _Content | None:
        path = self.path(name)
        try:
            raw = np.memmap(path, np.uint8, mode="r")
            content = _unseal(raw, name)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)
        return content

    def write(self, name: str, embedding: Embedding) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = _seal(name, embedding)
        with atomic_path(self.path(name)) as temporary:
            temporary.write_bytes(content)
        self._estimate += len(content)
        self._writes_until_count -= 1
        # Other processes write too: count anew from time to time, not only when we filled it.
        if self._estimate > self._limit_bytes or self._writes_until_count < 0:
            self._trim()

    def usage(self) -> tuple[int, int]:
        sizes = [size for _, size, _ in self._files()]
        return len(sizes), sum(sizes)

    def clear(self) -> None:
        for _, _, path in self._files():
            with suppress(OSError):
                path.unlink()

    def _trim(self) -> None:
        files = sorted(self._files())
        self._estimate = sum(size for _, size, _ in files)
        self._writes_until_count = 64
        if self._estimate <= self._limit_bytes:
            return
        # Down to nine tenths, lest every further write counts the folder; never the newest file.
        for _, size, path in files[:-1]:
            if self._estimate <= self._limit_bytes * 0.9:
                break
            with suppress(OSError):
                path.unlink()
                self._estimate -= size

    def _files(self) -> list[tuple[float, int, Path]]:
        found = []
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(".npy") and not entry.name.startswith("."):
                    # Another process may delete it meanwhile.
                    with suppress(FileNotFoundError):
                        status = entry.stat()
                        found.append((status.st_mtime, status.st_size, Path(entry.path)))
        return found

    def _remove_leftovers(self) -> None:
        """Delete what killed processes left half written."""
        for path in self._folder.glob(".*.part*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    path.unlink()


def _seal(name: str, embedding: Embedding) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, embedding.features, version=(1, 0), allow_pickle=False)
    look = embedding.look
    shape = (0, 0) if look is None else look.shape
    file.write(b"" if look is None else look.tobytes())
    crc32 = zlib.crc32(file.getbuffer())
    seal = {"key": name, "size": embedding.size, "look": shape, "crc32": crc32}
    file.write(json.dumps(seal).encode().ljust(SEAL_BYTES))
    return file.getvalue()


def _unseal(raw: npt.NDArray[np.uint8], name: str) -> _Content:
    """Check first, then understand; raises ValueError, KeyError or TypeError for what is wrong."""
    array, seal = raw[:-SEAL_BYTES], json.loads(bytes(raw[-SEAL_BYTES:]))
    if seal["key"] != name or seal["crc32"] != zlib.crc32(array.data):
        msg = f"{name} is damaged"
        raise ValueError(msg)
    start = io.BytesIO(bytes(array[:1024]))
    np.lib.format.read_magic(start)
    shape, _, dtype = np.lib.format.read_array_header_1_0(start)
    (rows, columns), (look_rows, look_columns) = seal["size"], seal["look"]
    end = len(array) - look_rows * look_columns
    features = array[start.tell() : end].view(dtype).reshape(shape)
    look = array[end:].reshape(look_rows, look_columns) if end < len(array) else None
    return features, (int(rows), int(columns)), look
