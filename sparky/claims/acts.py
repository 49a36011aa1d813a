"""What was done is what the activities say was done: the act, its object, its direction, its not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from sparky.claims import evidence as ev
from sparky.claims.lexicon import (
    CONDITIONS,
    DOCUMENTED,
    FREE,
    FUNCTION,
    MENDING,
    NEAR,
    NEGATIONS,
    NEGATIVE,
    OPPOSITES,
    PAGES,
    SAMPLES,
    STOPPING,
    SYMPTOMS,
    TESTED,
    act,
    supported,
)
from sparky.claims.names import is_file
from sparky.claims.statement import Statement
from sparky.claims.stems import stem, stems
from sparky.claims.verbs import ADDING, is_verb
from sparky.model import Change
from sparky.paths import Sort

_NOT = frozenset(map(stem, NEGATIONS))
_USING = stems("use usage utilize adopt switch replace migrate prefer with via instead by through")


def acts(said: Statement) -> Iterator[str]:
    """A thing is said to be added, removed, enabled … only where an activity says that of it."""
    for clause in ev.clauses(said.text) or [said.text]:
        found = [stem(word) for word in ev.words(clause) if word not in FUNCTION]
        places = [i for i, word in enumerate(found) if act(word)]
        for index in places:
            name = act(found[index])
            if name not in OPPOSITES:
                continue
            before = max((i + 1 for i in places if i < index), default=0)
            behind = min((i for i in places if i > index), default=len(found))
            # What it was done to stands behind the verb, or before it: "was removed".
            sides = (found[index + 1 : behind][:6], found[before:index][-6:])
            objects = [frozenset(side) - FREE for side in sides]
            yield from _done(said, found[index], name, [one for one in objects if one])


def _done(
    said: Statement, word: str, name: str, objects: Sequence[frozenset[str]]
) -> Iterator[str]:
    everything = frozenset[str]().union(*objects)
    same = list(_clauses(said, name, word))
    nearest = max((len(everything & clause.stems) for clause in same), default=-1)
    other = max((len(everything & c.stems) for c in _clauses(said, OPPOSITES[name])), default=-1)
    sure = word in said.implied or supported(word, said.titles)
    if other > nearest:
        yield f"says {name}, where the activities say {OPPOSITES[name]}"
    elif (
        objects
        and not sure
        and not any(2 * len(o & c.stems) > len(o) for o in objects for c in same)
    ):
        yield f"says {name} of something else than the activities"


def _clauses(said: Statement, name: str, word: str | None = None) -> Iterator[ev.Clause]:
    """Clauses of the activities that name the act, or that have a word for it."""
    for one in said.evidence:
        for clause in one.clauses:
            if name in clause.acts or (word is not None and supported(word, clause.stems)):
                yield clause


def lead(said: Statement) -> Iterator[str]:
    """The verb that the text begins with is the verb of a title, or one near to it."""
    word = stem(said.plain[0]) if said.plain else ""
    verb = act(word)
    titles = [
        next((a for w in one.title_words[:4] if (a := act(stem(w)))), None) for one in said.evidence
    ]
    if verb is None or verb in titles or None in titles:
        return
    near = any(
        (title in {"document", "test"} and supported(word, one.stems))
        or ({verb, str(title)} in NEAR and _near(word, str(title), one))
        for one, title in zip(said.evidence, titles, strict=True)
    )
    if not near:
        yield f"says {said.plain[0]}, where the activities say {titles[0]}"


def _near(word: str, title: str, one: ev.Evidence) -> bool:
    """Whether a title has a word for a verb near its own; `fix the support of oil` adds no support."""
    if not supported(word, one.title):
        return False
    if title != "fix" or act(word) != "add":
        return True
    behind = (stem(w) for to, w in pairwise(one.title_words) if to == "to")
    return not ADDING.isdisjoint(one.title) or any(supported(word, {verb}) for verb in behind)


def used(said: Statement) -> Iterator[str]:
    """A text that begins with `used` tells of something that was put to use."""
    if said.words[:1] == ["used"] and all(_USING.isdisjoint(one.stems) for one in said.evidence):
        yield "says used, which the activities do not"


def borrowed(said: Statement) -> Iterator[str]:
    """A verb from within a title keeps its object: `fix the lamp to remove soot` removes no lamp."""
    if not said.plain or not (wanted := act(stem(said.plain[0]))):
        return
    objects = said.content - FREE - {stem(said.plain[0])}
    for one in said.evidence:
        found = [stem(word) for word in one.title_words]
        if not found or act(found[0]) == wanted or said.plain[0] in one.title_words[:1]:
            continue
        at = next((i for i, w in enumerate(found) if i and act(w) == wanted), None)
        if at is None or not is_verb(one.title_words[0]):
            continue
        behind = {w for w in found[at + 1 :] if w not in FUNCTION and w not in FREE}
        if behind and objects and behind.isdisjoint(objects):
            yield f"says {said.plain[0]} of something else than the activities"


def about(said: Statement) -> Iterator[str]:
    """What is only documented or tested is not told as done."""
    for kind, change, signs in _APART:
        only = all(
            one.about is change
            or next((a for w in one.title_words[:4] if (a := act(stem(w)))), None) == kind
            for one in said.evidence
        )
        if only and signs.isdisjoint(said.content):
            yield f"claims what the activities only {kind}: say {_NAMED[kind]}"
            continue
        touched = {sort for one in said.evidence for sort in one.sorts}
        if touched and touched <= _ONLY[kind] and not _of_its_kind(said, kind, signs):
            yield f"claims what the activities only {kind}, as their files say: say {_NAMED[kind]}"


def placed(said: Statement) -> str:
    """The text, with the documentation or the tests as its place, where all of each activity lies
    there, by its prefix or its files, and the text does not say so."""
    for kind, change, signs in _APART:
        named = all(one.about is change for one in said.evidence)
        inside = all(one.sorts and set(one.sorts) <= _ONLY[kind] for one in said.evidence)
        hidden = inside and not _of_its_kind(said, kind, signs)
        if hidden or (named and signs.isdisjoint(said.content)):
            return f"{said.text.rstrip(' .')} in the {_NAMED[kind]}."
    return said.text


_APART = (
    ("document", Change.DOCUMENTATION, DOCUMENTED),
    ("test", Change.TESTS, TESTED),
)
_NAMED = {"document": "documentation", "test": "tests"}
_ONLY = {"document": {Sort.DOCUMENTATION, Sort.CHANGELOG}, "test": {Sort.TESTS}}
_PARTS = {"document": PAGES, "test": SAMPLES}


def _of_its_kind(said: Statement, kind: str, signs: frozenset[str]) -> bool:
    """Whether a text shows that it is about pages or tests: by a word, or by a file's name."""
    if not (signs | _PARTS[kind]).isdisjoint(said.content):
        return True
    names = [token.text for token in said.tokens if token.name]
    return any(is_file(said, name) for name in names)


