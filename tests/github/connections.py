"""Pages of lists: `nodes`, `edges`, `pageInfo`, `totalCount`, by GitHub's rules."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.github import cursors
from tests.github.errors import bad_cursor

if TYPE_CHECKING:
    from tests.github.credentials import Token
    from tests.github.limits import Standing
    from tests.github.repository import Repository
    from tests.github.world import World

Key = Callable[[Any], list[Any]]


@dataclass(slots=True)
class Context:
    """What resolvers know of the request."""

    world: World
    token: Token
    cursor_lifetime: timedelta
    standing: Standing | None
    cost: int
    node_count: int
    web: str
    """Where web pages are: `https://github.com`, or the server's own address."""
    seconds: float = 0.0
    """How long GitHub would have worked so far."""
    now: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.now = self.world.clock.now()


class PageInfo:
    __slots__ = ("end_cursor", "has_next_page", "has_previous_page", "start_cursor")

    def __init__(self, start: str | None, end: str | None, before: bool, after: bool) -> None:
        self.start_cursor, self.end_cursor = start, end
        self.has_previous_page, self.has_next_page = before, after


class Edge:
    __slots__ = ("cursor", "node")

    def __init__(self, node: Any, cursor: str) -> None:
        self.node, self.cursor = node, cursor


class Page:
    """A connection: part of a list, made when its nodes are asked for."""

    total_count = 0
    repository_count = 0

    def __init__(
        self,
        total: int,
        take: Callable[[], tuple[Sequence[Any], int, int, list[Any]]],
        cursor: Callable[[Any], str],
    ) -> None:
        self.total_count = total
        self._take = take
        self._cursor = cursor
        self._taken: tuple[Sequence[Any], int, int, list[Any]] | None = None

    def _part(self) -> tuple[Sequence[Any], int, int, list[Any]]:
        if self._taken is None:
            self._taken = self._take()
        return self._taken

    @property
    def nodes(self) -> list[Any]:
        return self._part()[3]

    @property
    def edges(self) -> list[Edge]:
        return [Edge(node, self._cursor(node)) for node in self.nodes]

    @property
    def page_info(self) -> PageInfo:
        items, start, stop, nodes = self._part()
        first = self._cursor(nodes[0]) if nodes else None
        last = self._cursor(nodes[-1]) if nodes else None
        return PageInfo(first, last, start > 0, stop < len(items))


@dataclass(slots=True)
class Range:
    """The paging arguments of a field."""

    first: int | None
    last: int | None
    after: str | None
    before: str | None

    @classmethod
    def take(cls, arguments: dict[str, Any]) -> Range:
        return cls(*(arguments.pop(name, None) for name in ("first", "last", "after", "before")))

    def cut(self, low: int, high: int) -> tuple[int, int]:
        """Start and stop of the page within [low, high)."""
        if self.first is not None:
            high = min(high, low + self.first)
        if self.last is not None:
            low = max(low, high - self.last)
        return low, high


def page(
    context: Context,
    scope: str,
    items: Callable[[], Sequence[Any]],
    key: Key,
    arguments: dict[str, Any],
    *,
    descending: bool = False,
    total: int | None = None,
    repository: Repository | None = None,
) -> Page:
    """A page of `items`, which are sorted by `key`; a cursor holds the key of its item.

    So what is added while a client turns the pages neither repeats nor hides anything else.
    """
    paging = Range.take(arguments)
    # The same list sorted or filtered in another way is another list.
    scope = f"{scope}?{sorted((name, str(value)) for name, value in arguments.items())}"

    def take() -> tuple[Sequence[Any], int, int, list[Any]]:
        found = items()
        low, high = 0, len(found)
        if paging.after is not None:
            wanted = cursors.decode(paging.after, scope, context.now, context.cursor_lifetime)
            low = _after(found, wanted, key, descending)
        if paging.before is not None:
            wanted = cursors.decode(paging.before, scope, context.now, context.cursor_lifetime)
            high = _before(found, wanted, key, descending)
        low, high = paging.cut(low, max(low, high))
        work(context, paging, high - low, repository)
        return found, low, high, list(found[low:high])

    def cursor(item: Any) -> str:
        return cursors.encode(scope, key(item), context.now)

    return Page(len(items()) if total is None else total, take, cursor)


def _after(items: Sequence[Any], wanted: list[Any], key: Key, descending: bool) -> int:
    if descending:
        return len(items) - bisect_left(items[::-1], wanted, key=key)
    return bisect_right(items, wanted, key=key)


def _before(items: Sequence[Any], wanted: list[Any], key: Key, descending: bool) -> int:
    if descending:
        return len(items) - bisect_right(items[::-1], wanted, key=key)
    return bisect_left(items, wanted, key=key)


def history_page(
    context: Context,
    repository: Repository,
    scope: str,
    until_position: int,
    arguments: dict[str, Any],
) -> Page:
    """A page of the commits that the one at a position reaches, newest first.

    Its cursors name the head and an offset: new commits do not move the pages, and when the head
    is gone after a force push, the cursor is invalid.
    """
    paging = Range.take(arguments)
    scope = f"{scope}?{sorted((name, str(value)) for name, value in arguments.items())}"
    commits = repository.history.commits
    anchor = _anchor(context, repository, scope, paging, until_position)
    key = ("history", scope, anchor)
    found = repository.ordered(key, lambda: _filtered(commits[: anchor + 1], arguments))
    head = commits[anchor].oid

    def take() -> tuple[Sequence[Any], int, int, list[Any]]:
        low, high = 0, len(found)
        if paging.after is not None:
            low = decode(paging.after) + 1
        if paging.before is not None:
            high = decode(paging.before)
        low, high = paging.cut(low, max(low, high))
        work(context, paging, high - low, repository)
        return found, low, high, found[low:high]

    def decode(cursor: str) -> int:
        return int(cursors.decode(cursor, scope, context.now, context.cursor_lifetime)[1])

    offsets = repository.ordered(
        (*key, "offsets"), lambda: [{c.oid: n for n, c in enumerate(found)}]
    )

    def cursor(commit: Any) -> str:
        return cursors.encode(scope, [head, offsets[0][commit.oid]], context.now)

    return Page(len(found), take, cursor)


def _anchor(
    context: Context, repository: Repository, scope: str, paging: Range, position: int
) -> int:
    """The position of the head that the client began with."""
    given = paging.after or paging.before
    if given is None:
        return position
    head = cursors.decode(given, scope, context.now, context.cursor_lifetime)[0]
    found = repository.history.positions.get(head)
    if found is None:
        raise bad_cursor(given)
    return found


def _filtered(commits: Sequence[Any], arguments: dict[str, Any]) -> list[Any]:
    since, until, author = (arguments.get(name) for name in ("since", "until", "author"))
    emails = (author or {}).get("emails")
    user = (author or {}).get("id")
    return [
        commit
        for commit in reversed(commits)
        if (since is None or commit.at >= since)
        and (until is None or commit.at <= until)
        and (emails is None or commit.author.email in emails)
        and (user is None or (commit.author.user is not None and commit.author.user.id == user))
    ]


def work(context: Context, paging: Range, nodes: int, repository: Repository | None) -> None:
    """Count how long GitHub would take for a page.

    A model, not a rule of GitHub's, which only says that 10 seconds end a request: a page costs
    2 ms, a node asked for 0.2 ms, a node found 4 ms, and all of it more in large repositories.
    """
    asked = paging.first or paging.last or 0
    weight = repository.weight if repository is not None else 1.0
    context.seconds += (0.002 + 0.0002 * asked + 0.004 * nodes) * weight
