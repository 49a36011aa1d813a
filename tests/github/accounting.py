"""What was asked, by whom, and what it cost: for tests that count and benchmarks that compare."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """One request that the server saw, whatever became of it."""

    who: str
    """Login of the user, `app/ID/installation/ID`, or empty."""
    resource: str
    """`graphql`, `core` or `search`; `app` for requests signed as an App."""
    name: str
    """The query's name, or method and route."""
    status: int
    """The HTTP status; 0 when the connection was cut."""
    points: int
    """What was taken from the primary limit."""
    nodes: int = 0
    """How many nodes the query could have returned at most."""
    seconds: float = 0.0
    """How long GitHub would have worked on it, by the model in `limits`."""
    bytes: int = 0
    errors: tuple[str, ...] = ()
    """Types of the GraphQL errors in the answer."""


class Accounting:
    """Every request since the start or the last `reset`, in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.log: list[Request] = []

    def add(self, request: Request) -> None:
        with self._lock:
            self.log.append(request)

    def reset(self) -> None:
        with self._lock:
            self.log = []

    def requests(self, **fields: object) -> int:
        """How many requests have these fields, such as `resource="graphql"`."""
        return sum(1 for _ in self._matching(fields))

    def points(self, **fields: object) -> int:
        """Points of the requests that have these fields."""
        return sum(request.points for request in self._matching(fields))

    def seconds(self, **fields: object) -> float:
        """Virtual seconds of the requests that have these fields."""
        return sum(request.seconds for request in self._matching(fields))

    def by(self, key: Callable[[Request], str]) -> Counter[str]:
        """Points by anything, such as `by(lambda request: request.name)`."""
        counted: Counter[str] = Counter()
        for request in self.log:
            counted[key(request)] += request.points
        return counted

    def table(self) -> list[dict[str, object]]:
        """Requests, points and seconds for each credential, resource and name."""
        rows: dict[tuple[str, str, str], list[Request]] = {}
        for request in self.log:
            rows.setdefault((request.who, request.resource, request.name), []).append(request)
        return [
            {
                "who": who,
                "resource": resource,
                "name": name,
                "requests": len(group),
                "points": sum(request.points for request in group),
                "seconds": round(sum(request.seconds for request in group), 3),
            }
            for (who, resource, name), group in sorted(rows.items())
        ]

    def _matching(self, fields: dict[str, object]) -> list[Request]:
        return [
            request
            for request in self.log
            if all(getattr(request, field) == value for field, value in fields.items())
        ]
