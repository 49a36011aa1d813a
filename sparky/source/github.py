"""The Source that reads GitHub: commits, pull requests, issues and releases, what is new only.

What GitHub has shown is kept in a mirror. A probe of many repositories at once tells which have
changed; only those are asked about, from the marks on that an earlier visit left.
"""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from sparky import redact
from sparky.errors import SourceError, Throttled
from sparky.forge import ALWAYS, BEGINNING, Item, Mark, Mirror, State
from sparky.model import Activity, Kind, Repo, Window
from sparky.ports import Census, Clock, Source
from sparky.source import githubparse
from sparky.source.commitwalk import CommitWalk
from sparky.source.githubparse import Node
from sparky.source.githubwire import Wire
from sparky.source.limits import Limits
from sparky.source.location import Remote, understand
from sparky.source.pages import Page, first_seen, owner_of, turn
from sparky.source.probing import Prober
from sparky.source.walk import Phase, Walk
from sparky.source.walks import walk

BY_GIT: Final = 5_000
"""From so many commits in a window on, git is cheaper than GraphQL's 73 commits a point."""


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
        git_bytes: int = Limits().bytes,
        clone_url: Callable[[Repo], str] = lambda repo: f"{repo.location}.git",
    ) -> None:
        self.wire = wire
        self._mirror = mirror
        self._here = threading.local()
        """What each thread counted last."""
        self._prober = Prober(wire, mirror, clock)
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
        state = self._bring(repo, window)
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
        source, place = self._by_git(repo), self._as_git(repo)
        commits = (a for a in source.activities(place, window) if a.kind is Kind.COMMIT)
        with closing(commits):
            yield from heapq.merge(kept, commits, key=lambda found: found.at, reverse=True)

    def _counted(self, repo: Repo, window: Window) -> _Counted:
        """The census of this window, which usually was just made here."""
        last: _Counted | None = getattr(self._here, "counted", None)
        if last is not None and (last.repo_id, last.window) == (repo.id, window):
            return last
        state = self._mirror.state(repo.id, window)
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

    # what is missing

    def _bring(self, repo: Repo, window: Window) -> State:
        """Ask for what the mirror lacks of the window; what it has then."""
        state = self._mirror.state(repo.id, window)
        walks = self._walks(repo, window, state)
        if _is_whole(walks):
            return state
        with self._mirror.exclusive(repo):
            # Another worker may just have brought it.
            walks = self._walks(repo, window, self._mirror.state(repo.id, window))
            commits = walks[Kind.COMMIT]
            if isinstance(commits, CommitWalk) and commits.is_emptied:
                taken = commits.empty()
                self._mirror.keep(repo.id, taken.mark, drop=taken.drop)
            while any(one.phase for one in walks.values()):
                self._round(repo, walks, window)
        return self._mirror.state(repo.id, window)

    def _walks(self, repo: Repo, window: Window, state: State) -> Mapping[Kind, Walk]:
        """What is to be done for each kind."""
        probe = self._prober.probed(repo)

        def known(oids: Collection[str]) -> frozenset[str]:
            keys = self._mirror.known(repo.id, [f"commit:{oid}" for oid in oids])
            return frozenset(key.removeprefix("commit:") for key in keys)

        walks: dict[Kind, Walk] = {}
        for kind in Kind:
            mark, seen = state.marks.get(kind, Mark(kind=kind)), probe.seen.get(kind, "")
            walks[kind] = walk(kind, mark, window, seen, now=self._clock(), known=known)
        way = walks[Kind.COMMIT].mark.way
        unchanged = walks[Kind.COMMIT].mark.seen == probe.seen.get(Kind.COMMIT)
        if self._cloneable(repo) and (way.startswith("git: GitHub") or (way and unchanged)):
            # Denied, or too many, before; git brings what is new by itself.
            walks[Kind.COMMIT].phases.clear()
        return walks

    def _round(self, repo: Repo, walks: Mapping[Kind, Walk], window: Window) -> None:
        """One request: a page of each kind that lacks something."""
        turned = turn(self.wire, repo, walks, window)
        for kind, reason in turned.lost.items():
            self._denied(repo, walks[kind], reason)
        for kind, page in turned.pages.items():
            one, phase = walks[kind], walks[kind].phase
            if isinstance(one, CommitWalk):
                if page.total is not None and page.total >= BY_GIT and self._cloneable(repo):
                    self._use_git(
                        repo, one, f"there are {page.total:,} in the window and git is quicker"
                    )
                    continue
                one.mark = replace(one.mark, way="")
                taken = one.take_from(page.head, page.nodes, page.more, page.cursor)
            else:
                taken = one.take(page.nodes, page.more, page.cursor)
            items = [_item(kind, node) for node in taken.nodes]
            if one.phases or one.is_whole or not self._countable(one, phase, page):
                self._mirror.keep(repo.id, one.mark, items, taken.drop)
                continue
            # Nobody may rely on the new mark before what is kept has been counted.
            self._mirror.keep(repo.id, replace(one.mark, seen=""), items, taken.drop)
            if self._differs(repo, one, page, window):
                one.again()
            self._mirror.keep(repo.id, one.mark)

    def _countable(self, one: Walk, phase: Phase | None, page: Page) -> bool:
        """Whether what GitHub counts must be what is kept; it is not where GitHub fails on some."""
        if page.total is None or one.gaps:
            return False
        # Issues are counted from the mark on, which a walk into the depth moves.
        return one.mark.kind is Kind.COMMIT or (phase is not None and phase.mode == "top")

    def _differs(self, repo: Repo, one: Walk, page: Page, window: Window) -> bool:
        """Whether GitHub counts others than there are: history was written anew, issues deleted."""
        if one.mark.kind is Kind.COMMIT:
            return page.total != self._mirror.state(repo.id, window).counts[Kind.COMMIT]
        since = one.mark.since or BEGINNING
        return (page.total or 0) < self._mirror.updated(repo.id, one.mark.kind, since)

    def _denied(self, repo: Repo, one: Walk, reason: str) -> None:
        """A kind that no credential may read, or that GitHub fails on."""
        if isinstance(one, CommitWalk) and self._cloneable(repo):
            self._use_git(repo, one, f"GitHub gives none: {reason}")
            return
        name = one.mark.kind.value.replace("_", " ")
        self._mirror.keep(repo.id, one.deny(f"No {name}s could be read: {reason}"))

    def _use_git(self, repo: Repo, one: CommitWalk, why: str) -> None:
        one.phases.clear()
        one.mark = replace(one.empty().mark, seen=one.seen, way=f"git: {why}")
        self._mirror.keep(repo.id, one.mark, drop=ALWAYS)

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


def _is_whole(walks: Mapping[Kind, Walk]) -> bool:
    """Whether the mirror has all that was asked for."""
    commits = walks[Kind.COMMIT]
    emptied = isinstance(commits, CommitWalk) and commits.is_emptied
    return not emptied and not any(one.phase for one in walks.values())


def _item(kind: Kind, node: Node) -> Item:
    """The item, without the secrets that stand in its text."""
    item = githubparse.item(kind, node)
    return replace(item, activity=redact.clean(item.activity))
