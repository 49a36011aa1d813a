"""Which activities belong in one sentence: parts of one change, told by the same words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sparky import claims, paths, points, vocabulary, words
from sparky.model import Activity, Kind, Role, Traits
from sparky.paths import Sort

MOST = 4
"""Activities that one sentence can still name the parts of."""
ALIKE = 0.5
"""Share of telling words that two titles must have in common, and at least two of them."""
TERSE = 3
"""Telling words of titles that are alike by their area and verb: `types: add Zig`."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """What two activities are compared by."""

    request: str | None
    areas: frozenset[str]
    """What it touches, as its prefix says; not the kind of change."""
    verb: str
    files: frozenset[str]
    """Paths that it touches, change logs left out."""
    words: frozenset[str]
    standing: str
    """What is only proposed is not told together with what is done."""
    people: frozenset[str]
    """Who wrote it. Nobody's message is told together with another's: either may be a lie."""
    traits: Traits


def groups(
    activities: Sequence[Activity], traits: Mapping[str, Traits]
) -> tuple[tuple[Activity, ...], ...]:
    """Each activity in exactly one group of at most `MOST`, in the order of the first of each.

    Changes of one kind by the same people belong together if they are of one pull request, if their titles share half
    of their telling words, or if short titles have one area and one verb and touch the same files.
    """
    made: list[list[Activity]] = []
    marks = {one.key: _mark(one, traits[one.key]) for one in activities}
    for activity in activities:
        home = next(
            (
                group
                for group in made
                if len(group) < MOST
                and all(_alike(marks[activity.key], marks[other.key]) for other in group)
            ),
            None,
        )
        if home is None:
            made.append([activity])
        else:
            home.append(activity)
    return tuple(map(tuple, made))


def _mark(activity: Activity, traits: Traits) -> _Mark:
    requests = [k for k in activity.references if k.startswith(f"{Kind.PULL_REQUEST}:")]
    subject = words.parse(activity.title)
    return _Mark(
        request=requests[0] if len(requests) == 1 else None,
        areas=frozenset(subject.areas) - vocabulary.TYPES.keys(),
        verb=subject.text.partition(" ")[0].casefold(),
        files=frozenset(
            file.path for file in activity.files if paths.sort(file.path) is not Sort.CHANGELOG
        ),
        words=claims.telling(points.title(activity)),
        standing=claims.standing(activity),
        people=frozenset(credit.person.key for credit in activity.credits if credit.role in _WROTE),
        traits=traits,
    )


def _alike(one: _Mark, other: _Mark) -> bool:
    if (one.traits.change, one.traits.breaking) != (other.traits.change, other.traits.breaking):
        return False
    if one.standing != other.standing:
        return False
    if not one.words or not other.words or one.people.isdisjoint(other.people):
        return False
    if one.request and one.request == other.request:
        return True
    same = (one.areas, one.verb, one.files) == (other.areas, other.verb, other.files)
    if one.areas and same and max(len(one.words), len(other.words)) <= TERSE:
        return True
    shared = len(one.words & other.words)
    return shared > 1 and shared >= ALIKE * len(one.words | other.words)


_WROTE = (Role.AUTHOR, Role.CO_AUTHOR)


def flat(groups: Iterable[Sequence[Activity]]) -> list[Activity]:
    """All activities of some groups."""
    return [one for group in groups for one in group]
