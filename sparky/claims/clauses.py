"""What stands behind a verb belongs to it: another verb before the same words makes no sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from sparky.claims.evidence import stems, words
from sparky.claims.lexicon import FUNCTION, KINDS, SYMPTOMS, act, supported
from sparky.claims.statement import Statement
from sparky.claims.stems import stem
from sparky.claims.verbs import (
    ADVERBS,
    ASKED,
    BARE,
    FINITE,
    GRANTED,
    LETTING,
    MENDED,
    NOUNS,
    PAST_TOO,
    SEEN,
    SUBORDINATE,
    is_verb,
    same,
    verb_first,
)

_ARTICLES = frozenset("a an the".split())
_JOINING = frozenset("and or but then to".split())
_MARK = re.compile(r"[,;:(\u2014\u2013]\s|[.!?]\s|\s\(")
_ALIKE = 3
"""Words behind the verb from which a text counts as the title with another verb."""


def swapped(said: Statement) -> Iterator[str]:
    """The text is not a title with another verb put in its place."""
    if not said.words:
        return
    verb, *rest = said.words
    for one in said.evidence:
        title = verb_first(one.title_words)
        if not title or not is_verb(title[0]) or _may(verb, rest, title):
            continue
        behind = _bare(title[1:])
        alike = _granted(verb, rest, title) or _bare(rest)[:_ALIKE] == behind[:_ALIKE]
        if not behind or not alike:
            continue
        wrong = not SYMPTOMS.isdisjoint(behind[:2])
        if stem(verb) == stem("fix") and stem(title[0]) in MENDED and wrong:
            continue
        yield f"puts {verb} where the title says {title[0]}"


def _may(verb: str, rest: Sequence[str], title: Sequence[str]) -> bool:
    """Whether a verb may stand where a title has another one."""
    if not same(verb, title[0]):
        return False
    turned = stem(title[0]) in LETTING and stem(verb) not in LETTING
    return not turned or rest.count("to") > title.count("to")


def _granted(verb: str, rest: Sequence[str], title: Sequence[str]) -> bool:
    """Whether a thing is told as added that was only let in; an option to accept is a new one."""
    if stem(title[0]) not in GRANTED or act(stem(verb)) != "add":
        return False
    new = not KINDS["flag"].isdisjoint(map(stem, rest))
    return not new and _thing(rest) == _thing(title[1:])


def begun(said: Statement) -> Iterator[str]:
    """Nothing stands before a title that is told word for word: `Arr close the valve`."""
    if not said.words or is_verb(first := said.words[0]) or first in FUNCTION:
        return
    if said.proposals and stem(first) in ASKED | SEEN:
        return
    for one in said.evidence:
        title = list(map(stem, one.title_words[:_ALIKE]))
        told = any(list(map(stem, said.words[at : at + _ALIKE])) == title for at in (1, 2, 3))
        if told and len(title) == _ALIKE and stem(first) not in stems(one.activity.title):
            yield f"puts {first} before the title"


def ordered(said: Statement) -> Iterator[str]:
    """A text says what was done: it gives no order, and does not begin with a title's verb in -ing."""
    first = said.words[0] if said.words and not said.tokens[0].name else ""
    if said.own and not first.endswith("ing"):
        return
    titles = [title[0] for one in said.evidence if (title := verb_first(one.title_words))]
    going = first.endswith("ing") and any(
        stem(verb) == stem(first) and not verb.endswith("ing") for verb in titles
    )
    if going or (first in BARE and first not in PAST_TOO):
        yield f"puts {first} in no past tense"


def named(said: Statement) -> Iterator[str]:
    """What a word of a title only names or qualifies is not told as done: `use cached answers`.

    Such a word stands right before its thing: anywhere in the text's own form, and in any form
    right behind the title's verb, as in `fix the close button`.
    """
    if not said.words or not said.words[0].endswith("ed"):
        return
    verb, *rest = said.words
    titles = [_bare_words(verb_first(one.title_words)) for one in said.evidence]
    # `Cached answers are kept` tells what the title's verb says.
    told = [verb] if FINITE.isdisjoint(said.plain) else said.words
    if any(title and any(same(word, title[0]) for word in told) for title in titles):
        return
    for title in titles:
        places = enumerate(title[1:], start=1) if title and is_verb(title[0]) else ()
        for index, word in places:
            qualifies = word == verb or (index == 1 and not word.endswith("ing"))
            joined = title[index - 1] in _JOINING
            if stem(word) != stem(verb) or not qualifies or joined:
                continue
            if (thing := _thing(title[index + 1 :])) and thing == _thing(rest):
                yield f"says {verb} as done, where the title only names it"


