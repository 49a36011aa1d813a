"""The Source that reads GitHub: commits, pull requests, issues and releases, what is new only.

What GitHub has shown is kept in a mirror. A probe of many repositories at once tells which have
changed; only those are asked about, from the marks on that an earlier visit left.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Final

from sparky import redact
from sparky.errors import SourceError
from sparky.forge import ALWAYS, Item, Mark, Mirror, Probe
from sparky.model import Activity, Kind, Repo, Window
from sparky.ports import Census, Clock, Source
from sparky.source import githubparse
from sparky.source.githubparse import Node
from sparky.source.githubwire import Wire
from sparky.source.location import Remote, understand
from sparky.source.pages import Page, first_seen, owner_of, turn
from sparky.source.probing import Prober
from sparky.source.walk import CommitWalk, Walk, walk

BY_GIT: Final = 5_000
"""From so many commits in a window on, git is cheaper than GraphQL's 73 commits a point."""


class GitHubSource:
    """Errors: SourceError, Transient, Throttled.

    Args:
        wire: the way to GitHub.
        mirror: what was seen before.
        clock: the time in UTC.
        host: the web host whose repositories these are.
        git: reads commits where GraphQL is denied or dear; told whose token to use by an owner.
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
        clone_url: Callable[[Repo], str] = lambda repo: f"{repo.location}.git",
    ) -> None:
        self.wire = wire
        self._mirror = mirror
        self._way = ("", "")
        """The repository that was counted last, and how its commits come."""
        self._prober = Prober(wire, mirror, clock)
        self._clock = clock
        self._host = host
        self._git = git
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
        marks = self._bring(repo, window)
        expected = dict(self._mirror.counts(repo.id, window))
        notes: list[str] = []
        gaps = [
            gap.text for mark in marks.values() for gap in mark.gaps if gap.newest >= window.since
        ]
        self._way = (repo.id, marks[Kind.COMMIT].way)
        way, _, why = marks[Kind.COMMIT].way.partition(": ")
        if way == "git":
            by_git = self._by_git(repo).census(self._as_git(repo), window)
            expected[Kind.COMMIT] = by_git.expected.get(Kind.COMMIT, 0)
            notes += [f"Commits came by git, since {why}.", *by_git.notes]
        return Census(expected, tuple(notes), tuple(dict.fromkeys(gaps)))

    def activities(self, repo: Repo, window: Window) -> Iterator[Activity]:
        """Stream what the mirror has of the window, newest first."""
        kept = (item.within(window) for item in self._mirror.items(repo.id, window))
        known, way = self._way
        if known != repo.id:
            mark = self._mirror.marks(repo.id).get(Kind.COMMIT)
            way = mark.way if mark else ""
        if not way:
            yield from kept
            return
        source, place = self._by_git(repo), self._as_git(repo)
        commits = (a for a in source.activities(place, window) if a.kind is Kind.COMMIT)
        with closing(commits):
            yield from heapq.merge(kept, commits, key=lambda found: found.at, reverse=True)

    # what is missing

    def _bring(self, repo: Repo, window: Window) -> Mapping[Kind, Mark]:
        """Ask for what the mirror lacks of the window; the marks as they are then."""
        walks = self._walks(repo, window)
        if any(one.phase for one in walks.values()):
            with self._mirror.exclusive(repo):
                # Another worker may just have brought it.
                walks = self._walks(repo, window)
                while any(one.phase for one in walks.values()):
                    self._round(repo, walks, window)
        return {kind: one.mark for kind, one in walks.items()}

    def _walks(self, repo: Repo, window: Window) -> Mapping[Kind, Walk]:
        """What is to be done for each kind."""
        probe = self._prober.probed(repo)
        marks = self._mirror.marks(repo.id)

        def known(oids: Collection[str]) -> frozenset[str]:
            keys = self._mirror.known(repo.id, [f"commit:{oid}" for oid in oids])
            return frozenset(key.removeprefix("commit:") for key in keys)

        walks: dict[Kind, Walk] = {}
        for kind in Kind:
            mark, seen = marks.get(kind, Mark(kind=kind)), probe.seen.get(kind, "")
            walks[kind] = walk(kind, mark, window, seen, now=self._clock(), known=known)
        self._commits_way(repo, walks[Kind.COMMIT], probe)
        return walks

    def _commits_way(self, repo: Repo, commits: Walk, probe: Probe) -> None:
        """What needs no page: an empty repository, or commits that come by git."""
        if not probe.seen.get(Kind.COMMIT) and isinstance(commits, CommitWalk):
            if commits.mark.seen or commits.mark.until:
                taken = commits.empty()
                self._mirror.keep(repo.id, taken.mark, drop=taken.drop)
        elif commits.mark.way.startswith("git: GitHub"):
            # Denied before; git brings what is new by itself.
            commits.phases.clear()
            self._by_git(repo).refresh(self._as_git(repo))

    def _round(self, repo: Repo, walks: Mapping[Kind, Walk], window: Window) -> None:
        """One request: a page of each kind that lacks something."""
        turned = turn(self.wire, repo, walks, window)
        for kind, reason in turned.lost.items():
            self._denied(repo, walks[kind], reason)
        for kind, page in turned.pages.items():
            one = walks[kind]
            if isinstance(one, CommitWalk):
                if page.total is not None and page.total >= BY_GIT and self._git:
                    self._use_git(
                        repo, one, f"there are {page.total:,} in the window and git is quicker"
                    )
                    continue
                one.mark = replace(one.mark, way="")
                taken = one.take_from(page.head, page.nodes, page.more, page.cursor)
            else:
                taken = one.take(page.nodes, page.more, page.cursor)
            items = [_item(kind, node) for node in taken.nodes]
            self._mirror.keep(repo.id, one.mark, items, taken.drop)
            if isinstance(one, CommitWalk) and not one.phases and not one.is_whole:
                self._check(repo, one, page, window)

    def _check(self, repo: Repo, commits: CommitWalk, page: Page, window: Window) -> None:
        """History may have been written anew: as many as GitHub counts, or all once more."""
        if page.total not in {None, self._mirror.counts(repo.id, window)[Kind.COMMIT]}:
            commits.again()

    def _denied(self, repo: Repo, one: Walk, reason: str) -> None:
        """A kind that no credential may read, or that GitHub fails on."""
        if isinstance(one, CommitWalk) and self._git:
            self._use_git(repo, one, f"GitHub gives none: {reason}")
            return
        name = one.mark.kind.value.replace("_", " ")
        self._mirror.keep(repo.id, one.deny(f"No {name}s could be read: {reason}"))

    def _use_git(self, repo: Repo, one: CommitWalk, why: str) -> None:
        self._by_git(repo).refresh(self._as_git(repo))
        one.phases.clear()
        one.mark = replace(one.mark, since=None, until=None, way=f"git: {why}", resume=None)
        self._mirror.keep(repo.id, one.mark, drop=ALWAYS)

    def _by_git(self, repo: Repo) -> Source:
        if self._git is None:
            raise SourceError(f"commits of {repo.name} are to come by git, but there is none")
        return self._git(owner_of(repo))

    def _as_git(self, repo: Repo) -> Repo:
        return replace(repo, source="git", location=self._clone_url(repo))


def _item(kind: Kind, node: Node) -> Item:
    """The item, without the secrets that stand in its text."""
    item = githubparse.item(kind, node)
    return replace(item, activity=redact.clean(item.activity))
