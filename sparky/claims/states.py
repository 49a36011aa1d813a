"""How far a thing came: what is only proposed is not told as done."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sparky.claims import evidence as ev
from sparky.claims.lexicon import SYMPTOMS
from sparky.claims.statement import Statement, distinct
from sparky.claims.stems import stem, stems
from sparky.claims.verbs import ASKED, BARE, FINITE, SEEN, TREATED, is_verb, verb_first
from sparky.model import Activity, Kind

_DONE = re.compile(
    r"\b(?:was|were|been|is|are|got) (?:already |now )?(?:fixed|merged|resolved|solved|done|shipped)\b",
    re.IGNORECASE,
)
_WISH = re.compile(r"\W*(?:feature|enhancement)[ -]request\b", re.IGNORECASE)
"""How a title begins that calls itself a wish, whatever it says then."""
_WRONG = SYMPTOMS | stems("issue problem error exception")


def standing(activity: Activity) -> str:
    """`Proposed`, `Requested` or `Reported`, where nothing is done yet; "" where something is."""
    if not activity.is_proposal:
        return ""
    if activity.kind is Kind.PULL_REQUEST:
        return "Proposed"
    return "Requested" if _is_order(activity) else "Reported"


def _is_order(activity: Activity) -> bool:
    """Whether a title asks for something: `Support oil`, and not `Support for oil is broken`."""
    if _WISH.match(activity.title):
        return True
    title = verb_first(ev.of(activity).title_words)
    wrong = not FINITE.isdisjoint(title) or not _WRONG.isdisjoint(map(stem, title))
    return bool(title) and title[0] in BARE and not wrong


def proposed(said: Statement) -> Iterator[str]:
    """An open issue, or a pull request that nobody merged, has changed nothing."""
    if not said.plain:
        return
    if not said.proposals:
        yield from _among_others(said)
        return
    first = said.plain[0]
    words = {standing(one.activity) for one in said.evidence}
    fitting = TREATED | (SEEN if words == {"Reported"} else ASKED)
    if stem(first) in ASKED | SEEN | TREATED:
        known = stem(first) in fitting
    else:
        known = not is_verb(first) or (said.issues and first.endswith(("s", "ing")))
    if match := _DONE.search(said.text):
        yield f"says {match.group()} of what is not done yet"
    if not known:
        yield f"says {first} of what is not done yet: begin with {' or '.join(sorted(words))}"


def _among_others(said: Statement) -> Iterator[str]:
    """What only a proposal speaks of, in a text on it and on what was done."""
    done = [one for one in said.evidence if not one.activity.is_proposal]
    if len(done) == len(said.evidence) or not (ASKED | SEEN).isdisjoint(map(stem, said.words)):
        return
    known = frozenset[str]().union(*(one.stems for one in done))
    for one in said.evidence:
        own = distinct(one.title) - known
        if one.activity.is_proposal and 2 * len(own & said.content) > len(own):
            yield f"tells as done what is not done yet: say {standing(one.activity)}"
