"""What becomes of a repository: renamed, archived, unreadable. Known by its id, it stays the same.

Pure: two looks at one repository go in, what happened in between comes out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from sparky.facts import Facts


class Turn(StrEnum):
    """What can happen to a repository as a whole."""

    RENAMED = "renamed"
    TRANSFERRED = "transferred"
    ARCHIVED = "archived"
    UNARCHIVED = "unarchived"
    MADE_PRIVATE = "made private"
    MADE_PUBLIC = "made public"
    EMPTIED = "emptied"
    FILLED = "filled"
    UNREADABLE = "unreadable"
    """Deleted, or made private for every credential: a forge does not tell these apart."""
    READABLE = "readable again"


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a repository at a time."""

    name: str
    facts: Facts | None = None
    missing: str = ""
    """Why it cannot be read."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a repository as a whole."""

    turn: Turn
    was: str = ""
    """Its former name, where it has another one now."""
    now: str = ""
    """Its new name, or why it cannot be read."""

    def __str__(self) -> str:
        if self.was:
            return f"{self.turn} from {self.was} to {self.now}"
        return f"{self.turn}: it {self.now}" if self.now else str(self.turn)


def events(before: Look, after: Look) -> tuple[Event, ...]:
    """What happened between two looks at one repository, in the order in which people ask."""
    return tuple(_events(before, after))


def _events(before: Look, after: Look) -> Iterator[Event]:
    if after.missing:
        if not before.missing:
            yield Event(Turn.UNREADABLE, now=after.missing)
        return
    if before.missing:
        yield Event(Turn.READABLE)
    if before.name != after.name:
        moved = _owner(before.name) != _owner(after.name)
        turn = Turn.TRANSFERRED if moved else Turn.RENAMED
        yield Event(turn, was=before.name, now=after.name)
    old, new = before.facts, after.facts
    if old is None or new is None:
        return
    if old.archived != new.archived:
        yield Event(Turn.ARCHIVED if new.archived else Turn.UNARCHIVED)
    if old.private != new.private:
        yield Event(Turn.MADE_PRIVATE if new.private else Turn.MADE_PUBLIC)
    if old.empty != new.empty:
        yield Event(Turn.EMPTIED if new.empty else Turn.FILLED)


def states(facts: Facts | None, missing: str | None, *, huge: int) -> tuple[str, ...]:
    """What people should know of a repository, in words: `archived`, `private`, `huge`, …

    Args:
        missing: why it cannot be read, if it cannot.
        huge: bytes from which on it is too large to clone.
    """
    if missing:
        return ("unreadable",)
    if facts is None:
        return ()
    told = {
        "archived": facts.archived,
        "private": facts.private,
        "fork": facts.fork,
        "empty": facts.empty,
        "huge": facts.bytes > huge,
    }
    return tuple(word for word, holds in told.items() if holds)


def _owner(name: str) -> str:
    return name.partition("/")[0].casefold()
