"""GitHub's limits: points an hour, secondary limits a minute, nodes and seconds a query.

The numbers are those of GitHub's pages 'Rate limits and query limits for the GraphQL API' and
'Rate limits for the REST API'.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tests.github.clock import Clock

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is allowed; None switches a limit off."""

    graphql_per_hour: int | None = 5000
    core_per_hour: int | None = 5000
    search_per_minute: int | None = 30
    anonymous_per_hour: int = 60
    concurrent: int | None = 100
    graphql_points_per_minute: int | None = 2000
    rest_points_per_minute: int | None = 900
    cpu_seconds_per_minute: float | None = 90
    graphql_cpu_seconds_per_minute: float | None = 60
    nodes: int = 500_000
    seconds: float | None = 10
    """After so long a request is given up with a 502."""
    secondary_status: int = 403
    exhausted_type: str = "RATE_LIMITED"
    """Type of the error when no points are left; `RATE_LIMIT` has been seen as well."""
    shows_zero: bool = False
    """Whether a server without limits says 0 of 0, as some do, rather than nothing."""
    cursor_lifetime: timedelta = timedelta(hours=12)
    """Cursors older than this are refused; GitHub does not say how long they live."""

    @classmethod
    def primary_only(cls) -> Limits:
        """Points an hour, and nothing that a quick test would run into within a minute."""
        return cls(
            search_per_minute=None,
            concurrent=None,
            graphql_points_per_minute=None,
            rest_points_per_minute=None,
            cpu_seconds_per_minute=None,
            graphql_cpu_seconds_per_minute=None,
        )

    @classmethod
    def off(cls) -> Limits:
        """As on a GitHub Enterprise Server with rate limits disabled."""
        return replace(cls.primary_only(), graphql_per_hour=None, core_per_hour=None)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where somebody stands with one resource."""

    resource: str
    limit: int
    used: int
    reset_at: datetime

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)

    @property
    def headers(self) -> dict[str, str]:
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-used": str(self.used),
            "x-ratelimit-reset": str(int(self.reset_at.timestamp())),
            "x-ratelimit-resource": self.resource,
        }


@dataclass(slots=True)
class _Window:
    used: int
    reset_at: datetime


class Meter:
    """Counts by principal: all tokens of one user share what that user may do."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self.clock = clock
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, str], _Window] = {}
        self._minutes: dict[tuple[str, str], deque[tuple[datetime, float]]] = {}
        self._running: dict[str, int] = {}

    # ---- The primary limit -------------------------------------------------------------------------

    def standing(self, who: str, resource: str, limit: int | None) -> Standing | None:
        """Where a principal stands, without charging; None without a limit."""
        return self._at(who, resource, limit, 0)

    def charge(self, who: str, resource: str, limit: int | None, points: int) -> Standing | None:
        """Take points; the last query may take more than there are."""
        return self._at(who, resource, limit, points)

    def drain(self, who: str, resource: str, limit: int, remaining: int = 0) -> None:
        """Leave only so many points, as if somebody else had used the token."""
        with self._lock:
            self._window(who, resource).used = limit - remaining

    def _window(self, who: str, resource: str) -> _Window:
        now = self.clock.now()
        window = self._windows.get((who, resource))
        if window is None or window.reset_at <= now:
            # The hour begins with the first request after the last one has ended.
            span = MINUTE if resource == "search" else HOUR
            window = _Window(0, (now + span).replace(microsecond=0))
            self._windows[who, resource] = window
        return window

    def _at(self, who: str, resource: str, limit: int | None, points: int) -> Standing | None:
        if limit is None:
            return Standing(resource, 0, 0, self.clock.now()) if self.limits.shows_zero else None
        with self._lock:
            window = self._window(who, resource)
            window.used += points
            return Standing(resource, limit, window.used, window.reset_at)

    # ---- Secondary limits --------------------------------------------------------------------------

    def enter(self, who: str, resource: str, points: int) -> str | None:
        """Begin a request: the secondary limit that it breaks, or None. Call `leave` after it."""
        limits, api = self.limits, "graphql" if resource == "graphql" else "rest"
        per_minute = (
            limits.graphql_points_per_minute if api == "graphql" else limits.rest_points_per_minute
        )
        with self._lock:
            self._running[who] = self._running.get(who, 0) + 1
            if limits.concurrent is not None and self._running[who] > limits.concurrent:
                return "concurrent"
            if per_minute is not None and self._spent(who, f"{api}/points") + points > per_minute:
                return "points"
            graphql_cpu, all_cpu = (self._spent(who, f"{one}/cpu") for one in ("graphql", "rest"))
            cap = limits.graphql_cpu_seconds_per_minute
            if api == "graphql" and cap is not None and graphql_cpu >= cap:
                return "cpu"
            cap = limits.cpu_seconds_per_minute
            if cap is not None and graphql_cpu + all_cpu >= cap:
                return "cpu"
            if per_minute is not None:
                self._minutes[who, f"{api}/points"].append((self.clock.now(), points))
        return None

    def leave(self, who: str, resource: str, seconds: float) -> None:
        """End a request that took so many seconds of work."""
        api = "graphql" if resource == "graphql" else "rest"
        cap = self.limits.graphql_cpu_seconds_per_minute or self.limits.cpu_seconds_per_minute
        with self._lock:
            self._running[who] -= 1
            if seconds and cap is not None:
                self._spent(who, f"{api}/cpu")
                self._minutes[who, f"{api}/cpu"].append((self.clock.now(), seconds))

    def _spent(self, who: str, what: str) -> float:
        spent = self._minutes.setdefault((who, what), deque())
        start = self.clock.now() - MINUTE
        while spent and spent[0][0] <= start:
            spent.popleft()
        return sum(amount for _, amount in spent)
