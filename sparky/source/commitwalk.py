"""The walk over the commits of the default branch.

They come from the tip down until all that is new hangs on what is known, however old its dates are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sparky.forge import ALWAYS, Gap
from sparky.source.walk import SECOND, Node, Phase, Taken, Walk

Known = Callable[[Collection[str]], frozenset[str]]
"""Which of some oids the mirror keeps."""


@dataclass
class CommitWalk(Walk):
    """A walk over commits; `known` tells which of them are kept."""

    known: Known = field(kw_only=True)
    frontier: set[str] = field(default_factory=set)
    """Parents of new commits that are neither known nor read yet."""
    fresh: set[str] = field(default_factory=set)
    parents: set[str] = field(default_factory=set)
    lost: int = 0

    def plan(self) -> None:
        mark, since = self.mark, self.window.since
        resume = mark.resume
        if not self.seen:
            return
        if mark.since is None or mark.until is None or (resume and resume.mode != "deep"):
            self.read_whole(min(since, mark.since or since), "")
            return
        if mark.seen != self.seen:
            self.phases.append(Phase("top", mark.since, self.now, self.seen))
        if since < mark.since:
            phase = Phase("deep", since, self.now, self.seen, until=mark.since - SECOND)
            self.phases.append(phase)

    def read_whole(self, floor: datetime, seen: str | None = "") -> Phase:
        """As the base does; what was seen is the tip that the first page hangs on."""
        return super().read_whole(floor, seen)

    def take(self, nodes: Sequence[Node | None], more: bool, cursor: str | None) -> Taken:
        return self.take_from("", nodes, more, cursor)

    def take_from(
        self, head: str, nodes: Sequence[Node | None], more: bool, cursor: str | None
    ) -> Taken:
        """As `take`; `head` is the tip that the page hangs on."""
        phase = self.phases[0]
        phase.seen = phase.seen or head
        if phase.mode == "top" and phase.cursor is None:
            phase.seen, self.frontier = head, {head}
        found = self._read(nodes)
        phase.pages += 1
        if not more or (phase.mode == "top" and self._hangs(found)):
            self.phases.popleft()
            self._end(phase)
        else:
            phase.cursor = cursor
            self.mark = self.interrupted(phase)
        return Taken(found, self.mark, self.leaving())

    def restart(self) -> bool:
        """The tip that the cursor named is gone."""
        again = super().restart()
        self.lost = 0
        self.mark = replace(self.mark, resume=None)
        self.again()
        return again

    @property
    def is_emptied(self) -> bool:
        """Whether there was a default branch, and is none any more."""
        return not self.seen and bool(self.mark.seen or self.mark.until)

    def empty(self) -> Taken:
        """There is no default branch."""
        self.phases.clear()
        self.mark = replace(
            self.mark,
            since=None,
            until=None,
            seen="",
            way="",
            gaps=(),
            resume=None,
            reading=self.mark.reading + 1,
        )
        return Taken((), self.mark, ALWAYS)

    def _read(self, nodes: Sequence[Node | None]) -> list[Node]:
        found = [node for node in nodes if node is not None]
        self.lost += len(nodes) - len(found)
        return found

    def _hangs(self, nodes: Sequence[Node]) -> bool:
        """Whether everything new hangs on what is known."""
        parents = {node["oid"]: [p["oid"] for p in node["parents"]["nodes"]] for node in nodes}
        asked = {*parents, *(oid for each in parents.values() for oid in each)}
        known = self.known(asked) - self.fresh
        for oid, above in parents.items():
            self.frontier.discard(oid)
            if oid not in known:
                self.fresh.add(oid)
                self.parents.update(above)
                self.frontier.update(set(above) - known - self.fresh)
        return not self.frontier

    def _end(self, phase: Phase) -> None:
        before = self.mark
        mark = replace(before, until=phase.started, resume=None)
        if phase.mode == "top":
            mark = replace(mark, seen=phase.seen)
            if before.seen not in self.parents and phase.seen != before.seen:
                # The former tip is not below the new one: history was written anew.
                self.mark = mark
                self.again()
                return
        elif phase.mode == "whole":
            mark = replace(mark, since=phase.floor, seen=phase.seen, gaps=())
        else:
            mark = replace(mark, since=min(phase.floor, mark.since or phase.floor))
        if self.lost:
            what = "a commit" if self.lost == 1 else f"{self.lost} commits"
            text = f"{what} could not be read: GitHub fails on it"
            # Dates of commits are in no order, but it was made before it was met.
            met = {gap.text: gap.newest for gap in before.gaps}
            self.gaps = [Gap(text, met.get(text, self.now))]
            mark, fresh = self.with_gaps(mark)
            mark = replace(mark, seen="" if fresh else mark.seen)
        self.mark = mark
