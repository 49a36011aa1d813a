"""The walk over releases, which come whole and are kept at once when the last page has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sparky.forge import BEGINNING, Gap
from sparky.source.walk import Node, Taken, Walk


@dataclass
class ReleaseWalk(Walk):
    """A walk over all releases, newest first."""

    found: list[Node] = field(default_factory=list)
    lost: int = 0
    """How many could not be read since the last that could."""

    def plan(self) -> None:
        if self.mark.until is None or self.mark.seen != self.seen:
            self.read_whole(BEGINNING)

    def take(self, nodes: Sequence[Node | None], more: bool, cursor: str | None) -> Taken:
        phase = self.phases[0]
        for node in nodes:
            if node is None:
                self.lost += 1
                continue
            self._lose(node["tagName"])
            if not node["isDraft"] and node["publishedAt"]:
                self.found.append(node)
        if more:
            phase.cursor = cursor
            return Taken((), self.mark)
        self._lose("")
        self.phases.clear()
        mark = replace(self.mark, since=BEGINNING, until=phase.started, seen=phase.seen, gaps=())
        if self.gaps:
            # It was published before it could not be read for the first time.
            met = {gap.text: gap.newest for gap in self.mark.gaps}
            self.gaps = [replace(gap, newest=met.get(gap.text, self.now)) for gap in self.gaps]
            mark, fresh = self.with_gaps(mark)
            mark = replace(mark, seen="" if fresh else mark.seen)
        self.mark = mark
        return Taken(self.found, self.mark, self.leaving())

    def restart(self) -> bool:
        self.found.clear()
        self.gaps.clear()
        self.lost = 0
        return super().restart()

    def _lose(self, below: str) -> None:
        """Write down what could not be read just above a release, or above nothing.

        The text names the older neighbour, which stays: so a loss is known again next time.
        """
        if self.lost:
            what = "a release" if self.lost == 1 else f"{self.lost} releases"
            place = f"just after {below}" if below else "before all others"
            self.gaps.append(
                Gap(f"{what} {place} could not be read: GitHub fails on it", BEGINNING)
            )
            self.lost = 0
