"""Downloading registered models: over https only, resumable, checked before they get their name.

Nothing here runs unless a person asked for it.
"""

from __future__ import annotations

import http.client
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from MedSAGaSlicerLib.engine.registry import ModelEntry, digest, path_of
from MedSAGaSlicerLib.errors import DownloadError, InputError

Progress = Callable[[int, "int | None"], None]
Stop = Callable[[], bool]

_CHUNK = 1 << 18
_TIMEOUT_S = 30
_WHOLE, _PART, _BEYOND_THE_END = 200, 206, 416
_NETWORK_ERRORS = (OSError, http.client.HTTPException)


@dataclass
class Answer:
    """What a server sends: the status, where in the file it starts, how much is left, the bytes.

    Attributes:
        status: of HTTP.
        start: offset of the first byte sent.
        length: number of bytes announced, None if not.
        chunks: the bytes; may raise OSError or http.client.HTTPException when the line breaks.
        close: gives the connection back.
    """

    status: int
    start: int
    length: int | None
    chunks: Iterator[bytes]
    close: Callable[[], None]


class Transport(Protocol):
    """Fetches an address from an offset; errors of the network are OSError or HTTPException."""

    def __call__(self, url: str, start: int) -> Answer:
        """Ask for the bytes of `url` from `start` on."""


def fetch_https(url: str, start: int) -> Answer:
    """The transport over the network; follows redirections as long as they stay https."""
    _refuse_plain(url)
    request = urllib.request.Request(url, headers={"User-Agent": "MedSAGaSlicer"})  # noqa: S310  # https only, see the line above
    if start:
        request.add_header("Range", f"bytes={start}-")
    opener = urllib.request.build_opener(_HttpsRedirections)
    return answer_of(opener, request)


