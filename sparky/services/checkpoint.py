"""A model's weights as an engine reads them: a folder of files, complete and checked, or not there.

They come from the model hub, or from a folder that somebody carried in. `SHA256SUMS`, as
`sha256sum` writes it, is written last: where it stands, the folder is whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import httpx

from sparky.errors import ServiceError, Transient
from sparky.services.disk import check_space, is_full, length, no_space, sha256
from sparky.services.hub import HUB, TIMEOUT, complete
from sparky.services.progress import Progress, Report

SUMS: Final = "SHA256SUMS"
OTHER_FORMS: Final = (".bin", ".pt", ".pth", ".gguf", ".onnx", ".h5", ".msgpack", ".ot")
"""Weights again, in forms that TensorRT-LLM does not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One file."""

    path: str
    size: int
    url: str
    sha256: str = ""
    """Empty: the hub tells the file's git id instead."""
    git: str = ""


def on_hub(repository: str, *, base: str = HUB, token: str = "") -> list[Piece]:
    """The files of a repository on the hub that an engine needs, at one revision.

    Raises:
        Transient: the hub does not answer.
        ServiceError: it has no such repository, or wants a token that may read it.
    """
    with _client(token) as client:
        revision = _ask(client, f"{base}/api/models/{repository}", repository).json()["sha"]
        entries: list[dict[str, Any]] = []
        url: str | None = f"{base}/api/models/{repository}/tree/{revision}"
        while url:
            said = _ask(client, url, repository)
            entries += said.json()
            url = said.links.get("next", {}).get("url")
    return [
        Piece(
            path=entry["path"],
            size=entry["size"],
            url=f"{base}/{repository}/resolve/{revision}/{entry['path']}",
            sha256=entry.get("lfs", {}).get("oid", ""),
            git=entry["oid"],
        )
        # What lies in folders is the same weights in other forms.
        for entry in entries
        if entry["type"] == "file"
        and PurePosixPath(entry["path"]).name == entry["path"]
        and not entry["path"].endswith(OTHER_FORMS)
    ]


def fetch(pieces: Sequence[Piece], into: Path, report: Report, *, token: str = "") -> None:
    """Have all pieces in the folder, checked; what is there and right is not fetched again.

    Raises:
        Transient: a piece does not come now; what came is kept, and the next call goes on.
        ServiceError: a piece is not what the hub says, or the disk is full.
    """
    with _alone(into), _client(token) as client:
        # What lies here may have gone bad, or be another revision's.
        kept = {piece: _right(into / piece.path, piece, report) for piece in pieces}
        sums = {piece.path: found for piece, found in kept.items() if found}
        missing = [piece for piece in pieces if piece.path not in sums]
        begun = sum(length(_part(into, piece)) for piece in missing)
        total = sum(piece.size for piece in pieces)
        done = total - sum(piece.size for piece in missing)
        check_space(into, total - done - begun)
        for piece in missing:
            part = _part(into, piece)
            told = _shifted(report, piece.path, done, total)
            with _room(into):
                complete(client, piece.url, part, piece.size, told)
            if not (found := _right(part, piece, report)):
                part.unlink()
                raise ServiceError(
                    f"{piece.path} is not what the model hub says it is, and was removed",
                    remedy="Fetch again",
                )
            sums[piece.path] = found
            part.rename(into / piece.path)
            done += piece.size
        _write(into / SUMS, sums)


def carry(source: Path, into: Path, report: Report) -> None:
    """Have the files of a folder that was fetched elsewhere, checked against its own sums.

    Raises:
        ServiceError: the folder has no sums, or a file is missing or another.
    """
    if not (source / SUMS).is_file():
        raise ServiceError(
            f"{source} has no {SUMS}",
            remedy="Take a folder that `sparky models fetch` has filled, as it is",
        )
    wanted = dict(_sums(source / SUMS))
    if absent := [name for name in wanted if not (source / name).is_file()]:
        raise ServiceError(f"{source} lacks {absent[0]}", remedy="Copy the whole folder")
    with _alone(into):
        missing = [
            name
            for name, expected in wanted.items()
            if not (into / name).exists() or sha256(into / name, report) != expected
        ]
        check_space(into, sum((source / name).stat().st_size for name in missing))
        for name in missing:
            part = into / f"{name}.part"
            with _room(into):
                shutil.copyfile(source / name, part)
            if (found := sha256(part, report)) != wanted[name]:
                part.unlink()
                raise ServiceError(
                    f"{name} has the sha256 {found} instead of {wanted[name]}",
                    remedy="Copy the folder anew",
                )
            part.rename(into / name)
        _write(into / SUMS, wanted)


def _client(token: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(timeout=TIMEOUT, follow_redirects=True, headers=headers)


def _ask(client: httpx.Client, url: str, repository: str) -> httpx.Response:
    try:
        said = client.get(url)
    except httpx.HTTPError as error:
        raise Transient(f"the model hub does not answer: {error}") from error
    if said.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise ServiceError(
            f"the model hub does not let {repository} be read",
            remedy="Accept its licence there, and give a token with SPARKY_HUB_TOKEN_FILE",
        )
    if said.status_code == httpx.codes.NOT_FOUND:
        raise ServiceError(f"the model hub has no {repository}", remedy="`sparky models show`")
    if said.is_error:
        raise Transient(f"the model hub answered {said.status_code}")
    return said


def _right(file: Path, piece: Piece, report: Report) -> str:
    """The file's sha256 if it is the one that was promised; else, or if there is none, nothing."""
    if not file.exists():
        return ""
    found = sha256(file, report)
    right = found == piece.sha256 if piece.sha256 else _git_id(file) == piece.git
    return found if right else ""


def _git_id(file: Path) -> str:
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _part(into: Path, piece: Piece) -> Path:
    return into / f"{piece.path}.part"


def _shifted(report: Report, name: str, before: int, total: int) -> Report:
    return lambda progress: report(Progress(f"fetching {name}", before + progress.done, total))


@contextmanager
def _room(into: Path) -> Iterator[None]:
    """Say it in words when the disk runs full."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise no_space(into) from error
        raise


@contextmanager
def _alone(into: Path) -> Iterator[None]:
    """One process fills the folder; another waits."""
    into.mkdir(parents=True, exist_ok=True)
    lock = os.open(into / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (into / SUMS).unlink(missing_ok=True)
        yield
    finally:
        os.close(lock)


def _sums(file: Path) -> Iterator[tuple[str, str]]:
    for line in file.read_text("utf-8").splitlines():
        digest, _, name = line.partition("  ")
        if PurePosixPath(name).name != name:
            raise ServiceError(f"{file} names {name}, which lies elsewhere")
        yield name, digest


def _write(file: Path, sums: dict[str, str] | Iterable[tuple[str, str]]) -> None:
    fresh = file.with_name(f"{file.name}.new")
    lines = [f"{digest}  {name}\n" for name, digest in sorted(dict(sums).items())]
    fresh.write_text("".join(lines), "utf-8")
    fresh.rename(file)
