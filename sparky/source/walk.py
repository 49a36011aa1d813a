"""A walk over the pages of one kind of one repository: marks in, marks out.

What a walk reads is kept as it comes, with the mark's count of whole readings; only when a whole
reading has ended well does what it did not see leave the mirror. So nobody ever finds less there
than there was.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sparky.forge import ALWAYS, END, Gap, Mark, Resume
from sparky.model import Window

Node = Mapping[str, Any]

OVERLAP = timedelta(minutes=10)
"""Read again before a mark: a replica may show an update late."""
SECOND = timedelta(seconds=1)
STUBBORN = timedelta(days=7)
"""What could not be read for so long is not asked for again each night."""
RESTARTS = 3


@dataclass(slots=True)
class Phase:
    """A part of a walk, in one direction: down to `floor`, from `cursor` on."""

    mode: str
    """`whole`: all from the top on; `top`: what is new; `deep`: what lies below the mark."""
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
    """Where all that the last whole reading did not see is to go."""


@dataclass
class Walk(ABC):
    """What every walk shares: phases, losses, and the end of a whole reading."""

    mark: Mark
    window: Window
    seen: str
    """What the probe says."""
    now: datetime
    phases: deque[Phase] = field(default_factory=deque)
    gaps: list[Gap] = field(default_factory=list)
    restarts: int = 0
    is_whole: bool = False

    def __post_init__(self) -> None:
        self.plan()

    @abstractmethod
    def plan(self) -> None:
        """Choose the phases, from the mark and from what the probe says."""

    @abstractmethod
    def take(self, nodes: Sequence[Node | None], more: bool, cursor: str | None) -> Taken:
        """Read a page; the mark that it returns is right once its nodes are kept."""

    @property
    def phase(self) -> Phase | None:
        """What to ask for next; None at the end."""
        return self.phases[0] if self.phases else None

    @property
    def name(self) -> str:
        """What people call one of the kind."""
        return self.mark.kind.value.replace("_", " ")

    def restart(self) -> bool:
        """The cursor is not valid any more: begin again; False when that has failed too often."""
        self.restarts += 1
        phase = self.phases[0]
        phase.cursor, phase.last = None, END
        return self.restarts <= RESTARTS

    def again(self) -> None:
        """What is kept is not what there is: read all of it once more."""
        self.phases.clear()
        self.mark = replace(self.mark, seen="")
        self.read_whole(min(self.window.since, self.mark.since or END))

    def deny(self, reason: str) -> Mark:
        """None of it may be read."""
        self.phases.clear()
        self.mark = replace(self.mark, seen="", gaps=(Gap(reason, END),), resume=None)
        return self.mark

    # for the walks themselves

    def read_whole(self, floor: datetime, seen: str | None = None) -> Phase:
        """Begin a reading of all from the top down to `floor`, or go on with one."""
        phase = Phase("whole", floor, self.now, self.seen if seen is None else seen)
        resume = self.mark.resume
        if resume and resume.mode == "whole" and resume.floor <= floor:
            phase.floor, phase.cursor = resume.floor, resume.cursor
            phase.started, phase.seen, phase.pages = resume.started, resume.seen, 1
        else:
            self.mark = replace(self.mark, reading=self.mark.reading + 1, resume=None)
        self.is_whole = True
        self.phases.append(phase)
        return phase

    def interrupted(self, phase: Phase) -> Mark:
        """The mark in the middle of a phase."""
        resume = Resume(phase.mode, phase.cursor or "", phase.floor, phase.started, phase.seen)
        return replace(self.mark, resume=resume)

    def leaving(self) -> Window | None:
        """Where what was not seen goes now: everywhere, after a whole reading without a loss."""
        return ALWAYS if self.is_whole and not self.phases and not self.gaps else None

    def with_gaps(self, mark: Mark) -> tuple[Mark, bool]:
        """The mark with what was lost, and whether it is to be tried again at the next visit."""
        met = {(gap.text, gap.newest): gap.met for gap in self.mark.gaps}
        gaps = [
            replace(gap, met=met.get((gap.text, gap.newest)) or self.now)
            for gap in dict.fromkeys(self.gaps)
        ]
        fresh = any(gap.met and gap.met > self.now - STUBBORN for gap in gaps)
        kept = [gap for gap in mark.gaps if gap not in gaps]
        return replace(mark, gaps=(*gaps, *kept)), fresh
