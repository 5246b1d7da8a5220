from __future__ import annotations

import hashlib
import http.server
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from MedSAGaSlicerLib.engine import downloads
from MedSAGaSlicerLib.engine.downloads import Answer, answer_of, delete, download
from MedSAGaSlicerLib.engine.registry import ModelEntry, Pin, entry
from MedSAGaSlicerLib.errors import DownloadError, InputError

CONTENT = bytes(range(256)) * 4096  # four pieces of a download
HALF = len(CONTENT) // 2


@pytest.fixture
def model() -> ModelEntry:
    return replace(
        entry("mobile_sam"),
        url="https://models.example/mobile_sam.pt",
        size=len(CONTENT),
        pin=Pin("sha256", hashlib.sha256(CONTENT).hexdigest()),
    )


class Server(http.server.BaseHTTPRequestHandler):
    """Sends CONTENT, from where it is asked to, and breaks off if the class says so."""

    content = CONTENT
    sends = len(CONTENT)
    resumes = True
    asked: list[str | None] = []  # noqa: RUF012 - one list per server, made by the fixture

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if self.path == "/missing":
            self.send_error(404)
            return
        if start and self.resumes:
            self.send_response(206)
            end = len(self.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(self.content)}")
        else:
            start = 0
            self.send_response(200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        self.wfile.write(self.content[start : start + self.sends])

    def log_message(self, *arguments: object) -> None:
        """Keep the tests' output quiet."""


@pytest.fixture
def server() -> Iterator[type[Server]]:
    handler = type("Handler", (Server,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        handler.port = running.server_address[1]
        yield handler
        running.shutdown()
        thread.join()


def through(server: type[Server]) -> downloads.Transport:
    """The library's own HTTP, led to the local server."""

    def fetch(url: str, start: int) -> Answer:
        path = url.rsplit("/", 1)[-1]
        request = urllib.request.Request(f"http://127.0.0.1:{server.port}/{path}")
        if start:
            request.add_header("Range", f"bytes={start}-")
        return answer_of(urllib.request.build_opener(), request)

    return fetch


def test_a_download_gets_its_name_and_reports_its_progress(
    tmp_path: Path, model: ModelEntry, server: type[Server]
) -> None:
    seen: list[tuple[int, int | None]] = []
    path = download(
        model, tmp_path / "new", lambda *numbers: seen.append(numbers), transport=through(server)
    )

    assert path == tmp_path / "new" / "mobile_sam.pt"
    assert path.read_bytes() == CONTENT
    assert [name.name for name in path.parent.iterdir()] == ["mobile_sam.pt"]
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)


def test_a_broken_download_keeps_what_came_and_goes_on_from_there(
    tmp_path: Path, model: ModelEntry, server: type[Server]
) -> None:
    server.sends = HALF
    with pytest.raises(DownloadError, match=f"broke off after {HALF} of {len(CONTENT)} bytes"):
        download(model, tmp_path, transport=through(server))
    assert not (tmp_path / "mobile_sam.pt").exists()
    assert (tmp_path / "mobile_sam.pt.part").read_bytes() == CONTENT[:HALF]

    server.sends = len(CONTENT)
    path = download(model, tmp_path, transport=through(server))

    assert server.asked == [None, f"bytes={HALF}-"]
    assert path is not None
    assert path.read_bytes() == CONTENT
    assert not (tmp_path / "mobile_sam.pt.part").exists()


def test_stopping_keeps_what_came_and_is_no_error(
    tmp_path: Path, model: ModelEntry, server: type[Server]
) -> None:
    done: list[int] = []
    stopped = download(
        model,
        tmp_path,
        lambda bytes_so_far, _: done.append(bytes_so_far),
        stop=lambda: bool(done) and done[-1] > 0,
        transport=through(server),
    )

    assert stopped is None
    assert 0 < (tmp_path / "mobile_sam.pt.part").stat().st_size < len(CONTENT)
    assert download(model, tmp_path, transport=through(server)) == tmp_path / "mobile_sam.pt"


def test_a_server_that_cannot_resume_sends_all_again(
    tmp_path: Path, model: ModelEntry, server: type[Server]
) -> None:
    (tmp_path / "mobile_sam.pt.part").write_bytes(b"x" * 1000)
    server.resumes = False

    path = download(model, tmp_path, transport=through(server))

    assert path is not None
    assert path.read_bytes() == CONTENT


def test_a_wrong_hash_removes_the_file_and_says_so(
    tmp_path: Path, model: ModelEntry, server: type[Server]
) -> None:
    server.content = CONTENT[::-1]
    with pytest.raises(DownloadError, match="It was removed"):
        download(model, tmp_path, transport=through(server))

    assert list(tmp_path.iterdir()) == []


def test_a_wrong_file_never_replaces_a_good_one(
    tmp_path: Path, model: ModelEntry, server: type[Server]
) -> None:
    old = tmp_path / "mobile_sam.pt"
    old.write_bytes(b"an older version")
    server.content = CONTENT[::-1]
    with pytest.raises(DownloadError):
        download(model, tmp_path, transport=through(server))

    assert old.read_bytes() == b"an older version"


def test_a_model_that_is_there_is_not_downloaded_again(
    tmp_path: Path, model: ModelEntry, server: type[Server]
) -> None:
    (tmp_path / "mobile_sam.pt").write_bytes(CONTENT)

    assert download(model, tmp_path, transport=through(server)) == tmp_path / "mobile_sam.pt"
    assert server.asked == []


def test_a_whole_part_needs_no_server(
    tmp_path: Path, model: ModelEntry, server: type[Server]
) -> None:
    (tmp_path / "mobile_sam.pt.part").write_bytes(CONTENT)

    assert download(model, tmp_path, transport=through(server)) == tmp_path / "mobile_sam.pt"
    assert server.asked == []


def test_a_refusing_server_is_named_with_its_status(
    tmp_path: Path, model: ModelEntry, server: type[Server]
) -> None:
    with pytest.raises(DownloadError, match="answered with status 404"):
        download(
            replace(model, url="https://models.example/missing"),
            tmp_path,
            transport=through(server),
        )


def test_a_server_that_is_not_there_is_reported(tmp_path: Path, model: ModelEntry) -> None:
    def unreachable(url: str, start: int) -> Answer:
        raise ConnectionRefusedError

    with pytest.raises(DownloadError, match="cannot be reached"):
        download(model, tmp_path, transport=unreachable)


def test_another_part_than_asked_for_is_not_joined_on(tmp_path: Path, model: ModelEntry) -> None:
    (tmp_path / "mobile_sam.pt.part").write_bytes(CONTENT[:1000])

    def shifted(url: str, start: int) -> Answer:
        return Answer(206, start + 1, None, iter([CONTENT[start + 1 :]]), lambda: None)

    with pytest.raises(DownloadError, match="another part"):
        download(model, tmp_path, transport=shifted)
    assert list(tmp_path.iterdir()) == []


def test_only_https_is_asked(tmp_path: Path, model: ModelEntry) -> None:
    with pytest.raises(DownloadError, match="not https"):
        download(replace(model, url="http://models.example/mobile_sam.pt"), tmp_path)
    with pytest.raises(DownloadError, match="not https"):
        downloads.fetch_https("file:///etc/passwd", 0)


def test_a_redirection_off_https_is_not_followed() -> None:
    handler = downloads._HttpsRedirections()
    request = urllib.request.Request("https://models.example/a")
    with pytest.raises(DownloadError, match="not https"):
        handler.redirect_request(request, None, 302, "Found", {}, "http://models.example/a")
    followed = handler.redirect_request(
        request, None, 302, "Found", {}, "https://elsewhere.example/a"
    )
    assert followed is not None
    assert followed.full_url == "https://elsewhere.example/a"


def test_a_model_without_a_pinned_hash_is_left_to_the_person(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"get it from https://github.com/bowang-lab/MedSAM"):
        download(entry("lite_medsam"), tmp_path)


def test_a_full_disk_is_seen_before_the_download(tmp_path: Path, model: ModelEntry) -> None:
    with pytest.raises(DownloadError, match="make room"):
        download(replace(model, size=1 << 60), tmp_path)


def test_deleting_frees_the_model_and_its_unfinished_part(
    tmp_path: Path, model: ModelEntry
) -> None:
    (tmp_path / "mobile_sam.pt").write_bytes(b"12345")
    (tmp_path / "mobile_sam.pt.part").write_bytes(b"123")
    (tmp_path / "other.pt").write_bytes(b"1")

    assert delete(model, tmp_path) == 8
    assert [path.name for path in tmp_path.iterdir()] == ["other.pt"]
    assert delete(model, tmp_path) == 0
    with pytest.raises(InputError, match="comes with"):
        delete(entry("starter"), tmp_path)


def test_a_file_name_cannot_leave_the_folder(tmp_path: Path, model: ModelEntry) -> None:
    with pytest.raises(InputError, match="plain name"):
        delete(replace(model, file="../other.pt"), tmp_path)
