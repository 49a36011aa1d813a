"""A model's folder of weights is complete and right, or it says that it is not."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

import pytest

from sparky.errors import ServiceError, Transient
from sparky.services.checkpoint import Piece, carry, fetch, on_hub
from sparky.services.progress import Progress

FILES = {
    "config.json": b'{"layers": 2}',
    "model-00001.safetensors": Random(1).randbytes(2_000_000),
    "model-00002.safetensors": Random(2).randbytes(1_000_000),
    "pytorch_model.bin": b"the same weights again",
    "original/weights.safetensors": b"and again",
}
NEEDED = {"config.json", "model-00001.safetensors", "model-00002.safetensors"}


class Hub:
    """A model hub on loopback, as the real one's API is documented: two files a page."""

    def __init__(self) -> None:
        self.files = dict(FILES)
        self.cut_at: int | None = None
        self.token = ""
        self.asked: list[tuple[str, str | None]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        path, _, query = to.path.partition("?")
        self.asked.append((path, to.headers["Range"]))
        if self.token and to.headers["Authorization"] != f"Bearer {self.token}":
            return self.say(to, 401, b"{}")
        if path == "/api/models/someone/tiny":
            return self.say(to, 200, json.dumps({"sha": "abc123"}).encode())
        if path == "/api/models/someone/tiny/tree/abc123":
            return self.page(to, int(query.partition("=")[2] or 0))
        name = path.removeprefix("/someone/tiny/resolve/abc123/")
        if name == path or name not in self.files:
            return self.say(to, 404, b"{}")
        return self.file(to, self.files[name])

    def page(self, to: BaseHTTPRequestHandler, start: int) -> None:
        entries = [self.entry(name, content) for name, content in FILES.items() if "/" not in name]
        entries.append({"type": "directory", "path": "original", "oid": "0", "size": 0})
        headers = {}
        if start + 2 < len(entries):
            following = f"{self.base}/api/models/someone/tiny/tree/abc123?cursor={start + 2}"
            headers["Link"] = f'<{following}>; rel="next"'
        self.say(to, 200, json.dumps(entries[start : start + 2]).encode(), headers)

    def entry(self, name: str, content: bytes) -> dict[str, object]:
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        told = {"type": "file", "path": name, "size": len(content), "oid": git}
        if name.endswith(".safetensors"):
            told["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
        return told

    def file(self, to: BaseHTTPRequestHandler, content: bytes) -> None:
        start = int((to.headers["Range"] or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        body = content[start:]
        to.send_response(206 if start else 200)
        to.send_header("Content-Length", str(len(body)))
        if start:
            to.send_header("Content-Range", headers["Content-Range"])
        to.end_headers()
        to.wfile.write(content[start : self.cut_at])

    def say(
        self,
        to: BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
    ) -> None:
        to.send_response(status)
        to.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            to.send_header(name, value)
        to.end_headers()
        to.wfile.write(body)


@contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        hub.server.shutdown()
        hub.server.server_close()
        thread.join()


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as found:
        yield found


def quiet(progress: Progress) -> None:
    del progress


def verified(folder: Path) -> bool:
    """Whether sha256sum itself finds every file right."""
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def test_the_files_that_an_engine_reads_are_fetched_and_no_others(hub: Hub, tmp_path: Path) -> None:
    fetch(on_hub("someone/tiny", base=hub.base), tmp_path, quiet)
    found = {path.name for path in tmp_path.iterdir()} - {".lock", "SHA256SUMS"}
    assert found == NEEDED
    assert all((tmp_path / name).read_bytes() == FILES[name] for name in NEEDED)
    assert verified(tmp_path)


def test_a_second_fetch_asks_for_no_file_again(hub: Hub, tmp_path: Path) -> None:
    pieces = on_hub("someone/tiny", base=hub.base)
    fetch(pieces, tmp_path, quiet)
    hub.asked.clear()
    fetch(pieces, tmp_path, quiet)
    assert hub.asked == []
    assert verified(tmp_path)


def test_a_file_that_went_bad_is_fetched_anew_and_no_other(hub: Hub, tmp_path: Path) -> None:
    pieces = on_hub("someone/tiny", base=hub.base)
    fetch(pieces, tmp_path, quiet)
    (tmp_path / "config.json").write_bytes(b"{}")
    hub.asked.clear()
    fetch(pieces, tmp_path, quiet)
    assert [path.rpartition("/")[2] for path, _ in hub.asked] == ["config.json"]
    assert verified(tmp_path)


def test_a_fetch_that_was_cut_goes_on_where_it_was(hub: Hub, tmp_path: Path) -> None:
    pieces = on_hub("someone/tiny", base=hub.base)
    hub.cut_at = 1_200_000
    with pytest.raises(Transient):
        fetch(pieces, tmp_path, quiet)
    assert not (tmp_path / "SHA256SUMS").exists()
    begun = sum(path.stat().st_size for path in tmp_path.glob("*.part"))
    assert begun >= 1_000_000
    hub.cut_at = None
    hub.asked.clear()
    fetch(pieces, tmp_path, quiet)
    assert any(where == f"bytes={begun}-" for _, where in hub.asked)
    assert verified(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model-00002.safetensors"])
def test_a_file_that_is_not_what_the_hub_says_is_not_kept(
    hub: Hub, tmp_path: Path, name: str
) -> None:
    hub.files[name] = FILES[name][:-1] + b"!"
    with pytest.raises(ServiceError, match=name):
        fetch(on_hub("someone/tiny", base=hub.base), tmp_path, quiet)
    assert not (tmp_path / name).exists()
    assert not (tmp_path / "SHA256SUMS").exists()


def test_a_licence_that_was_not_accepted_is_told_with_the_setting(hub: Hub) -> None:
    hub.token = "hf_right"
    with pytest.raises(ServiceError, match="does not let") as told:
        on_hub("someone/tiny", base=hub.base, token="hf_wrong")
    assert "SPARKY_HUB_TOKEN_FILE" in told.value.remedy
    assert "hf_wrong" not in str(told.value)
    assert len(on_hub("someone/tiny", base=hub.base, token="hf_right")) == len(NEEDED)


def test_a_repository_that_is_not_there_is_named(hub: Hub) -> None:
    with pytest.raises(ServiceError, match="no someone/else"):
        on_hub("someone/else", base=hub.base)


def test_a_hub_that_cannot_be_reached_may_be_asked_again() -> None:
    with pytest.raises(Transient, match="does not answer"):
        on_hub("someone/tiny", base="http://127.0.0.1:9")


def test_a_folder_that_was_carried_in_is_taken_whole(hub: Hub, tmp_path: Path) -> None:
    source, into = tmp_path / "disk", tmp_path / "models"
    fetch(on_hub("someone/tiny", base=hub.base), source, quiet)
    carry(source, into, quiet)
    assert verified(into)
    assert all((into / name).read_bytes() == FILES[name] for name in NEEDED)


def test_a_file_that_went_bad_is_taken_anew_from_what_was_carried_in(
    hub: Hub, tmp_path: Path
) -> None:
    source, into = tmp_path / "disk", tmp_path / "models"
    fetch(on_hub("someone/tiny", base=hub.base), source, quiet)
    carry(source, into, quiet)
    kept = (into / "config.json").stat().st_ino
    (into / "model-00001.safetensors").write_bytes(b"bad")
    carry(source, into, quiet)
    assert verified(into)
    assert (into / "config.json").stat().st_ino == kept


def test_a_carried_folder_that_lost_a_file_or_a_bit_is_refused(hub: Hub, tmp_path: Path) -> None:
    source = tmp_path / "disk"
    fetch(on_hub("someone/tiny", base=hub.base), source, quiet)
    (source / "config.json").write_bytes(b'{"layers": 3}')
    with pytest.raises(ServiceError, match=r"config\.json has the sha256"):
        carry(source, tmp_path / "one", quiet)
    assert not (tmp_path / "one" / "SHA256SUMS").exists()
    (source / "config.json").unlink()
    with pytest.raises(ServiceError, match=r"lacks config\.json"):
        carry(source, tmp_path / "two", quiet)
    (source / "SHA256SUMS").unlink()
    with pytest.raises(ServiceError, match="no SHA256SUMS"):
        carry(source, tmp_path / "three", quiet)


def test_sums_that_point_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "disk"
    source.mkdir()
    (source / "SHA256SUMS").write_text(f"{'0' * 64}  ../../etc/passwd\n")
    with pytest.raises(ServiceError, match="lies elsewhere"):
        carry(source, tmp_path / "models", quiet)


def test_a_disk_without_room_is_told_before_anything_is_fetched(hub: Hub, tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    huge = Piece(path="huge.safetensors", size=free + 1, url=f"{hub.base}/huge", sha256="0" * 64)
    with pytest.raises(ServiceError, match="not enough disk space"):
        fetch([huge], tmp_path, quiet)
    assert hub.asked == []
