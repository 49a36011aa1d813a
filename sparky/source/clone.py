"""The cache of a remote repository: a bare clone without the contents of files.

`<cache>/<hash of the URL>.git`, with a lock beside it. Whoever writes holds the lock; git itself
takes care of those who read meanwhile.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sparky.errors import SourceError, Transient
from sparky.source import bare, complaints
from sparky.source.git import Git

_REFS = ("+HEAD:refs/heads/default", "+refs/tags/*:refs/tags/*")
"""The remote's default branch, whatever its name, and all its tags."""
_FETCH = (
    *("fetch", "--quiet", "--filter=blob:none", "--no-tags", "--no-write-fetch-head"),
    *("--no-auto-maintenance", "--no-recurse-submodules"),
)
_TIDY = (
    *("-c", "gc.auto=5000", "-c", "gc.autoPackLimit=20", "-c", "gc.autoDetach=false"),
    *("gc", "--auto", "--quiet"),
)
_POLL = 0.05
"""Seconds between two looks at a lock that another process holds."""


@dataclass(frozen=True, slots=True)
class Clone:
    """What is kept of the repository behind a URL. Errors: SourceError, Transient, Throttled."""

    url: str
    git: Git
    """Its folder is where the clone is, or will be."""

    @classmethod
    def at(cls, cache: Path, url: str, git: Git) -> Clone:
        """The place of a URL's clone in a cache.

        Args:
            cache: a folder of this user's own; made when needed.
            url: as git is given it, without credentials.
            git: how to run git; its folder is replaced.
        """
        name = hashlib.sha256(url.encode()).hexdigest()[:32]
        return cls(url, replace(git, folder=cache / f"{name}.git"))

    @property
    def exists(self) -> bool:
        return self.git.folder.is_dir()

    def refresh(self) -> None:
        """Clone, or fetch what is new; force-pushes and a new default branch are followed."""
        with self._locked():
            if self.exists:
                self._clear()
                self._fetch(self.git)
                self.git.run(*_TIDY)
            else:
                self._clone()

    def bring(self, oids: list[bytes]) -> None:
        """Fetch contents of files, all in one request."""
        with self._locked():
            self._clear()
            self._bounded(self.git).run(
                *("-c", "fetch.negotiationAlgorithm=noop", *_FETCH, "--stdin", "origin"),
                given=b"\n".join(oids) + b"\n",
                network=True,
            )

    def _clone(self) -> None:
        """Clone into a folder beside, which takes its name when it is whole."""
        new = replace(self.git, folder=self.git.folder.with_suffix(".new"))
        shutil.rmtree(new.folder, ignore_errors=True)
        try:
            bare.create(new.folder)
            new.run("config", "remote.origin.url", self.url)
            self._fetch(new)
            new.folder.rename(self.git.folder)
        finally:
            shutil.rmtree(new.folder, ignore_errors=True)

    def _fetch(self, git: Git) -> None:
        self._bounded(git).run(
            *("-c", "fetch.writeCommitGraph=true", *_FETCH, "--prune", "--update-head-ok"),
            *("origin", *_REFS),
            network=True,
        )

    def _bounded(self, git: Git) -> Git:
        used = sum(file.stat().st_size for file in git.folder.rglob("*") if file.is_file())
        left = git.limits.bytes - used
        if left <= 0:
            raise SourceError(
                f"what is kept of {self.url} is larger than it may be",
                remedy="Raise SPARKY_GIT_MAX_BYTES",
            )
        return replace(git, limits=replace(git.limits, bytes=left))

    def _clear(self) -> None:
        """Remove what a killed git left behind; nobody else writes while the lock is held."""
        folder = self.git.folder
        for left in (*folder.glob("**/*.lock"), *folder.glob("objects/**/tmp_*")):
            left.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The right to write; it ends with the process, however that ends."""
        cache = self.git.folder.parent
        try:
            cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.git.folder.with_suffix(".lock").open("a") as lock:
                self._wait(lock.fileno())
                yield
        except OSError as error:
            raise complaints.from_os(error, str(cache)) from error

    def _wait(self, lock: int) -> None:
        deadline = time.monotonic() + self.git.limits.seconds
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Transient(
                        f"another process has been fetching {self.url} for too long",
                        remedy="Wait for it, or end it",
                    ) from None
                time.sleep(_POLL)
            else:
                return