_POINTING = frozenset("this these".split())
_SPLICE = re.compile(
    r", (?:it|they|there|we) (?:is|was|are|were|isn't|wasn't|aren't|weren't|has|had|will|can)\b",
    re.IGNORECASE,
)


def points_at(said: Statement) -> Iterator[str]:
    """A sentence stands alone: `this pump` is one that a message spoke of before."""
    pointing = _POINTING.intersection(said.words)
    if pointing and not any(pointing <= set(one.title_words) for one in said.evidence):
        yield f"points with {' and '.join(sorted(pointing))} at what it does not tell"
    if match := _SPLICE.search(said.text):
        yield f"runs on: {match.group().strip(', ')}"


def spelled(said: Statement) -> Iterator[str]:
    """A verb that stands only within a name was not done, nor meant: `call delete_everything()`."""
    verbs = [(verb, "done") for verb in _done(said)] + [(verb, "meant") for verb in _meant(said)]
    if not verbs:
        return
    prose, names = set[str](), set[str]()
    for one in said.evidence:
        for token in Statement(f"{one.activity.title}\n{one.activity.body}", ()).tokens:
            (names if token.name else prose).update(map(stem, words(token.text)))
    for verb, how in verbs:
        found = stem(verb)
        if not supported(found, prose) and any(
            found == name or act(found) == act(name) is not None for name in names
        ):
            yield f"says {verb} as {how}, where it is a part of a name"


def aimed(said: Statement) -> Iterator[str]:
    """What a message tells as what happened is no aim: `it stayed silent` is not `to stay silent`."""
    aims = [word for before, word in pairwise(said.plain) if before == "to"]
    told = [f"{one.activity.title}\n{one.activity.body}" for one in said.evidence if aims]
    forms = {word for text in told for word in words(text)}
    for verb in aims:
        found = {word for word in forms if stem(word) == stem(verb)}
        if found and verb not in found and all(word.endswith("ed") for word in found):
            yield f"says {verb} as meant, where the activities say that it happened"


def _done(said: Statement) -> Iterator[str]:
    """The verb that a text begins with, unless a title begins with it."""
    if said.words and said.words[0].endswith("ed"):
        titles = [(verb_first(one.title_words), one.activity.title) for one in said.evidence]
        if not any(
            words and same(said.words[0], words[0]) and not _capitals(words[0], title)
            for words, title in titles
        ):
            yield said.words[0]


def _capitals(word: str, title: str) -> bool:
    """Whether a title has a word in capitals, as a name: `DRY out the rules`, and not `FIX the pump`."""
    return not is_verb(word) and re.search(rf"\b{re.escape(word.upper())}\b", title) is not None


def _meant(said: Statement) -> Iterator[str]:
    """Verbs that say what for: `to delete it`."""
    for before, verb in pairwise(said.plain):
        if before == "to" and verb in BARE:
            yield verb


def things(said: Statement) -> Iterator[str]:
    """Behind a verb that takes a thing stands no sentence and no order: `Fixed it does not start`."""
    verb, *words = _first_part(said)
    if verb.casefold() not in NOUNS or said.own:
        return
    behind = [*words]
    while behind and behind[0] in ADVERBS:
        behind.pop(0)
    if words[:2] == ["no", "longer"] or (behind != words and behind and behind[0] in BARE):
        yield f"puts {verb} before an order"
        return
    for index, word in enumerate(words):
        if word in SUBORDINATE:
            return
        if word in FINITE and index:
            yield f"puts {verb} before a sentence"
            return


def _first_part(said: Statement) -> list[str]:
    """Words up to the first mark between words; a name is an empty one."""
    first = _MARK.split(said.text, maxsplit=1)[0]
    tokens = Statement(first, ()).tokens
    words = ["" if token.name or token.number else token.text.casefold() for token in tokens]
    return [tokens[0].text, *words[1:]] if tokens else [""]


def _bare_words(words: Sequence[str]) -> list[str]:
    return [word for word in words if word not in _ARTICLES]


def _bare(words: Sequence[str]) -> list[str]:
    return [stem(word) for word in _bare_words(words)]


def _thing(words: Sequence[str]) -> str | None:
    """The stem of the first word that is no grammar."""
    return next((stem(word) for word in words if word not in FUNCTION | SUBORDINATE), None)
