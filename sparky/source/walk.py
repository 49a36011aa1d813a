"""Which pages to ask for, and how far the mirror reaches after each: marks in, marks out.

Pull requests and issues come by their last update, newest first: whatever was opened, merged,
closed or edited since the last walk stands at the front. Commits come from the tip down until all
that is new hangs on what is known, however old its dates are. Releases come whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sparky.forge import ALWAYS, BEGINNING, END, Gap, Mark, Resume
from sparky.model import Kind, Window
from sparky.source.githubparse import updated

Node = Mapping[str, Any]
Known = Callable[[Collection[str]], frozenset[str]]
"""Which of some oids the mirror keeps."""

OVERLAP = timedelta(minutes=10)
"""Read again before a mark: a replica may show an update late."""
SECOND = timedelta(seconds=1)


@dataclass(slots=True)
class Phase:
    """A walk in one direction: down to `floor`, from `cursor` on."""

    mode: str
    """`first`, `top`, `deep` for what is sorted by update; `whole`, `top`, `deep` for commits."""
    floor: datetime
    started: datetime
    seen: str
    cursor: str | None = None
    until: datetime | None = None
    last: datetime = END
    pages: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """What one page comes to."""

    nodes: Sequence[Node]
    mark: Mark
    drop: Window | None = None


@dataclass
class Walk:
    """A walk over pull requests or issues."""

    mark: Mark
    window: Window
    seen: str
    """What the probe says."""
    now: datetime
    known: Known
    phases: deque[Phase] = field(default_factory=deque)
    gaps: list[Gap] = field(default_factory=list)
    low: datetime = END
    """Below everything that was lost."""
    restarts: int = 0
    leaky: bool = False
    """Whether something below the floor could not be read."""

    def __post_init__(self) -> None:
        self._plan()

    @property
    def phase(self) -> Phase | None:
        """What to ask for next; None at the end."""
        return self.phases[0] if self.phases else None

    def take(self, nodes: Sequence[Node | None], more: bool, cursor: str | None) -> Taken:
        """Read a page; the mark that it returns is right once its nodes are kept."""
        phase = self.phases[0]
        found, done = self._read(phase, nodes)
        phase.pages += 1
        if done or not more:
            self.phases.popleft()
            self._end(phase, more, cursor)
        else:
            phase.cursor = cursor
            self.mark = replace(self.mark, resume=self._resume(phase))
        return Taken(found, self.mark)

    def restart(self) -> bool:
        """The cursor is not valid any more: begin again at the top; False when that has failed."""
        self.restarts += 1
        phase = self.phases[0]
        phase.cursor, phase.last = None, END
        if phase.mode == "deep":
            phase.mode, phase.started, phase.seen = "first", self.now, self.seen
        return self.restarts <= 3

    def deny(self, reason: str) -> Mark:
        """None of it may be read."""
        self.phases.clear()
        self.mark = replace(self.mark, seen="", gaps=(Gap(reason, END),), resume=None)
        return self.mark

    def _plan(self) -> None:
        mark, since = self.mark, self.window.since
        resume = mark.resume
        if mark.since is None or mark.until is None:
            phase = Phase("first", since, self.now, self.seen)
            if resume and resume.mode == "first":
                floor = min(since, resume.floor)
                phase = Phase("first", floor, resume.started, resume.seen, resume.cursor, pages=1)
            self.phases.append(phase)
            return
        if since < mark.since:
            cursor = resume.cursor if resume and resume.mode == "deep" else mark.bottom
            # Without a cursor for what lies deeper, everything is read from the top once more.
            mode = "deep" if cursor else "first"
            self.phases.append(Phase(mode, since, self.now, self.seen, cursor or None))
            if mode == "first":
                return
        if mark.seen != self.seen:
            phase = Phase("top", mark.until - OVERLAP, self.now, self.seen)
            if resume and resume.mode == "top":
                phase.cursor, phase.started = resume.cursor, resume.started
                phase.pages = 1
            self.phases.append(phase)

    def _read(self, phase: Phase, nodes: Sequence[Node | None]) -> tuple[list[Node], bool]:
        """What a page holds, and whether it reaches below the floor."""
        found: list[Node] = []
        lost: list[datetime] = []
        done = False
        for node in nodes:
            if node is None:
                lost.append(phase.last)
                continue
            phase.last = updated(self.mark.kind, node)
            found.append(node)
            if not done:
                self._lose(lost, phase.last)
            done = done or phase.last < phase.floor
        if not done:
            self._lose(lost, phase.floor)
        # What was lost below the floor is no loss now, but the cursor has passed it.
        self.leaky = self.leaky or bool(lost)
        return found, done

    def _lose(self, lost: list[datetime], low: datetime) -> None:
        """Write down what could not be read above `low`."""
        if lost:
            self.low = min(self.low, low)
            name = self.mark.kind.value.replace("_", " ")
            self.gaps += [Gap(f"a {name} could not be read: GitHub fails on it", n) for n in lost]
            lost.clear()

    def _end(self, phase: Phase, more: bool, cursor: str | None) -> None:
        mark = replace(self.mark, resume=None)
        if phase.mode in {"first", "deep"}:
            mark = replace(
                mark,
                since=phase.floor if more else BEGINNING,
                bottom=(cursor or "") if more and not self.leaky else "",
            )
        if phase.mode in {"first", "top"}:
            mark = replace(mark, until=phase.started, seen=phase.seen, gaps=())
            if phase.pages > 1:
                # What was updated meanwhile has moved to the front, away from where we read.
                again = Phase("top", phase.started - OVERLAP, self.now, phase.seen)
                self.phases.append(again)
        if self.gaps:
            # The mark stays below a gap, so that it is tried again next time.
            until = min(mark.until or self.now, self.low)
            mark = replace(mark, until=until, seen="", gaps=tuple(dict.fromkeys(self.gaps)))
        self.mark = mark

    def _resume(self, phase: Phase) -> Resume:
        return Resume(phase.mode, phase.cursor or "", phase.floor, phase.started, phase.seen)


@dataclass
class CommitWalk(Walk):
    """A walk over the commits of the default branch."""

    frontier: set[str] = field(default_factory=set)
    """Parents of new commits that are neither known nor read yet."""
    fresh: set[str] = field(default_factory=set)
    parents: set[str] = field(default_factory=set)
    is_whole: bool = False

    def _plan(self) -> None:
        mark, since = self.mark, self.window.since
        resume = mark.resume
        if not self.seen:
            return
        if mark.since is None or mark.until is None or (resume and resume.mode != "deep"):
            floor = min(since, mark.since or since)
            phase = self._from(floor)
            if resume and resume.mode == "whole" and resume.floor <= floor:
                phase.cursor, phase.seen = resume.cursor, resume.seen
                phase.floor = resume.floor
            self.phases.append(phase)
            return
        if mark.seen != self.seen:
            self.phases.append(Phase("top", mark.since, self.now, self.seen))
        if since < mark.since:
            phase = Phase("deep", since, self.now, self.seen, until=mark.since - SECOND)
            self.phases.append(phase)

    def _from(self, floor: datetime) -> Phase:
        self.is_whole = True
        return Phase("whole", floor, self.now, "")

    def again(self) -> None:
        """Read all of it once more: what is kept is not what there is."""
        self.phases.clear()
        self.phases.append(self._from(min(self.window.since, self.mark.since or END)))

    def take_from(
        self, head: str, nodes: Sequence[Node | None], more: bool, cursor: str | None
    ) -> Taken:
        """As `take`; `head` is the tip that the page hangs on."""
        phase = self.phases[0]
        first = phase.cursor is None
        phase.seen = phase.seen or head
        if phase.mode == "top" and first:
            phase.seen, self.frontier = head, {head}
        found, _ = self._read(phase, nodes)
        phase.pages += 1
        drop = Window(phase.floor, END) if phase.mode == "whole" and first else None
        if not more or (phase.mode == "top" and self._hangs(found)):
            self.phases.popleft()
            self._close(phase)
        else:
            phase.cursor = cursor
            self.mark = replace(self.mark, resume=self._resume(phase))
        return Taken(found, self.mark, drop)

    def restart(self) -> bool:
        """The tip that the cursor named is gone."""
        self.restarts += 1
        self.again()
        return self.restarts <= 3

    def empty(self) -> Taken:
        """There is no default branch."""
        self.phases.clear()
        self.mark = replace(self.mark, since=None, until=None, seen="", gaps=(), resume=None)
        return Taken((), self.mark, ALWAYS)

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

    def _close(self, phase: Phase) -> None:
        before = self.mark
        mark = replace(before, until=phase.started, resume=None)
        if phase.mode == "top":
            mark = replace(mark, seen=phase.seen, gaps=())
            if before.seen not in self.parents and phase.seen != before.seen:
                # The former tip is not below the new one: history was written anew.
                self.mark = mark
                self.again()
                return
        else:
            mark = replace(mark, since=min(phase.floor, mark.since or phase.floor))
            if phase.mode == "whole":
                mark = replace(mark, since=phase.floor, seen=phase.seen, gaps=())
        if self.gaps:
            mark = replace(mark, seen="", gaps=tuple(self.gaps))
        self.mark = mark


@dataclass
class ReleaseWalk(Walk):
    """All releases, kept at once when the last page has come."""

    found: list[Node] = field(default_factory=list)

    def _plan(self) -> None:
        if self.mark.until is None or self.mark.seen != self.seen:
            self.phases.append(Phase("whole", BEGINNING, self.now, self.seen))

    def take(self, nodes: Sequence[Node | None], more: bool, cursor: str | None) -> Taken:
        phase = self.phases[0]
        for node in nodes:
            if node is None:
                self._lose([END], BEGINNING)
            elif not node["isDraft"] and node["publishedAt"]:
                self.found.append(node)
        if more:
            phase.cursor = cursor
            return Taken((), self.mark)
        self.phases.clear()
        seen = "" if self.gaps else phase.seen
        self.mark = replace(
            self.mark, since=BEGINNING, until=phase.started, seen=seen, gaps=tuple(self.gaps)
        )
        # After a loss, what was kept before is better than nothing.
        return Taken(self.found, self.mark, None if self.gaps else ALWAYS)

    def restart(self) -> bool:
        self.found.clear()
        self.gaps.clear()
        return super().restart()


def walk(kind: Kind, mark: Mark, window: Window, seen: str, *, now: datetime, known: Known) -> Walk:
    """What is to be done for a kind, from its mark and what a probe says."""
    if kind is Kind.COMMIT:
        return CommitWalk(mark, window, seen, now, known)
    if kind is Kind.RELEASE:
        return ReleaseWalk(mark, window, seen, now, known)
    return Walk(mark, window, seen, now, known)
