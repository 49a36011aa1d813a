"""A text beside the evidence for it: its tokens, and the questions that all checks ask."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from sparky.claims import evidence as ev
from sparky.claims.evidence import Evidence
from sparky.claims.lexicon import FREE, SOFT, act, supported
from sparky.claims.stems import stem
from sparky.claims.verbs import is_verb, verb_first
from sparky.model import Activity, Kind

_QUOTED = re.compile(
    r"`([^`]+)`|\"([^\"]+)\"|\u201c([^\u201d]+)\u201d|(?<!\w)'([^']+)'(?!\w)"
    r"|\u2018([^\u2019]+)\u2019(?!\w)"
)
EDGES = "()[]{}\"'`,;:!?\u2018\u2019\u201c\u201d\u2026"
"""Punctuation that is no part of the word that it stands at."""
NUMBER = re.compile(r"[~<>≥≤]?v?(\d+(?:[.,]\d+)*)(%|\+|x|[a-zµ]{1,3})?", re.IGNORECASE)
_NAME = re.compile(r"[_/.\\=$*<>@~^+&|#:]|(?<=[^\W\d])\d|\d(?=[^\W\d])|(?<=\w)[A-Z]|^-|\(\)")


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a text without punctuation, or all that stands between quotes."""

    text: str
    first: bool
    """Whether it begins a sentence."""
    quoted: bool = False
    code: bool = False
    """Whether it stood between backticks."""
    name: bool = field(init=False)
    """Whether it has the form of an identifier, a path, a flag, a reference, an acronym."""
    number: re.Match[str] | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        named = self.quoted or _NAME.search(self.text) is not None
        object.__setattr__(self, "name", named)
        object.__setattr__(self, "number", None if self.quoted else NUMBER.fullmatch(self.text))


class Statement:
    """A text and the activities that it cites."""

    def __init__(self, text: str, activities: Sequence[Activity]) -> None:
        self.text = text
        self.evidence: tuple[Evidence, ...] = tuple(ev.of(activity) for activity in activities)

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        """Quotes as one token each, everything else between spaces."""
        return _tokens(self.text)

    @cached_property
    def words(self) -> list[str]:
        """All words in lower case, in order, names taken apart."""
        return [word for token in self.tokens for word in ev.words(token.text)]

    @cached_property
    def plain(self) -> list[str]:
        """Words in lower case, in order, without names and numbers."""
        return [
            word
            for token in self.tokens
            if not token.name and not token.number
            for word in ev.words(token.text)
        ]

    @cached_property
    def content(self) -> frozenset[str]:
        """Stems of the text's words that are not grammar."""
        return ev.content(self.text)

    @cached_property
    def stems(self) -> frozenset[str]:
        """Stems of all that the activities say."""
        return frozenset[str]().union(*(one.stems for one in self.evidence))

    @cached_property
    def titles(self) -> frozenset[str]:
        """Stems of all words of the titles, words of grammar among them."""
        return frozenset(stem(word) for one in self.evidence for word in one.title_words)

    @cached_property
    def implied(self) -> frozenset[str]:
        """Stems of what the counts and states of the activities say."""
        return frozenset[str]().union(*(one.implied for one in self.evidence))

    @cached_property
    def issues(self) -> bool:
        """Whether all activities are issues that are open."""
        return all(
            one.activity.kind is Kind.ISSUE and one.activity.state != "closed"
            for one in self.evidence
        )

    @cached_property
    def proposals(self) -> bool:
        """Whether none of the activities changed anything."""
        return all(one.activity.is_proposal for one in self.evidence)

    @cached_property
    def own(self) -> bool:
        """Whether the text is the one activity's title in its own past tense, articles apart, with
        nothing but its place behind it."""
        if len(self.evidence) != 1 or len(self.words) < 2:
            return False
        title = verb_first(self.evidence[0].title_words)
        if not title or not is_verb(title[0]) or stem(title[0]) != stem(self.words[0]):
            return False
        said, told = _bare(self.words[1:]), _bare(title[1:])
        return said == told or (said[:-2] == told and said[-2:] in _PLACES)

    def knows(self, word: str) -> bool:
        return supported(stem(word), self.stems)

    def stands(self, token: str) -> bool:
        return ev.stands(token, self.evidence)


_PLACES = ["in", stem("documentation")], ["in", stem("tests")]


def _bare(words: Sequence[str]) -> list[str]:
    return [stem(word) for word in words if word not in ("a", "an", "the")]


@lru_cache(maxsize=256)  # what a roll-up asks of again
def _tokens(text: str) -> tuple[Token, ...]:
    return tuple(_each_token(text))


def _each_token(text: str) -> Iterator[Token]:
    position = 0
    first = True
    for match in [*_QUOTED.finditer(text), None]:
        for raw in text[position : match.start() if match else None].split():
            bare = raw.lstrip(EDGES).rstrip("\"'`,;:!?." if "()" in raw else EDGES + ".")
            for part in re.split(r"[\u2014\u2013]", bare):
                if part:
                    yield Token(part, first)
                    first = False
            first = raw[-1] in ".!?"
        if match:
            inner = next(filter(None, match.groups()))
            yield Token(inner, first, quoted=True, code=match[1] is not None)
            first = False
            position = match.end()


def distinct(stems: frozenset[str]) -> frozenset[str]:
    """Stems that tell one change from another."""
    return frozenset(
        s for s in stems if s not in FREE and s not in SOFT and act(s) is None and not s.isdigit()
    )
