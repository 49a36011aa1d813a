"""The Source that reads GitHub: commits, pull requests, issues and releases, what is new only.

What GitHub has shown is kept in a mirror. A probe of many repositories at once tells which have
changed; only those are asked about, from the marks on that an earlier visit left.
"""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace

from sparky.errors import SourceError, Throttled
from sparky.forge import Mirror
from sparky.model import Activity, Kind, Repo, Window
from sparky.ports import Census, Clock, Source
from sparky.source.catchup import BY_GIT, CatchUp
from sparky.source.githubwire import Wire
from sparky.source.limits import Limits
from sparky.source.location import Remote, understand
from sparky.source.pages import first_seen, owner_of
from sparky.source.probing import Prober


@dataclass(frozen=True, slots=True)
class _Counted:
    """What a census said of the mirror."""

    repo_id: str
    window: Window
    way: str
    """Of the commits; `git` with a reason, or empty."""
    counts: Mapping[Kind, int]


class GitHubSource:
    """Errors: SourceError, Transient, Throttled.

    Args:
        wire: the way to GitHub.
        mirror: what was seen before.
        clock: the time in UTC.
        host: the web host whose repositories these are.
        git: reads commits where GraphQL is denied or dear; told whose token to use by an owner.
        by_git: from so many commits in a window on, they come by git.
        git_bytes: what is larger on GitHub's disks is not cloned, whatever it costs.
        clone_url: where git finds a repository.
    """

    def __init__(
        self,
        wire: Wire,
        mirror: Mirror,
        *,
        clock: Clock,
        host: str = "github.com",
        git: Callable[[str], Source] | None = None,
        by_git: int = BY_GIT,
        git_bytes: int = Limits().bytes,
        clone_url: Callable[[Repo], str] = lambda repo: f"{repo.location}.git",
    ) -> None:
        self.wire = wire
        self._mirror = mirror
        self._here = threading.local()
        """What each thread counted last."""
        self._prober = Prober(wire, mirror, clock)
        self._catch_up = CatchUp(
            wire, mirror, self._prober, clock, cloneable=self._cloneable, by_git=by_git
        )
        self._clock = clock
        self._host = host
        self._git = git
        self._git_bytes = git_bytes
        self._clone_url = clone_url

    # the port

    def identify(self, location: str) -> Repo:
        """Find the repository by `owner/name` or URL, also by a former name; one point."""
        place = understand(location)
        parts = place.path.split("/") if isinstance(place, Remote) else []
        if not isinstance(place, Remote) or place.host != self._host or len(parts) != 2:
            raise SourceError(
                f"{location} is not a repository on {self._host}", remedy="Give owner/name"
            )
        owner, name = parts
        data = first_seen(
            self.wire, "identify", {"owner": owner, "name": name}, "repository", owner=owner
        ).data
        row = data.get("repository")
        if not row:
            raise SourceError(
                f"{owner}/{name} is not on {self._host}, or no credential may read it",
                remedy="Check the name, and what the token may read",
            )
        repo = Repo(row["id"], row["nameWithOwner"], "github", row["url"], row["url"])
        self._mirror.meet([repo])
        return repo

    def refresh(self, repo: Repo) -> None:
        """Look whether anything has changed, unless that was done within the last minutes.

        The look takes as many other repositories with it as a point pays for.
        """
        self._prober.probed(repo)

    def census(self, repo: Repo, window: Window) -> Census:
        """Bring what is missing of the window, and count it."""
        repo = self._as_now(repo)
        state = self._catch_up.bring(repo, window)
        expected = dict(state.counts)
        notes: list[str] = []
        gaps = [
            gap.text
            for mark in state.marks.values()
            for gap in mark.gaps
            if gap.newest >= window.since
        ]
        commits = state.marks.get(Kind.COMMIT)
        way = commits.way if commits else ""
        self._here.counted = _Counted(repo.id, window, way, state.counts)
        if way:
            self._by_git(repo).refresh(self._as_git(repo))
            by_git = self._by_git(repo).census(self._as_git(repo), window)
            expected[Kind.COMMIT] = by_git.expected.get(Kind.COMMIT, 0)
            if expected[Kind.COMMIT]:
                why = way.removeprefix("git: ")
                notes += [f"Commits came by git, since {why}.", *by_git.notes]
            gaps += by_git.gaps
        return Census(expected, tuple(notes), tuple(dict.fromkeys(gaps)))

    def activities(self, repo: Repo, window: Window) -> Iterator[Activity]:
        """Stream what the mirror has of the window, newest first.

        Raises Throttled when another worker has changed it since this one counted it.
        """
        counted = self._counted(repo, window)
        kept = self._kept(repo, counted)
        if not counted.way:
            yield from kept
            return
        repo = self._as_now(repo)
        source, place = self._by_git(repo), self._as_git(repo)
        commits = (a for a in source.activities(place, window) if a.kind is Kind.COMMIT)
        with closing(commits):
            yield from heapq.merge(kept, commits, key=lambda found: found.at, reverse=True)

    def _counted(self, repo: Repo, window: Window) -> _Counted:
        """The census of this window, which usually was just made here; else it is made now."""
        last: _Counted | None = getattr(self._here, "counted", None)
        self._here.counted = None  # it holds for one reading
        if last is not None and (last.repo_id, last.window) == (repo.id, window):
            return last
        state = self._catch_up.bring(repo, window)
        commits = state.marks.get(Kind.COMMIT)
        return _Counted(repo.id, window, commits.way if commits else "", state.counts)

    def _kept(self, repo: Repo, counted: _Counted) -> Iterator[Activity]:
        """What the mirror has, as long as it is what was counted."""
        if not any(counted.counts.values()):
            return
        found: Counter[Kind] = Counter()
        for item in self._mirror.items(repo.id, counted.window):
            found[item.activity.kind] += 1
            yield item.within(counted.window)
        if any(found[kind] != counted.counts[kind] for kind in Kind):
            raise Throttled(
                f"{repo.name} was changed by another worker while it was read", until=self._clock()
            )

    def _as_now(self, repo: Repo) -> Repo:
        """The repository under its present name: another owner has other credentials."""
        probe = self._prober.probed(repo)
        if not probe.name:
            return repo
        return replace(repo, name=probe.name, location=probe.url, url=probe.url)

    # git

    def _cloneable(self, repo: Repo) -> bool:
        """Whether commits may come by git: a huge repository is read through the API alone."""
        facts = self._prober.probed(repo).facts
        return self._git is not None and (facts is None or facts.bytes <= self._git_bytes)

    def _by_git(self, repo: Repo) -> Source:
        if self._git is None:
            raise SourceError(f"commits of {repo.name} are to come by git, but there is none")
        return self._git(owner_of(repo))

    def _as_git(self, repo: Repo) -> Repo:
        return replace(repo, source="git", location=self._clone_url(repo))
