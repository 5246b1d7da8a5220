import errno
import json
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cached import BYTES, embedding, put

from MedSAGaSlicerLib.engine.embedding import Embedding
from MedSAGaSlicerLib.engine.embedding_cache import (
    SEAL_BYTES,
    EmbeddingCache,
)
from MedSAGaSlicerLib.engine.embedding_key import embedding_key


def assert_is(found: Embedding | None, number: int, encoder: str = "enc") -> None:
    wanted = embedding(number, encoder)
    assert found is not None
    assert (found.size, found.encoder) == (wanted.size, encoder)
    assert found.features.dtype == np.float16
    np.testing.assert_array_equal(found.features, wanted.features.astype(np.float16))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "embeddings"


@pytest.fixture
def cache(folder: Path) -> EmbeddingCache:
    return EmbeddingCache(folder)


def the_file(folder: Path) -> Path:
    (path,) = folder.glob("*.npy")
    return path


def test_what_was_put_is_found_by_the_next_process_too(cache: EmbeddingCache, folder: Path) -> None:
    put(cache, "a", 1)
    for found in (cache.get("a", "enc"), EmbeddingCache(folder).get("a", "enc")):
        assert_is(found, 1)
        with pytest.raises(ValueError, match="read-only"):
            found.features[0, 0, 0] = 0


def test_a_file_is_mapped_and_readable_as_plain_npy(cache: EmbeddingCache, folder: Path) -> None:
    put(cache, "a", 1)
    plain = np.load(the_file(folder), allow_pickle=False)
    np.testing.assert_array_equal(plain, embedding(1).features.astype(np.float16))
    found = EmbeddingCache(folder).get("a", "enc")
    assert isinstance(found.features, np.memmap)


def test_another_encoder_never_gets_it(cache: EmbeddingCache) -> None:
    put(cache, "a", 1, "enc")
    put(cache, "a", 2, "other")
    assert cache.get("a", "third") is None
    assert not cache.contains("a", "third")
    assert_is(cache.get("a", "enc"), 1, "enc")
    assert_is(cache.get("a", "other"), 2, "other")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def cut_before_the_seal(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-SEAL_BYTES])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(3).bytes(5000))


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def flip_a_feature(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)


def flip_in_the_seal(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-SEAL_BYTES + 12] ^= 1
    path.write_bytes(content)


def bad_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"features": [1, 2, 3]}))


def of_another_slice(path: Path) -> None:
    other = EmbeddingCache(path.parent)
    put(other, "another", 2)
    (source,) = (file for file in path.parent.glob("*.npy") if file != path)
    source.replace(path)


def seal_that_is_a_list(path: Path) -> None:
    content = path.read_bytes()[:-SEAL_BYTES]
    path.write_bytes(content + json.dumps([1, 2]).encode().ljust(SEAL_BYTES))


def seal_from_before_there_were_looks(path: Path) -> None:
    content = path.read_bytes()
    seal = json.loads(content[-SEAL_BYTES:])
    del seal["look"]
    path.write_bytes(content[:-SEAL_BYTES] + json.dumps(seal).encode().ljust(SEAL_BYTES))


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        cut_before_the_seal,
        empty,
        garbage,
        zeros,
        flip_a_feature,
        flip_in_the_seal,
        bad_pickle,
        of_another_slice,
        seal_that_is_a_list,
        seal_from_before_there_were_looks,
    ],
)
def test_a_damaged_file_is_never_trusted_and_made_anew(
    cache: EmbeddingCache, folder: Path, damage: Callable[[Path], None]
) -> None:
    put(cache, "a", 1)
    damage(the_file(folder))
    fresh = EmbeddingCache(folder)
    assert fresh.get("a", "enc") is None
    assert not fresh.contains("a", "enc")
    put(fresh, "a", 1)
    assert_is(EmbeddingCache(folder).get("a", "enc"), 1)


def test_memory_holds_the_last_used_within_its_bytes(folder: Path) -> None:
    cache = EmbeddingCache(None, ram_bytes=3 * BYTES)
    for number, key in enumerate("abc"):
        put(cache, key, number)
    cache.get("a", "enc")
    put(cache, "d", 3)
    assert [key for key in "abcd" if cache.get(key, "enc")] == ["a", "c", "d"]
    assert cache.usage()["ram_bytes"] == 3 * BYTES
    assert not folder.exists()


def test_the_newest_stays_in_memory_even_if_it_is_too_big() -> None:
    cache = EmbeddingCache(None, ram_bytes=10)
    put(cache, "a", 1)
    put(cache, "b", 2)
    assert cache.get("a", "enc") is None
    assert_is(cache.get("b", "enc"), 2)


def test_putting_the_same_again_takes_no_more_memory(cache: EmbeddingCache) -> None:
    put(cache, "a", 1)
    put(cache, "a", 1)
    assert cache.usage()["ram_bytes"] == BYTES
    assert cache.usage()["ram_entries"] == cache.usage()["disk_entries"] == 1


def test_the_disk_holds_the_last_used_within_its_bytes(folder: Path) -> None:
    limit = 10 * (BYTES + 1000)
    cache = EmbeddingCache(folder, ram_bytes=1, disk_bytes=limit)
    start = time.time() - 1000
    for number in range(10):
        put(cache, str(number), number)
        os.utime(folder / f"{embedding_key(str(number), 'enc')}.npy", (start, start + number))
    cache.get("0", "enc")
    for number in range(10, 16):
        put(cache, str(number), number)
        assert cache.usage()["disk_bytes"] <= limit
    assert cache.contains("0", "enc")
    assert cache.contains("15", "enc")
    assert not cache.contains("1", "enc")


def test_a_full_disk_is_told_and_memory_goes_on(
    cache: EmbeddingCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", write_half)
        put(cache, "a", 1)
    assert "No space left" in cache.problem
    assert str(folder) in cache.problem
    assert_is(cache.get("a", "enc"), 1)
    assert list(folder.iterdir()) == []
    put(cache, "b", 2)
    assert cache.problem is None
    assert EmbeddingCache(folder).contains("b", "enc")


def test_a_folder_that_cannot_be_made_is_told_and_memory_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = EmbeddingCache(tmp_path / "file" / "embeddings")
    put(cache, "a", 1)
    assert cache.problem is not None
    assert_is(cache.get("a", "enc"), 1)


def test_a_folder_that_somebody_deleted_is_made_anew(cache: EmbeddingCache, folder: Path) -> None:
    put(cache, "a", 1)
    the_file(folder).unlink()
    folder.rmdir()
    assert EmbeddingCache(folder).get("a", "enc") is None
    put(cache, "b", 2)
    assert_is(EmbeddingCache(folder).get("b", "enc"), 2)
