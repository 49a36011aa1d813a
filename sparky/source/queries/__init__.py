"""GraphQL, a file a query; and what each costs before it is sent.

GitHub counts one request for each connection, once for each parent that it can have, and divides
the sum by a hundred, rounded, with one point as the least.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from graphql import DocumentNode, parse, print_ast

from sparky.model import Kind

PROBED = 74
"""Repositories in one probe: two connections each are 148 requests, which is still one point."""

LISTED = 100
"""Repositories in one page of a list, or in one query by id."""

NAMED = 50
"""Repositories in one query by name."""

NESTED = {Kind.COMMIT: 2, Kind.PULL_REQUEST: 3, Kind.ISSUE: 1, Kind.RELEASE: 0}
"""Connections inside each item of a kind."""

_ROOM = 149
"""Requests that one point pays for."""


@cache
def document(name: str) -> DocumentNode:
    """The query in `<name>.graphql`, parsed."""
    return parse(files(__package__).joinpath(f"{name}.graphql").read_text("utf-8"))


@cache
def text(name: str) -> str:
    """The query as it is sent: printing it takes longer than all else that a request needs."""
    return print_ast(document(name))


def points(requests: int) -> int:
    """What so many requests cost."""
    return max(1, (requests + 50) // 100)


def activity_requests(pages: dict[Kind, int], *, count: bool) -> int:
    """How many requests pages of these sizes make."""
    return (
        count + (Kind.ISSUE in pages) + sum(1 + NESTED[kind] * size for kind, size in pages.items())
    )


def page_sizes(kinds: frozenset[Kind]) -> dict[Kind, int]:
    """The largest pages of these kinds that together cost one point."""
    sizes = {kind: 100 for kind in kinds if not NESTED[kind]}
    crowded = sorted(kinds - sizes.keys())
    # Commits and issues are counted as well as read.
    room = _ROOM - len(kinds & {Kind.COMMIT, Kind.ISSUE}) - len(sizes)
    for left, kind in zip(range(len(crowded), 0, -1), crowded, strict=True):
        sizes[kind] = min(100, (room // left - 1) // NESTED[kind])
        room -= 1 + NESTED[kind] * sizes[kind]
    return sizes
