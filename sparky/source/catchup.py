"""Bringing the mirror of one repository up to date: what it lacks, page by page."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

from sparky import redact
from sparky.forge import ALWAYS, BEGINNING, Item, Mark, Mirror, State
from sparky.model import Kind, Repo, Window
from sparky.ports import Clock
from sparky.source import githubparse
from sparky.source.commitwalk import CommitWalk
from sparky.source.githubparse import Node
from sparky.source.githubwire import Wire
from sparky.source.pages import Page, turn
from sparky.source.probing import Prober
from sparky.source.walk import Phase, Walk
from sparky.source.walks import walk

BY_GIT: Final = 5_000
"""From so many commits in a window on, git is cheaper than GraphQL's 73 commits a point."""


class CatchUp:
    """Errors: SourceError, Transient, Throttled.

    Args:
        wire: the way to GitHub.
        mirror: what was seen before.
        prober: says what has changed.
        clock: the time in UTC.
        cloneable: whether a repository's commits may come by git instead.
        by_git: from so many commits in a window on, they do.
    """

    def __init__(
        self,
        wire: Wire,
        mirror: Mirror,
        prober: Prober,
        clock: Clock,
        *,
        cloneable: Callable[[Repo], bool],
        by_git: int = BY_GIT,
    ) -> None:
        self._wire = wire
        self._mirror = mirror
        self._prober = prober
        self._clock = clock
        self._cloneable = cloneable
        self._most = by_git

    def bring(self, repo: Repo, window: Window) -> State:
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
        turned = turn(self._wire, repo, walks, window)
        for kind, reason in turned.lost.items():
            self._denied(repo, walks[kind], reason)
        for kind, page in turned.pages.items():
            one, phase = walks[kind], walks[kind].phase
            if isinstance(one, CommitWalk):
                if page.total is not None and page.total >= self._most and self._cloneable(repo):
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


def _is_whole(walks: Mapping[Kind, Walk]) -> bool:
    """Whether the mirror has all that was asked for."""
    commits = walks[Kind.COMMIT]
    emptied = isinstance(commits, CommitWalk) and commits.is_emptied
    return not emptied and not any(one.phase for one in walks.values())


def _item(kind: Kind, node: Node) -> Item:
    """The item, without the secrets that stand in its text."""
    item = githubparse.item(kind, node)
    return replace(item, activity=redact.clean(item.activity))
