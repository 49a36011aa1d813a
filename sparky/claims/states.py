"""How far a thing came: what is only proposed is not told as done."""

from __future__ import annotations

from collections.abc import Iterator

from sparky.claims.lexicon import act
from sparky.claims.statement import Statement
from sparky.claims.stems import stem, stems
from sparky.claims.verbs import BARE, is_verb

_REPORTED = stems(
    "propose suggest submit request ask report discuss describe mention open reopen close raise"
    " reject decline withdraw abandon review question"
)
"""Verbs that say what people did with a proposal, and not what it would do."""


def proposed(said: Statement) -> Iterator[str]:
    """An open issue, or a pull request that nobody merged, has changed nothing."""
    if not said.plain or not said.proposals:
        return
    first = said.plain[0]
    word = stem(first)
    done = is_verb(first) and first not in BARE and not first.endswith(("s", "ing"))
    if word in _REPORTED:
        return
    if done or (said.issues and act(word) is not None and word not in said.titles):
        yield f"says {first} of what is only proposed"
