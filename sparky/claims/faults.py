"""What was wrong is what the message says was wrong: never its remedy, and nothing invented."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sparky.claims import evidence as ev
from sparky.claims.lexicon import FUNCTION, NEGATIONS, NEGATIVE, act
from sparky.claims.statement import Statement
from sparky.claims.stems import stem, stems
from sparky.claims.verbs import ADVERBS, BARE, same

_NOUNS = frozenset("issue issues problem problems bug bugs fault faults error errors".split())
_LINKS = frozenset("about in of that when where which with".split())
_CAUSED = re.compile(
    r"\b(?:that|which) (?:(?:was|were|is|are|had been|has been) )?caus(?:es|ed|ing) (?:\w+ )?"
    r"(?:issue|problem|error|bug|trouble)s?\b",
    re.IGNORECASE,
)
_ORDERED = re.compile(
    r"\b(?:bug|hot)?fix(?:e[sd])?\s(?P<thing>(?:[^\s:]+\s){0,4}?)to\s|^|[:\])]\s|\bnow\s",
    re.IGNORECASE,
)
"""Behind what a title says how it is now: `fix the pump to …`, `fix: …`, `pumps now …`."""
_AUXILIARY = frozenset("do does longer".split())
_EITHER = re.compile(r"(?:error|warn|fail|abort|bail|complain)(?: out)? (?:on|if|when|for)\b")
"""What begins an order or names a fault: `error on an empty name`."""
_MENDED = stems("fix bug issue problem regression resolve close")


def causes(said: Statement) -> Iterator[str]:
    """Trouble of no name is told only where a message tells that there was some."""
    match = _CAUSED.search(said.text) if "caus" in said.text else None
    if match and stem("cause") not in said.stems:
        yield f"says {match.group()}, which the activities do not"


def remedies(said: Statement) -> Iterator[str]:
    """A fault is the contrary of its remedy: `fix: avoid leaks` is no issue of avoiding leaks."""
    pairs = enumerate(pairwise(said.words), start=1)
    at = next((i for i, (noun, link) in pairs if noun in _NOUNS and link in _LINKS), None)
    if at is None:
        return
    told = said.words[at:]
    orders = [order for one in said.evidence for order in _orders(one.spoken)]
    for index, word in enumerate(told):
        if word in BARE and told[index - 1] != "to":
            continue  # `Update hooks run twice` begins with a thing, and is told as one
        thing, denied = _thing(told[index + 1 :]), _denies(told[:index])
        if any(same(word, o.verb) and o.thing == thing and o.denied is denied for o in orders):
            yield f"tells the remedy as the fault: {word}"
            return


@dataclass(frozen=True, slots=True)
class _Order:
    """What a title says is done now: the verb, its thing, and whether a `not` stands before it."""

    verb: str
    thing: str | None
    denied: bool


def _orders(title: str) -> Iterator[_Order]:
    """The orders of a title."""
    for match in _ORDERED.finditer(title):
        # `Fix a failure to close the door` and `fix what used to leak` say what went wrong.
        before = ev.words(match["thing"] or "")
        if _denies(before) or before[-1:] == ["used"]:
            continue
        behind = ev.words(title[match.end() :])
        start = next((i for i, word in enumerate(behind) if not _light(word)), 0)
        if behind and behind[start] in BARE:
            thing = _thing(behind[start + 1 :])
            yield _Order(behind[start], thing, _denies(behind[:start]))


def _light(word: str) -> bool:
    """Whether a word may stand before the verb of an order."""
    light = word in NEGATIONS or word in ADVERBS or word in _AUXILIARY
    return light or (word.endswith("ly") and word not in BARE)


def _denies(words: Sequence[str]) -> bool:
    return any(word in NEGATIONS or stem(word) in NEGATIVE for word in words[-4:])


def _thing(words: Sequence[str]) -> str | None:
    return next((stem(word) for word in words if word not in FUNCTION), None)


def outcomes(said: Statement) -> Iterator[str]:
    """What happens now is no fault: `Fixed pumps now start at once`."""
    first = ev.words(re.split(r"[,;(]|\b(?:which|that|so|and|but)\b", said.text)[0])
    if first[:1] == ["fixed"] and "now" in first:
        yield "tells the remedy as the fault: now"


def aims(said: Statement) -> Iterator[str]:
    """What went wrong is no aim: `fix the pump leaking oil` is not `Fixed the pump to leak oil`."""
    if not said.plain or act(stem(said.plain[0])) != "fix":
        return
    for at, (before, verb) in enumerate(pairwise(said.words), start=2):
        thing = _thing(said.words[at:])
        if before == "to" and any(_wrong(one.title_words, verb, thing) for one in said.evidence):
            yield f"says {verb} as meant, where the activities say that it went wrong"


def _wrong(title: Sequence[str], verb: str, thing: str | None) -> bool:
    """Whether a title tells that something of it does this with a thing: `pump leaking oil`."""
    return any(
        word.endswith("ing") and stem(word) == stem(verb) and _thing(title[at + 1 :]) == thing
        for at, word in enumerate(title)
        if at > 1 and not _denies([before for before in title[:at] if stem(before) not in _MENDED])
    )


def either(said: Statement) -> Iterator[str]:
    """What may be an order as well as a fault is told as mended only by a message that says so."""
    if not said.plain or act(stem(said.plain[0])) != "fix":
        return
    if all(
        _EITHER.match(" ".join(one.title_words[:3])) and _MENDED.isdisjoint(one.message)
        for one in said.evidence
    ):
        yield "tells as mended what may be new"
