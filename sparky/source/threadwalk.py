"""The walk over pull requests and issues, which come by their last update, newest first.

Whatever was opened, merged, closed or edited since the last walk stands at the front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sparky.forge import BEGINNING, END, Gap, Mark
from sparky.source.githubparse import updated
from sparky.source.walk import OVERLAP, Node, Phase, Taken, Walk


@dataclass
class ThreadWalk(Walk):
    """A walk over pull requests or issues."""

    low: datetime = END
    """Below everything that was lost."""
    leaky: bool = False
    """Whether something below the floor could not be read."""

    def plan(self) -> None:
        mark, since = self.mark, self.window.since
        resume = mark.resume
        if mark.since is None or mark.until is None or (resume and resume.mode == "whole"):
            self.read_whole(min(since, resume.floor) if resume else since)
            return
        if _fell(mark.seen, self.seen):
            # Something was deleted, and nobody says what.
            self.read_whole(min(since, mark.since))
            return
        if since < mark.since:
            cursor = resume.cursor if resume and resume.mode == "deep" else mark.bottom
            if not cursor:
                # Nothing leads to what lies deeper: everything is read from the top once more.
                self.read_whole(since)
                return
            self.phases.append(Phase("deep", since, self.now, self.seen, cursor))
        if mark.seen != self.seen:
            phase = Phase("top", mark.until - OVERLAP, self.now, self.seen)
            if resume and resume.mode == "top":
                phase.cursor, phase.started = resume.cursor, resume.started
                phase.pages = 1
            self.phases.append(phase)

    def take(self, nodes: Sequence[Node | None], more: bool, cursor: str | None) -> Taken:
        phase = self.phases[0]
        found, done = self._read(phase, nodes)
        phase.pages += 1
        if done or not more:
            self.phases.popleft()
            self._end(phase, more, cursor)
        else:
            phase.cursor = cursor
            self.mark = self.interrupted(phase)
        return Taken(found, self.mark, self.leaving())

    def restart(self) -> bool:
        again = super().restart()
        if self.phases[0].mode == "deep":
            floor = self.phases.popleft().floor
            self.phases.clear()
            self.mark = replace(self.mark, resume=None)
            self.read_whole(floor)
        return again

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
            text = f"a {self.name} could not be read: GitHub fails on it"
            self.gaps += [Gap(text, newest) for newest in lost]
            lost.clear()

    def _end(self, phase: Phase, more: bool, cursor: str | None) -> None:
        mark = replace(self.mark, resume=None)
        if phase.mode in {"whole", "deep"}:
            mark = replace(
                mark,
                since=phase.floor if more else BEGINNING,
                bottom=(cursor or "") if more and not self.leaky else "",
            )
        if phase.mode in {"whole", "top"}:
            # What could not be read below the floor was not tried now.
            left = tuple(gap for gap in mark.gaps if gap.newest < phase.floor)
            mark = replace(mark, until=phase.started, seen=phase.seen, gaps=left)
            if phase.pages > 1:
                # What was updated meanwhile has moved to the front, away from where we read.
                again = Phase("top", phase.started - OVERLAP, self.now, phase.seen)
                self.phases.append(again)
        self.mark = self._holding(mark) if self.gaps else mark

    def _holding(self, mark: Mark) -> Mark:
        """The mark stays below a gap, so that it is tried again next time; not for ever."""
        mark, fresh = self.with_gaps(mark)
        if fresh:
            mark = replace(mark, until=min(mark.until or self.now, self.low), seen="")
        return mark


def _fell(before: str, now: str) -> bool:
    """Whether there are fewer in all than before, by what two probes said of the kind."""
    old, new = before.partition(" ")[0], now.partition(" ")[0]
    return old.isdecimal() and new.isdecimal() and int(new) < int(old)
