"""The Source that reads plain git: any repository on this machine, any that git can clone."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path

from sparky.model import Activity, Kind, Repo, Window
from sparky.ports import Census, Clock
from sparky.settings import base_env
from sparky.source.clone import Clone
from sparky.source.git import Git, utc_now
from sparky.source.history import History
from sparky.source.limits import Limits
from sparky.source.location import Local, Remote, origin_of, understand
from sparky.source.people import people
from sparky.source.tags import releases, tags

__all__ = ["GitSource", "Limits"]


class GitSource:
    """Reads commits and tags. Errors: SourceError, Transient, Throttled.

    Args:
        cache: a folder for clones of remote repositories; made when needed.
        clock: the time in UTC.
        limits: how far reading one repository may go.
        environment: what is outside; git gets only the few names that it needs.
        credentials: added to the environment where a remote is asked: GIT_ASKPASS names a program
            that answers with a user or a password, and the rest is for that program.
    """

    def __init__(
        self,
        cache: Path,
        *,
        clock: Clock = utc_now,
        limits: Limits | None = None,
        environment: Mapping[str, str] | None = None,
        credentials: Mapping[str, str] | None = None,
    ) -> None:
        self._cache = cache
        self._clock = clock
        self._limits = limits or Limits()
        self._environment = base_env() if environment is None else environment
        self._credentials = credentials or {}

    def identify(self, location: str) -> Repo:
        """Find the repository; one behind a URL is cloned if that has not been done.

        The id is a hash of the oldest commit and of the origin, so that a local clone and its URL
        are one repository. Without an origin the path takes its place; in a shallow clone, which
        does not know its oldest commit, the origin or path stands alone.
        """
        found = understand(location)
        if isinstance(found, Remote):
            clone = self._clone(found.url)
            if not clone.exists:
                clone.refresh()
            root = History.of(clone.git).root()
            return Repo(_id(root, found.origin), found.name, "git", found.url, found.page)
        git = self._git(found)
        root = History.of(git).root()
        url = git.ask("config", "--get", "remote.origin.url")
        origin = origin_of(url, found.top) if url else None
        if origin is None:
            return Repo(_id(root, str(found.top)), found.name, "git", str(found.top))
        name = origin.name if origin.host else found.name
        return Repo(_id(root, origin.origin), name, "git", str(found.top), origin.page)

    def refresh(self, repo: Repo) -> None:
        """Clone or fetch what is behind a URL; a local repository is read as it is."""
        found = understand(repo.location)
        if isinstance(found, Remote):
            self._clone(found.url).refresh()

    def census(self, repo: Repo, window: Window) -> Census:
        """Count commits and tags, and say what a reader of the digest must know."""
        history = self._read(repo, window)
        expected = {
            Kind.COMMIT: history.count(window),
            Kind.PULL_REQUEST: 0,
            Kind.ISSUE: 0,
            Kind.RELEASE: len(tags(history.git, window)),
        }
        cut = history.cut_at()
        # What lies before the cut cannot be had here, so that part of the window is missing.
        gaps = (_shallow(cut, window),) if cut and window.since < cut else ()
        return Census(expected, tuple(_notes(history, window)), gaps)

    def activities(self, repo: Repo, window: Window) -> Iterator[Activity]:
        """Stream commits and releases, newest first but where clocks went wrong."""
        history = self._read(repo, window)
        with (
            people(history.git, history.mailmap) as everybody,
            closing(history.commits(window, everybody)) as commits,
            closing(releases(history.git, window, everybody)) as tagged,
        ):
            yield from heapq.merge(commits, tagged, key=lambda found: found.at, reverse=True)

    def _read(self, repo: Repo, window: Window) -> History:
        """The history as it is now, with all that can be had for the window."""
        found = understand(repo.location)
        if isinstance(found, Local):
            history = History.of(self._git(found))
            with closing(history.missing(window)) as missing:
                return history if next(missing, None) is None else history.without_contents()
        clone = self._clone(found.url)
        if not clone.exists:
            clone.refresh()
        history = History.of(clone.git)
        for oids in history.missing(window):
            clone.bring(oids)
        return history

    def _clone(self, url: str) -> Clone:
        return Clone.at(self._cache, url, self._run(self._cache, url))

    def _git(self, local: Local) -> Git:
        return self._run(local.folder, str(local.top))

    def _run(self, folder: Path, subject: str) -> Git:
        return Git(
            folder=folder,
            subject=subject,
            environment=self._environment,
            credentials=self._credentials,
            limits=self._limits,
            clock=self._clock,
        )


def _id(root: str | None, origin: str) -> str:
    return "git:" + hashlib.sha256(f"{root or ''}\n{origin}".encode()).hexdigest()[:20]


def _notes(history: History, window: Window) -> Iterator[str]:
    if history.is_detached:
        yield f"HEAD is detached at {history.tip[:12]}; that is what was read."
    if cut := history.cut_at():
        yield _shallow(cut, window)
    if not history.has_contents:
        yield (
            "This is a partial clone that lacks the contents of files, so lines are not counted;"
            " give its URL instead."
        )


def _shallow(cut: datetime, window: Window) -> str:
    since = f"This is a shallow clone: what came before {cut:%Y-%m-%d %H:%M} UTC is missing"
    partly = ", so the window is covered only in part" if window.since < cut else ""
    return f"{since}{partly}; run `git fetch --unshallow` there for the whole."
