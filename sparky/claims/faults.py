"""What was wrong is what the message says was wrong: never its remedy, and nothing invented."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from sparky.claims import evidence as ev
from sparky.claims.evidence import Evidence
from sparky.claims.lexicon import FUNCTION, NEGATIONS, NEGATIVE, act
from sparky.claims.statement import Statement
from sparky.claims.stems import stem, stems
from sparky.claims.verbs import BARE

_NOUNS = frozenset("issue issues problem problems bug bugs fault faults error errors".split())
_LINKS = frozenset("about in of that when where which with".split())
_CAUSED = re.compile(
    r"\b(?:that|which) (?:(?:was|were|is|are|had been|has been) )?caus(?:es|ed|ing) (?:\w+ )?"
    r"(?:issue|problem|error|bug|trouble)s?\b",
    re.IGNORECASE,
)
_FIX = r"(?:bug|hot)?fix(?:e[sd])?"
_REMEDY = re.compile(
    rf"(?:\b{_FIX}\s+(?P<thing>(?:[^\s:]+\s+){{0,4}}?)to\s+|^|[:\])]\s+|\bnow\s+)(?:\w+ly\s+)?"
    r"(?P<denied>(?:not|never|no longer|do not|don['\u2019]?t)\s+)?(?P<verb>\w+)(?=\s(?P<behind>.*))",
    re.IGNORECASE,
)
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
    for one in said.evidence:
        for verb, denied, thing in _remedies(one):
            for index, word in enumerate(told):
                # `Update hooks run twice` begins with no order, and is told with no other form of it.
                deed = stem(word) == verb and (word not in BARE or told[index - 1] == "to")
                same = deed and _thing(told[index + 1 :]) == thing
                if same and _denies(told[:index]) is denied:
                    yield f"tells the remedy as the fault: {word}"
                    return


def _remedies(one: Evidence) -> Iterator[tuple[str, bool, str | None]]:
    """What a title says is done now: the verb, whether it is denied, and its thing."""
    for match in _REMEDY.finditer(one.spoken):
        verb = match["verb"].casefold()
        # `Fix a failure to close the door` says what went wrong, `fix the pump to close it` what does not.
        if verb not in BARE or (match["thing"] and _denies(ev.words(match["thing"]))):
            continue
        yield stem(verb), bool(match["denied"]), _thing(ev.words(match["behind"]))


def _denies(words: Sequence[str]) -> bool:
    return any(word in NEGATIONS or stem(word) in NEGATIVE for word in words[-4:])


def _thing(words: Sequence[str]) -> str | None:
    return next((stem(word) for word in words if word not in FUNCTION), None)


def either(said: Statement) -> Iterator[str]:
    """What may be an order as well as a fault is told as mended only by a message that says so."""
    if not said.plain or act(stem(said.plain[0])) != "fix":
        return
    if all(
        _EITHER.match(" ".join(one.title_words[:3])) and _MENDED.isdisjoint(one.message)
        for one in said.evidence
    ):
        yield "tells as mended what may be new"
