"""What a digest is worth beside a changelog: pure counting, tested without any model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from bench.quality.windows import Entry
from sparky import claims
from sparky.claims.stems import stem
from sparky.model import Digest, Origin, Point

ENOUGH = 2
"""Terms of an entry that a text must have to tell it; all of them where there are fewer."""

Group = tuple[str, ...]
"""Keys of the activities that an engine was asked to tell in one point."""


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of one window, or of several together."""

    entries: int = 0
    """Entries of the changelog that name a commit of the window."""
    cited: int = 0
    """Of those, entries whose commit a point cites."""
    tellable: int = 0
    """Of the entries, those of which the message of one of their commits has as much as telling
    takes: who reads messages alone can tell no other. 0 where it was not counted."""
    told: int = 0
    """Of those that are cited, entries that such a point tells in its own words: it has two of the entry's terms."""
    asked: int = 0
    """Points that the engine was asked for."""
    first: int = 0
    """Of those, points that passed the check at once."""
    repaired: int = 0
    """Of those, points that passed after the one repair."""
    extractive: int = 0
    """Of those, points for which the activity's own title stands."""
    points: int = 0
    by_engine: int = 0
    words: int = 0
    false: int = 0
    """Claims of points and headlines that the second look did not find in the data."""
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def __add__(self, other: Score) -> Score:
        return Score(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Score)))


def entries(digest: Digest, wanted: Iterable[Entry]) -> tuple[int, int, int]:
    """Entries of a changelog that could be told, that are cited, and that are told."""
    possible = cited = told = 0
    for entry in wanted:
        if not entry.commits:
            continue
        keys = {f"commit:{oid}" for oid in entry.commits}
        about = [point for point in digest.points if keys & set(point.cites)]
        possible += 1
        cited += bool(about)
        told += any(tells(point, entry) for point in about)
    return possible, cited, told


def tellable(messages: Mapping[str, str], wanted: Iterable[Entry]) -> int:
    """Entries that the message of one of their commits tells; messages by the commit's oid."""
    return sum(any(has(messages.get(oid, ""), one) for oid in one.commits) for one in wanted)


def tells(point: Point, entry: Entry) -> bool:
    """Whether a point that cites an entry's commit has enough of the entry's terms."""
    return has(point.text, entry)


def has(text: str, entry: Entry) -> bool:
    """Whether a text has enough of an entry's terms."""
    said = {stem(word) for word in _words(text)} | claims.telling(text)
    found = sum(term.casefold() in text.casefold() or stem(term) in said for term in entry.terms)
    return found >= min(ENOUGH, len(entry.terms))


def _words(text: str) -> list[str]:
    return [word.strip("`'\"().,:;") for word in text.split()]


def passed(
    asked: Sequence[Group], again: Sequence[Group], points: Iterable[Point]
) -> tuple[int, int, int]:
    """Of the groups that were asked for: told at once, after the repair, and by their titles."""
    engine = [set(point.cites) for point in points if point.origin is Origin.ENGINE]
    told = [group for group in asked if any(cites & set(group) for cites in engine)]
    repaired = sum(group in set(again) for group in told)
    return len(told) - repaired, repaired, len(asked) - len(told)
