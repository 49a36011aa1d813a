"""Reasons, and all other words of content: they come from the activities."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sparky.claims import evidence as ev
from sparky.claims.lexicon import EMPTY, FREE, FUNCTION, KINDS, NUMBERS, supported
from sparky.claims.statement import Statement, Token, distinct
from sparky.claims.stems import stem

_BENEFIT = (
    r"(?:improv|enhanc|ensur|optimi[sz]|streamlin|simplif|facilitat|boost|strengthen|clarif|help"
    r"|mak|allow|enabl|provid|reduc|increas|prevent|avoid|maintain|support|better|minimi[sz]"
    r"|maximi[sz]|guarante|keep|giv|lead|result|speed|align|reflect|match|preserv|promot|handl"
    r"|address|eliminat|compl|prepar|protect|conform|accommodat|account|meet|encourag|caus|remov)"
)
REASON = re.compile(
    r",?\s+(?:"
    r"in order to|so that|so as to|so it|so they|so users|thereby|thus|hence|therefore|because"
    r"|since|due to|as a result|as it|as they|as this|for the sake of|with the (?:goal|aim) of"
    rf"|which\s+(?:\w+\s+)?{_BENEFIT}\w*"
    rf"|to\s+(?:\w+ly\s+|better\s+|further\s+)?{_BENEFIT}(?!ing)\w*"
    rf"|(?:thereby\s+|thus\s+|by\s+|while\s+)?{_BENEFIT}\w*ing"
    r"|for\s+(?:the\s+)?(?:better|improved|enhanced|greater|more|easier|faster|increased|clearer"
    r"|clarity|consistency|readability|maintainability|efficiency|reliability|compatibility"
    r"|performance|security|stability|simplicity|convenience)"
    r")\b",
    re.IGNORECASE,
)
"""Where a text begins to say why, or what it is good for."""


_BY = re.compile(r"(?P<head>fix\w* .*?) by \w+ing\b", re.IGNORECASE)
LEAST = 3
"""Words that a title needs more of, to say something where each of them alone says nothing."""


_AIM = re.compile(r"\bto\s+(?:\w+ly\s+|better\s+|further\s+)?(\w+)$", re.IGNORECASE)
"""The verb of an aim, which stands in the message itself: `never` is no aim to prevent."""


def reasons(said: Statement) -> Iterator[str]:
    """A reason or a benefit is one that an activity gives, in nearly the same words."""
    end = 0
    for match in REASON.finditer(said.text):
        if match.start() < end:
            continue
        tail = re.split(r"(?<=[.;])\s", said.text[match.start() :])[0]
        wanted = {s for w in ev.words(tail) if w not in FUNCTION and (s := stem(w)) not in FREE}
        aims = {stem(word) for word in _AIM.findall(match.group())}
        if not any(
            aims <= one.stems and all(supported(w, one.stems) for w in wanted)
            for one in said.evidence
        ):
            yield f"gives a reason that the activities do not: {tail.strip(' ,')!r}"
            end = match.start() + len(tail)


def meaning(said: Statement) -> Iterator[str]:
    """The text says something: a name, a word that not every change could be told with, or a title
    of several words in its own past tense."""
    if match := _BY.match(said.text):
        head = Statement(match["head"], [])
        if not any(token.name for token in head.tokens) and not distinct(head.content) - EMPTY:
            yield "says nothing before its means"
    if any(token.name for token in said.tokens) or distinct(said.content) - EMPTY:
        return
    if not said.own or len(said.content) <= LEAST:
        yield "says nothing"


def words(said: Statement) -> Iterator[str]:
    """Every other word of content comes from the activities, or from the few that claim nothing."""
    missing = [
        word
        for index, token in enumerate(said.tokens)
        if not token.name and not token.number
        for word in ev.words(token.text)
        if not _claimless(word) and not _allowed(said, stem(word), index)
    ]
    if missing:
        yield f"says {', '.join(dict.fromkeys(missing))}, which the activities do not"


def _claimless(word: str) -> bool:
    return word in FUNCTION or word in NUMBERS or word.isdigit() or stem(word) in FREE


def _allowed(said: Statement, found: str, index: int) -> bool:
    if supported(found, said.stems):
        return True
    near = (*said.tokens[max(0, index - 2) : index], *said.tokens[index + 1 : index + 3])
    return any(
        _has_form(said, token, kind) for token in near for kind in KINDS if found in KINDS[kind]
    )


def _has_form(said: Statement, token: Token, kind: str) -> bool:
    """Whether a name is what it is called, as far as its form in the activities says."""
    match kind:
        case "call":
            return token.text.endswith("()") or said.stands(f"{token.text}(")
        case "flag":
            return token.text.startswith("-")
        case "number":
            return (
                token.number is not None or re.fullmatch(r"[0-9a-f]{7,40}", token.text) is not None
            )
        case _:
            return token.text.endswith("/") or said.stands(f"{token.text}/")


def mixture(said: Statement) -> Iterator[str]:
    """A text of one statement comes mostly from one activity, not from a word of each."""
    if len(said.evidence) < 2 or re.search(r",|;|\band\b", said.text):
        return
    telling = distinct(said.content) & said.stems
    most = max(len(telling & one.stems) for one in said.evidence)
    if len(telling) > 2 and 3 * most < 2 * len(telling):
        yield "mixes what different activities say"
