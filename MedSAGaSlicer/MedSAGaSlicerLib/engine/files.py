"""Writing files so that a killed run leaves no half of one."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from MedSAGaSlicerLib.errors import InputError


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block succeeds.

    The block may create a file or a folder there. The temporary name keeps every suffix of
    ``path``, because writers choose their format by it, and is removed if the block fails.
    A file replaces an existing file; a folder replaces an existing folder.

    Raises:
        InputError: the folder of ``path`` does not exist or cannot be written.
        OSError: the finished file cannot be moved into place.
    """
    target = Path(path)
    check_writable(target)
    temporary = target.with_name(f".{secrets.token_hex(4)}.part.{target.name}")
    try:
        yield temporary
        _replace(temporary, target)
    finally:
        _remove(temporary)


def copy_file(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Copy a file to a place whose folder may be missing, whole or not at all.

    Raises:
        InputError: it cannot be read, or the place cannot be written.
    """
    try:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
    except OSError as error:
        msg = f"{source} cannot be copied to {target}: {error.strerror or error}."
        raise InputError(msg) from error


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse an output path before any work is spent on it.

    Raises:
        InputError: the folder of ``path`` is missing, is no folder, or cannot be written.
    """
    target = Path(path)
    folder = target.parent
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        msg = f"Cannot write {target}: {folder} {problem}. Create the folder or name another."
        raise InputError(msg)
    probe = folder / f".{secrets.token_hex(4)}.part"
    try:
        # os.access lies for root, network drives and Windows: only writing tells.
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        msg = f"Cannot write {target}: {error.strerror or error}. Choose a folder you may write to."
        raise InputError(msg) from error


def _replace(temporary: Path, target: Path) -> None:
    if not (temporary.is_dir() and target.is_dir()):
        temporary.replace(target)
        return
    # A folder cannot be renamed over a filled one: step the old one aside first.
    old = target.with_name(f".{secrets.token_hex(4)}.old.{target.name}")
    target.rename(old)
    try:
        temporary.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