def answer_of(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> Answer:
    """Send a request and read the head of the answer."""
    try:
        response = opener.open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        return Answer(error.code, 0, None, iter(()), error.close)
    start = 0
    if response.status == _PART:
        # "bytes 100-199/200"
        span = str(response.headers.get("Content-Range", "")).removeprefix("bytes ")
        start = int(span.split("-")[0]) if span.split("-")[0].isdecimal() else -1
    announced = str(response.headers.get("Content-Length", ""))
    length = int(announced) if announced.isdecimal() else None
    return Answer(response.status, start, length, _pieces(response), response.close)


def download(
    entry: ModelEntry,
    folder: Path,
    progress: Progress | None = None,
    stop: Stop | None = None,
    transport: Transport = fetch_https,
) -> Path | None:
    """Download a model into a folder, going on from where an earlier attempt ended.

    The bytes gather in a file ending in `.part`; only when its hash is the pinned one does it get
    the model's name.

    Args:
        entry: of the registry, with an address and a pinned hash.
        folder: made if missing.
        progress: called with the bytes so far and in all (None if unknown), at most once a quarter
            megabyte.
        stop: asked as often; when it says so the download ends, and what came is kept.
        transport: the network; tests bring their own.

    Returns:
        The file, or None if it was stopped.

    Raises:
        InputError: the entry cannot be downloaded.
        DownloadError: the connection failed or broke (what came is kept), the disk is full or may
            not be written, or the file has another hash (it is removed).
    """
    if entry.url is None or entry.pin is None:
        msg = (
            f"{entry.name} cannot be downloaded here, because its authors publish no checked file: "
            f"get it from {entry.source} and put it at {path_of(entry, folder)}"
        )
        raise InputError(msg)
    _refuse_plain(entry.url)
    target = path_of(entry, folder)
    if target.is_file() and digest(target, entry.pin.algorithm) == entry.pin.digest:
        return target
    part = _part_of(target)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        complete = _Fetch(entry, part, progress, stop, transport).run()
    except PermissionError as error:
        msg = f"{folder} may not be written; choose another folder with MEDSAGA_MODELS"
        raise DownloadError(msg) from error
    if not complete:
        return None
    _verify(entry, part)
    part.replace(target)
    return target


def delete(entry: ModelEntry, folder: Path) -> int:
    """Delete a downloaded model and what an unfinished download left of it.

    Returns:
        The bytes that were freed.

    Raises:
        InputError: the model comes with the library.
    """
    if entry.shipped:
        msg = f"{entry.name} comes with MedSAGaSlicer and cannot be deleted"
        raise InputError(msg)
    target = path_of(entry, folder)
    freed = 0
    for path in (target, _part_of(target)):
        if path.is_file():
            freed += path.stat().st_size
            path.unlink()
    return freed


class _Fetch:
    """One attempt at a download."""

    def __init__(
        self,
        entry: ModelEntry,
        part: Path,
        progress: Progress | None,
        stop: Stop | None,
        transport: Transport,
    ) -> None:
        self._entry = entry
        self._url = str(entry.url)
        self._part = part
        self._progress = progress or (lambda done, total: None)
        self._stop = stop or (lambda: False)
        self._transport = transport

    def run(self) -> bool:
        """Fetch what is missing; say whether the file is whole."""
        done = self._part.stat().st_size if self._part.is_file() else 0
        if self._entry.size is not None and done > self._entry.size:
            self._part.unlink()
            done = 0
        if done and done == self._entry.size:
            return True
        self._check_space(done)
        if self._stop():
            return False
        try:
            answer = self._transport(self._url, done)
        except _NETWORK_ERRORS as error:
            msg = f"{self._url} cannot be reached ({error}); check the connection and try again"
            raise DownloadError(msg) from error
        with closing(answer):
            if answer.status == _BEYOND_THE_END and done:
                # Nothing is left to send: the hash will tell whether this is the file.
                return True
            if answer.status not in (_WHOLE, _PART):
                msg = f"{self._url} answered with status {answer.status}; try again later"
                raise DownloadError(msg)
            if answer.status == _PART and answer.start != done:
                self._part.unlink(missing_ok=True)
                msg = f"{self._url} sent another part than asked for; try again from the start"
                raise DownloadError(msg)
            # A server that cannot resume sends the whole file again.
            return self._receive(answer, done if answer.status == _PART else 0)

    def _receive(self, answer: Answer, done: int) -> bool:
        total = self._entry.size
        if total is None and answer.length is not None:
            total = done + answer.length
        try:
            with self._part.open("ab" if done else "wb") as file:
                self._progress(done, total)
                for chunk in answer.chunks:
                    file.write(chunk)
                    done += len(chunk)
                    self._progress(done, total)
                    if total is not None and done > total:
                        break
                    if self._stop():
                        return False
        except PermissionError:
            raise
        except _NETWORK_ERRORS as error:
            raise DownloadError(self._interrupted(done, total, str(error))) from error
        if total is not None and done < total:
            raise DownloadError(self._interrupted(done, total, "the server ended it"))
        return True

    def _interrupted(self, done: int, total: int | None, reason: str) -> str:
        of = f" of {total}" if total is not None else ""
        return (
            f"The download of {self._entry.name} broke off after {done}{of} bytes ({reason}); "
            "start it again and it goes on from there"
        )

    def _check_space(self, done: int) -> None:
        needed = (self._entry.size or 0) - done
        free = shutil.disk_usage(self._part.parent).free
        if needed > free:
            msg = (
                f"{self._entry.name} needs {needed} bytes in {self._part.parent}, where {free} are "
                "free; make room, or choose another folder with MEDSAGA_MODELS"
            )
            raise DownloadError(msg)


def _verify(entry: ModelEntry, part: Path) -> None:
    pin = entry.pin
    if pin is None:
        return
    found = digest(part, pin.algorithm)
    if found == pin.digest:
        return
    size = part.stat().st_size
    part.unlink()
    msg = (
        f"What came from {entry.url} is not {entry.name}: {size} bytes with the {pin.algorithm} "
        f"{found} instead of {pin.digest}. It was removed; try again, or get the file from "
        f"{entry.source}"
    )
    raise DownloadError(msg)


def _part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while chunk := response.read(_CHUNK):
        yield chunk


def _refuse_plain(url: str) -> None:
    if urlsplit(url).scheme != "https":
        msg = f"{url} is not https; models are downloaded over https only"
        raise DownloadError(msg)


class _HttpsRedirections(urllib.request.HTTPRedirectHandler):
    """Follows a server elsewhere, but never off https."""

    def redirect_request(self, *arguments: Any) -> urllib.request.Request | None:
        """Build the next request; the last argument is its address."""
        _refuse_plain(arguments[-1])
        return super().redirect_request(*arguments)
