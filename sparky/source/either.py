"""One Source before two: GitHub's API for what is there, git for everything else."""

from __future__ import annotations

from collections.abc import Iterator

from sparky.model import Activity, Repo, Window
from sparky.ports import Census, Source
from sparky.source.location import Remote, understand


class EitherSource:
    """Asks the source that `Repo.source` names; a new location by its host.

    Args:
        git: reads any repository.
        github: reads those on `host`.
        host: in lower case, such as `github.com`.
    """

    def __init__(self, git: Source, github: Source, *, host: str) -> None:
        self._git = git
        self._github = github
        self._host = host

    def identify(self, location: str) -> Repo:
        """Find the repository; `owner/name` and URLs of the host are GitHub's."""
        found = understand(location)
        there = (
            isinstance(found, Remote)
            and found.host == self._host
            and len(found.path.split("/")) == 2
        )
        return (self._github if there else self._git).identify(location)

    def refresh(self, repo: Repo) -> None:
        self._of(repo).refresh(repo)

    def census(self, repo: Repo, window: Window) -> Census:
        return self._of(repo).census(repo, window)

    def activities(self, repo: Repo, window: Window) -> Iterator[Activity]:
        return self._of(repo).activities(repo, window)

    def _of(self, repo: Repo) -> Source:
        return self._github if repo.source == "github" else self._git
