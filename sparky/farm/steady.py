"""When beat sends: by a clock that nobody can set back, so that the farm is swept all the same."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from celery.schedules import schedstate, schedule

_STARTED = datetime.now(UTC) - timedelta(seconds=time.monotonic())


def steady_now() -> datetime:
    """The time of day at this process's start, and what has passed since then."""
    return _STARTED + timedelta(seconds=time.monotonic())


class Every(schedule):
    """Every so many seconds, however the clock of the machine is set meanwhile."""

    def __init__(self, run_every: float | timedelta, *_: object) -> None:
        super().__init__(run_every, nowfun=steady_now)

    def is_due(self, last_run_at: datetime) -> schedstate:
        """Whether it is, and in how many seconds it will be."""
        found = super().is_due(last_run_at)
        # Before this process was started the clock may have been another one.
        return found if found.next <= self.seconds else schedstate(True, self.seconds)
