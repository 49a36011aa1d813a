"""What became what, what was put where, and which way: told in the right direction."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set

from sparky import paths
from sparky.claims import evidence as ev
from sparky.claims.evidence import Evidence
from sparky.claims.lexicon import DIRECTIONS, FREE, FUNCTION, NUMBERS, act, supported
from sparky.claims.statement import Statement
from sparky.claims.stems import stem
from sparky.paths import Sort

_TO_VERSION = re.compile(r"\b(?:updat|upgrad|bump)\w*\s.*\bto\s+(?:version\s+)?v?\d", re.IGNORECASE)


def directions(said: Statement) -> Iterator[str]:
    """`above` is not `below`: a word is wrong whose opposite alone stands in the activities."""
    doubtful = [word for word in said.plain if word in DIRECTIONS and not said.knows(word)]
    if not doubtful:
        return
    source = frozenset(word for one in said.evidence for word in ev.words(one.folded))
    for word in doubtful:
        others = DIRECTIONS[word]
        if not others.isdisjoint(source):
            yield f"says {word}, where the activities say {min(others & source)}"


def pairs(said: Statement) -> Iterator[str]:
    """What became what is told in the right order."""
    source = [pair for one in said.evidence for pair in one.pairs]
    for pair in ev.pairs(said.text):
        if any(pair.same(other) for other in source):
            continue
        if any(pair.reversed(other) for other in source):
            yield "turns around what became what"
        elif all(any(w[:1].isdigit() for w in side) for side in (pair.old, pair.new)):
            yield "says from what to what, which the activities do not"


_GIVEN = re.compile(r"^\w+ (?P<what>.+?) (?P<how>to|from) (?P<place>.+)$")


def places(said: Statement) -> Iterator[str]:
    """What was taken from a place, or given to it, is not the place, and the place is not that."""
    if len(said.evidence) != 1:
        return
    one = said.evidence[0]
    title = _GIVEN.match(" ".join(one.title_words))
    if not title or act(stem(one.title_words[0])) not in {"add", "remove", "move"}:
        return
    what, place = _named(title["what"]) - _named(title["place"]), _named(title["place"])
    text = _GIVEN.match(" ".join(said.words))
    if text and text["how"] == title["how"]:
        turned = _named(text["place"])
        if what & turned and not place & turned:
            yield f"turns around what was done {title['how']} what"
    elif not text and title["how"] == "from" and said.plain:
        same = act(stem(said.plain[0])) == act(stem(one.title_words[0]))
        told = _named(" ".join(said.words[1:]))
        if same and what and not what & told and place & told:
            yield f"says {said.plain[0]} of what it was taken from"


_IN = re.compile(
    r"\b(?:in|for|of|within|from) (?:the |an? )?(?P<place>\w+(?: \w+){0,2})[.,]", re.IGNORECASE
)
_BESIDE = frozenset({Sort.TESTS, Sort.DOCUMENTATION, Sort.CHANGELOG, Sort.LOCK})


def lies(said: Statement) -> Iterator[str]:
    """A place that no message tells of, but a path, is told where all changed code lies there."""
    matches = list(_IN.finditer(said.text))
    message = frozenset[str]().union(*(one.message for one in said.evidence if matches))
    for match in matches:
        named = _named(match["place"]) - NUMBERS.keys()
        place = {w for w in named if not supported(w, message) and not w.isdigit()}
        if place and not any(_within(place, one) for one in said.evidence):
            yield f"says {match.group()[:-1]!r}, where only some of it lies"


def _within(place: Set[str], one: Evidence) -> bool:
    """Whether all files of a change lie at a place; tests, pages and locks only where all are such."""
    files = one.paths
    code = [path for path in files if paths.sort(path) not in _BESIDE] or files
    return all(any(supported(word, ev.of_path(path)) for word in place) for path in code)


def _named(text: str) -> frozenset[str]:
    return frozenset(stem(w) for w in ev.words(text) if w not in FUNCTION) - FREE


def versions(said: Statement) -> Iterator[str]:
    """What is said to be updated to a version is what an activity updates."""
    if _TO_VERSION.search(said.text) and not said.knows("bump") and not said.knows("upgrade"):
        yield "says that a version was updated, which the activities do not"
