"""The search for repositories: words and qualifiers, those that a discovery needs."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from tests.github.errors import Failure
from tests.github.schema import to_time

if TYPE_CHECKING:
    from tests.github.credentials import Token
    from tests.github.repository import Repository
    from tests.github.world import World

Test = Callable[["Repository", str], bool]


def _since(at: datetime, bound: str) -> bool:
    """`>=2026-01-01`, `<2026-01-01`, `2026-01-01..2026-02-01`."""
    if ".." in bound:
        low, high = bound.split("..")
        return to_time(low) <= at <= to_time(high)
    for mark, holds in ((">=", at.__ge__), ("<=", at.__le__), (">", at.__gt__), ("<", at.__lt__)):
        if bound.startswith(mark):
            return bool(holds(to_time(bound.removeprefix(mark))))
    return at.date() == to_time(bound).date()


def _yes(value: str) -> bool:
    return value == "true"


QUALIFIERS: dict[str, Test] = {
    "topic": lambda one, value: value in one.topics,
    "org": lambda one, value: one.owner.login.casefold() == value.casefold(),
    "user": lambda one, value: one.owner.login.casefold() == value.casefold(),
    "language": lambda one, value: one.language.casefold() == value.casefold(),
    "archived": lambda one, value: (one.archived_at is not None) is _yes(value),
    "is": lambda one, value: value != "internal" and one.private is (value == "private"),
    "created": lambda one, value: _since(one.size.created_at, value),
    "pushed": lambda one, value: _since(one.pushed_at, value),
    "fork": lambda one, value: True if value == "true" else one.fork is (value == "only"),
    "sort": lambda one, value: True,
}


def search(world: World, token: Token, query: str) -> list[Repository]:
    """What matches every word, the largest first; forks only when the query asks for them."""
    words = shlex.split(query)
    found = [one for one in world if token.sees(one)]
    if not any(word.startswith("fork:") for word in words):
        found = [one for one in found if not one.fork]
    for word in words:
        name, mark, value = word.partition(":")
        if not mark:
            found = [one for one in found if word.casefold() in one.name.casefold()]
        elif name in QUALIFIERS:
            found = [one for one in found if QUALIFIERS[name](one, value)]
        else:
            raise Failure(None, f"tests/github does not know the qualifier {name}:")
    return sorted(found, key=lambda one: (-one.size.commits, one.number))
