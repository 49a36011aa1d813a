"""The world's clock, which only tests move."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 16, 6, tzinfo=UTC)
"""A Monday morning."""


class Clock:
    """Stands still until it is moved; `Clock.wall()` follows the time of day instead."""

    def __init__(self, at: datetime = START, reading: Callable[[], float] = lambda: 0.0) -> None:
        self._at = at
        self._reading = reading
        self._lock = threading.Lock()

    @classmethod
    def wall(cls) -> Clock:
        """A clock that shows the real time, and can still be moved forward."""
        start = time.monotonic()
        return cls(datetime.now(UTC), lambda: time.monotonic() - start)

    def now(self) -> datetime:
        return self._at + timedelta(seconds=self._reading())

    def advance(self, **delta: float) -> datetime:
        """Move forward by the keywords of `timedelta`, and say what time it is then."""
        with self._lock:
            self._at += timedelta(**delta)
        return self.now()
