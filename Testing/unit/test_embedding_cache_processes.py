import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cached import BYTES, put

from MedSAGaSlicerLib.engine.embedding_cache import (
    EmbeddingCache,
    default_folder,
)
from MedSAGaSlicerLib.engine.embedding_key import slice_key
from MedSAGaSlicerLib.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "embeddings"


@pytest.fixture
def cache(folder: Path) -> EmbeddingCache:
    return EmbeddingCache(folder)


def test_what_a_killed_process_left_is_removed_but_not_what_one_is_writing(folder: Path) -> None:
    folder.mkdir(parents=True)
    left, being_written = folder / ".ab12.part.x.npy", folder / ".cd34.part.y.npy"
    left.write_bytes(b"half")
    being_written.write_bytes(b"half")
    os.utime(left, (0, 0))
    cache = EmbeddingCache(folder)
    assert not left.exists()
    assert being_written.exists()
    assert cache.usage()["disk_entries"] == 0


def test_delete_all_deletes_every_model_s_embeddings_and_nothing_else(
    cache: EmbeddingCache, folder: Path
) -> None:
    put(cache, "a", 1)
    put(cache, "b", 2, "other")
    (folder / "notes.txt").write_text("mine")
    cache.clear()
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert cache.get("a", "enc") is None
    assert set(cache.usage().values()) == {0}


def test_without_disk_nothing_is_written(folder: Path) -> None:
    cache = EmbeddingCache(folder, disk_bytes=0)
    put(cache, "a", 1)
    assert cache.folder is None
    assert not folder.exists()


TWO_PROCESSES = """
import sys
from pathlib import Path
import numpy as np
from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.embedding_cache import EmbeddingCache

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
cache = EmbeddingCache(folder, ram_bytes=1, disk_bytes=12 * 5000)
order = np.random.default_rng(seed)
found = 0
for _ in range(400):
    number = int(order.integers(20))
    features = np.full((8, 16, 16), number, np.float32)
    got = cache.get(str(number), "enc")
    if got is None:
        entry = cache.keep(str(number), Embedding(features, (number, 1), "enc"))
        cache.store(str(number), entry)
    else:
        found += 1
        assert (got.features == number).all() and got.size == (number, 1), number
    if order.random() < 0.01:
        cache.clear()
    assert cache.problem is None, cache.problem
print(found)
"""


def test_two_processes_share_a_folder_and_never_see_a_wrong_embedding(
    folder: Path, checkout: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(checkout / "MedSAGaSlicer")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TWO_PROCESSES, str(folder), seed],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in "12"
    ]
    answers = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert all(int(found) > 0 for found in answers)
    assert list(folder.glob(".*.part*")) == []


def test_a_slice_s_key_is_its_shape_and_bytes_alone() -> None:
    volume = np.random.default_rng(0).integers(0, 255, (6, 6, 6), dtype=np.uint8)
    across = volume[:, 2, :]
    assert slice_key(across) == slice_key(across.copy())
    assert slice_key(across) != slice_key(np.ascontiguousarray(across.T))
    assert slice_key(across.reshape(4, 9)) != slice_key(across.reshape(9, 4))
    edited = across.copy()
    edited[3, 3] ^= 1
    assert slice_key(edited) != slice_key(across)
    with pytest.raises(InputError):
        slice_key(across.astype(np.float32))


def test_the_folder_is_the_person_s_choice_or_in_the_cache() -> None:
    assert default_folder({"MEDSAGA_CACHE": "/big/disk"}) == Path("/big/disk")
    chosen = default_folder({"XDG_CACHE_HOME": "/c", "MEDSAGA_MODELS": "/somewhere/models"})
    assert chosen.name == "Embeddings"
    assert Path("/somewhere") not in chosen.parents


def test_the_limit_counts_what_other_processes_wrote(folder: Path) -> None:
    for number in range(20):
        put(EmbeddingCache(folder), str(number), number)
    limit = 5 * (BYTES + 1000)
    limited = EmbeddingCache(folder, disk_bytes=limit)
    put(limited, "one more", 1)
    assert limited.usage()["disk_bytes"] <= limit
    assert limited.contains("one more", "enc")
