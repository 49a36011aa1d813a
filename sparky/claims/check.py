"""All checks of a text against its activities in one, and what can be kept of a text that fails."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from sparky.claims import acts, clauses, directions, faults, names, prose, states, wording
from sparky.claims import evidence as ev
from sparky.claims.lexicon import FREE, FUNCTION, NEGATIONS, act, supported
from sparky.claims.statement import Statement, distinct
from sparky.claims.stems import stem
from sparky.model import Activity

_CHECKS: tuple[Callable[[Statement], Iterator[str]], ...] = (
    names.names,
    names.files,
    names.gone,
    names.held,
    names.numbers,
    names.people,
    acts.acts,
    acts.lead,
    acts.about,
    acts.borrowed,
    acts.used,
    acts.objects,
    acts.conditions,
    directions.directions,
    directions.pairs,
    directions.places,
    directions.versions,
    directions.lies,
    acts.negations,
    acts.contraries,
    acts.mended,
    clauses.swapped,
    clauses.named,
    clauses.spelled,
    clauses.aimed,
    clauses.things,
    clauses.begun,
    clauses.ordered,
    faults.causes,
    faults.remedies,
    faults.outcomes,
    faults.aims,
    faults.either,
    clauses.points_at,
    states.proposed,
    wording.reasons,
    wording.meaning,
    wording.words,
    wording.mixture,
)

_JOINT = re.compile(
    rf"(?P<reason>{wording.REASON.pattern})|,?\s+(?:in|for|on|by|with|to|within|across|from|as|at"
    r"|using|via|including|along|through|under|and)\b|,\s|\s\(|[.;]\s",
    re.IGNORECASE,
)

_NOWHERE = re.compile(
    r",?\s+(?:in|of|for|from|within|across|throughout) the (?:whole |entire )?"
    r"(?:project|code ?base|code|repository|software|application|system)(?=[.,;]|\s|$)"
    r"|,?\s+(?:that|which) (?:was|were|is|are|had been) caus(?:ing|ed) "
    r"(?:\w+ )?(?:issues?|problems?|errors?|bugs?)(?=[.,;]|$)",
    re.IGNORECASE,
)
"""A place or a clause that says nothing: where else should a change have been made?"""

_CALLED = re.compile(
    r"\b(?:the|an?)\s+(?P<name>`[^`]+`|[^\s,;]+)\s+(?P<kind>command|component|crate|class|file|function"
    r"|functionality|helper|library|method|module|option|package|parameter|plugin|property|script"
    r"|section|setting|struct|tool|type|utility|variable)\b",
    re.IGNORECASE,
)
"""A name with what it is called: `the fuel.gauge component`."""


def problems(text: str, activities: Sequence[Activity]) -> tuple[str, ...]:
    """Why the text must not stand for the activities; empty if it may."""
    return _problems(text, tuple(activities)) if activities else ("cites nothing",)


@lru_cache(maxsize=64)  # whoever trims a text or builds on it asks again
def _problems(text: str, activities: tuple[Activity, ...]) -> tuple[str, ...]:
    said = Statement(text, activities)
    source = "\n".join(one.folded for one in said.evidence)
    found = [one for one in prose.problems(text, source) if not said.own or one not in prose.SHORT]
    if found:
        return tuple(found)  # what is no prose need not be read
    return tuple(dict.fromkeys(problem for check in _CHECKS for problem in check(said)))


def trim(text: str, activities: Sequence[Activity]) -> str:
    """The longest beginning of the text that passes; the text itself if none does.

    What nobody calls a name is taken out: `the tank component` becomes `tank`. What lies in the
    documentation or the tests alone is told of them. A reason is cut wherever the rest stands. Any other end is cut only if what is left says all
    that the titles say: a place or a condition may be the very point.
    """
    if not activities:
        return text
    plain = _plain(text, activities)
    if not problems(plain, activities):
        return plain
    titles = [found for one in activities if (found := _said(ev.of(one).title_words))]
    for match in reversed(list(_JOINT.finditer(plain[: 2 * prose.LETTERS]))):
        kept = plain[: match.start()].rstrip(" .,;:\u2013\u2014-")
        said = ev.stems(kept)
        whole = bool(titles) and all(supported(word, said) for title in titles for word in title)
        if (match["reason"] or whole) and not problems(f"{kept}.", activities):
            return f"{kept}."
    return text


def _said(words: Sequence[str]) -> frozenset[str]:
    """Stems of a title's words that carry a claim; its area, which stands before it, does not."""
    return frozenset(stem(word) for word in words if word not in FUNCTION) - FREE


def _plain(text: str, activities: Sequence[Activity]) -> str:
    """The text without places that say nothing, with the documentation or the tests where it lies
    there, and names without what nobody calls them."""
    said = Statement(text, activities)

    def named(match: re.Match[str]) -> str:
        name, kind = match["name"].strip("`"), match["kind"]
        called = names.is_file(said, name) if kind.casefold() == "file" else said.knows(kind)
        return match.group() if called or not said.stands(name) else match["name"]

    bare = _NOWHERE.sub("", _CALLED.sub(named, text))
    return acts.placed(Statement(bare, activities))


def recites(text: str, activity: Activity) -> bool:
    """Whether the text stands word for word below the activity's title: a passage, no point."""
    passage = ev.stands(text.strip(" .!?"), [ev.of(activity)])
    return passage and not Statement(text, [activity]).own


def telling(text: str) -> frozenset[str]:
    """Stems of the words of a text that tell one change from another."""
    return distinct(ev.content(text))


def figures(text: str) -> frozenset[str]:
    """Numbers, names, acts and negations of a text: what two texts that say the same must share."""
    said = Statement(text, ())
    named = {ev.fold(token.text) for token in said.tokens if token.name or token.number}
    done = {name for word in said.plain if (name := act(stem(word)))}
    return frozenset(named | done | NEGATIONS.intersection(said.words))


def covers(text: str, activity: Activity) -> bool:
    """Whether the text speaks of the activity at all: it shares telling words with it, or is its title."""
    if Statement(text, [activity]).own:
        return True
    one = ev.of(activity)
    said = telling(text)
    wanted = distinct(one.title) or one.stems
    shared = {word for word in said if supported(word, wanted)}
    shared |= {word for word in wanted if supported(word, said)}
    return bool(shared) and 4 * len(shared) >= min(len(wanted), len(said), 8)
