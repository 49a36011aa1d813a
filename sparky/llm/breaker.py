"""Whether an engine is to be used: not before it has proved itself, and not while it is in trouble."""

from __future__ import annotations

from collections.abc import Callable

FAILURES = 3
"""Failures in a row that are trouble; one may be chance."""
FIRST_PAUSE = 2.0
LONGEST_PAUSE = 15.0
"""Seconds until an engine in trouble is tried again, doubled each time. With a sweep each 15 s, the
farm is at work again half a minute after the engine is."""


class Breaker:
    """Closed: calls go through. Open: none does, until a trial succeeds. Not safe between threads.

    It begins open with its trial due, so that no engine is used untried.

    Args:
        now: seconds of a clock that never goes back.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.closed = False
        self.due = now()
        """When the next trial may be made."""
        self._failures = 0
        self._pause = FIRST_PAUSE

    @property
    def trial(self) -> bool:
        """Whether a trial is wanted now."""
        return not self.closed and self._now() >= self.due

    def succeeded(self) -> None:
        """A call went well."""
        self._failures = 0
        if self.closed:
            self._pause = FIRST_PAUSE

    def failed(self) -> None:
        """A call failed in a way that another call would too."""
        self._failures += 1
        if self.closed and self._failures >= FAILURES:
            self.open()

    def passed(self) -> None:
        """The trial went well: calls go through again. The pause is forgotten once one did."""
        self.closed = True
        self._failures = 0

    def open(self, pause: float | None = None) -> None:
        """Let nothing through for `pause` seconds, or for longer each time."""
        self.closed = False
        if pause is None:
            pause = self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self.due = self._now() + pause