_TESTS = re.compile(
    r"^\w+(?:\s+(?!and\b|for\b|to\b|in\b|of\b)[^\s,;]+){0,5}?\s+tests?\b(?! and|,)", re.IGNORECASE
)


def objects(said: Statement) -> Iterator[str]:
    """What was done to a test is not told as done to what it tests."""
    only = all(_TESTS.search(" ".join(one.title_words)) for one in said.evidence)
    if only and TESTED.isdisjoint(said.content):
        yield "claims what the activities only test: say tests"


def conditions(said: Statement) -> Iterator[str]:
    """A condition in the title of the one activity told of is in the text, too."""
    if len(said.evidence) != 1 or not CONDITIONS.isdisjoint(said.words):
        return
    title = said.evidence[0].title_words
    at = next((i for i, word in enumerate(title) if i > 1 and word in CONDITIONS), None)
    if at is not None:
        narrow = {stem(word) for word in title[at + 1 :] if word not in FUNCTION}
        kept = sum(supported(word, said.content) for word in narrow)
        if narrow and 2 * kept <= len(narrow):
            yield f"leaves out: {' '.join(title[at:])}"


def negations(said: Statement) -> Iterator[str]:
    """A `not` of the text stands in the activities, with the same verb, and theirs in the text."""
    for index, word in enumerate(said.words):
        if word not in NEGATIONS:
            continue
        behind = [stem(w) for w in said.words[index + 1 : index + 6] if not _adverb(w)]
        if behind and not _denied(behind[0], said):
            yield f"says {word}, where the activities do not"
    positive = NEGATIONS.isdisjoint(said.words) and NEGATIVE.isdisjoint(map(stem, said.words))
    if positive and all(not NEGATIONS.isdisjoint(one.title_words) for one in said.evidence):
        yield "leaves out a not"


def contraries(said: Statement) -> Iterator[str]:
    """What was done is not told as stopped."""
    if not said.plain or (verb := stem(said.plain[0])) not in STOPPING:
        return
    things = (stem(word) for word in said.plain[1:] if not _adverb(word))
    thing = next((one for one in things if one not in FREE), None)
    negative = not (NEGATIVE | _NOT).isdisjoint(said.titles) or supported(verb, said.titles)
    if thing and not negative and (thing in said.titles or not _denied(thing, said)):
        yield f"says {said.plain[0]}, where the activities say the contrary"


def mended(said: Statement) -> Iterator[str]:
    """What was mended is not told as what happens now."""
    stems = frozenset(map(stem, said.words))
    if said.issues or SYMPTOMS.isdisjoint(stems):
        return
    told = not (MENDING | _NOT).isdisjoint(stems - SYMPTOMS) or "fix" in map(act, stems)
    titles = said.titles | {a for word in said.titles if (a := act(word))}
    if not told and ("fix" in titles or not NEGATIVE.isdisjoint(titles)):
        yield "tells what was mended as what happens now"


def _denied(verb: str, said: Statement) -> bool:
    """Whether a clause of an activity has the verb together with a negative word."""
    return any(
        verb in clause.stems and not (NEGATIVE | _NOT).isdisjoint(clause.stems - {verb})
        for one in said.evidence
        for clause in one.clauses
    )


def _adverb(word: str) -> bool:
    return word in FUNCTION or word.endswith("ly")
