"""When a schedule is due, and which windows its runs cover. Pure: the clock is passed in.

A schedule *fires* when its cron expression says so, in its zone. It is *due* later than that where
its spread or its quiet hours say so. The window belongs to the firing, not to the moment it is due:
it ends at the local midnight before the firing, so that a late run covers the same days.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from sparky.errors import UsageError
from sparky.model import Window

FRESH = timedelta(hours=1)
"""A firing that is not later than this has not been missed."""
MOST_WINDOWS = 7
"""Missed windows that one look makes up for, at most; the next look goes on."""
DAY = timedelta(days=1)
_LONGEST_DAYS = 366
_LONGEST_SPREAD = 24 * 60


class CatchUp(StrEnum):
    """What becomes of the firings that nobody saw, after a farm was down."""

    ONCE = "once"
    """One run over the whole gap."""
    ALL = "all"
    """A run for each window."""
    NONE = "none"
    """The latest one alone, if it is fresh."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours of the local day in which nothing may begin: [start, end), over midnight too."""

    start: time
    end: time

    def __post_init__(self) -> None:
        if self.start == self.end:
            raise UsageError("quiet hours end when they begin", remedy="Write them as 08:00-18:00")

    @classmethod
    def parse(cls, text: str) -> Quiet:
        """Quiet hours written as `08:00-18:00`; UsageError when they are not."""
        match = re.fullmatch(r"(\d\d):(\d\d)-(\d\d):(\d\d)", text.strip())
        if match:
            a, b, c, d = (int(part) for part in match.groups())
            if max(a, c) < 24 and max(b, d) < 60:
                return cls(time(a, b), time(c, d))
        raise UsageError(
            f"{text!r} are not quiet hours", remedy="Write them as 08:00-18:00 or 22:00-06:00"
        )

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When which repositories are read. `check` tells whether it makes sense."""

    name: str
    cron: str
    """Five fields, as in crontab; names and `L`, `LW`, `#` too."""
    zone: str = "UTC"
    """IANA name of the zone in which cron, windows and quiet hours are meant."""
    days: int = 1
    """Length of a window in local days."""
    repo_id: str | None = None
    group: str | None = None
    """One of the two: a repository's id or a group's name."""
    priority: int = 5
    """0 (first) to 9 (last)."""
    quiet: Quiet | None = None
    catch_up: CatchUp = CatchUp.ONCE
    spread: int = 0
    """Minutes over which schedules of one firing are spread; each has a place of its own."""

    def check(self) -> Schedule:
        """Itself; UsageError when a part of it makes no sense."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", self.name):
            raise UsageError(
                f"{self.name!r} is not a name for a schedule",
                remedy="Use up to 64 letters, digits, dots, dashes and underscores",
            )
        if (self.repo_id is None) == (self.group is None):
            raise UsageError(
                f"schedule {self.name} needs a repository or a group",
                remedy="Give either --repo or --group",
            )
        if not 1 <= self.days <= _LONGEST_DAYS:
            raise UsageError(
                f"a window of {self.days} days is not possible",
                remedy=f"Take 1 to {_LONGEST_DAYS} days",
            )
        if not 0 <= self.priority <= 9:
            raise UsageError(
                f"priority {self.priority} is not possible", remedy="Take 0 (first) to 9 (last)"
            )
        if not 0 <= self.spread <= _LONGEST_SPREAD:
            raise UsageError(
                f"a spread of {self.spread} minutes is not possible",
                remedy=f"Take 0 to {_LONGEST_SPREAD} minutes",
            )
        # 1 January 2000, so that an expression that never fires is found whatever the day is.
        if next(firings(self, datetime(2000, 1, 1, tzinfo=UTC)), None) is None:
            raise UsageError(
                f"cron expression {self.cron!r} never fires", remedy="Look at its day and month"
            )
        return self

    @property
    def offset(self) -> timedelta:
        """This schedule's own place in the spread: drawn from its name, so that it stays."""
        if not self.spread:
            return timedelta(0)
        drawn = int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:8], "big")
        return timedelta(seconds=drawn % (self.spread * 60))


@dataclass(frozen=True, slots=True)
class Firing:
    """One firing: when cron says so, when it is due, and the window it covers."""

    at: datetime
    due: datetime
    window: Window


@dataclass(frozen=True, slots=True)
class Plan:
    """What a schedule has to do now, and the firing it waits for next (None: it never will)."""

    windows: tuple[Window, ...]
    next: Firing | None


def days_of(window: str) -> int:
    """Local days of `day`, `week` or `<n>d`; UsageError for anything else."""
    match = re.fullmatch(r"([1-9]\d{0,2})d", {"day": "1d", "week": "7d"}.get(window, window))
    if not match:
        raise UsageError(f"{window!r} is not a window", remedy="Write it as day, week or 14d")
    return int(match[1])


def words(days: int) -> str:
    """A window of so many days, as `days_of` reads it."""
    return {1: "day", 7: "week"}.get(days, f"{days}d")


def zone(name: str) -> ZoneInfo:
    """The zone of that IANA name; UsageError if there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"there is no time zone {name!r}", remedy="Use a name such as Europe/Berlin or UTC"
        ) from None


def firings(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """The moments after `after` at which cron says so, in UTC, in order, without end.

    On the night without 02:30, what fires at 02:30 fires once, when that night's clock goes on;
    on the night with two of them it fires at the first.
    """
    last = after.astimezone(UTC)
    for found in _cron(schedule.cron, after.astimezone(zone(schedule.zone))):
        at = found.astimezone(UTC)
        # A local time that comes twice may lie before where we began.
        if at > last:
            last = at
            yield at


def upcoming(schedule: Schedule, after: datetime, count: int) -> tuple[Firing, ...]:
    """The next firings after that moment, at most `count`."""
    return tuple(islice((firing(schedule, at) for at in firings(schedule, after)), count))


def firing(schedule: Schedule, at: datetime) -> Firing:
    """What belongs to the firing at that moment."""
    return Firing(at, due(schedule, at), window(schedule, at))


def window(schedule: Schedule, at: datetime) -> Window:
    """The local days before the day of the firing: they end at the midnight before it."""
    place = zone(schedule.zone)
    today = at.astimezone(place).date()
    until = _midnight(today, place)
    first = today - schedule.days * DAY
    since = _midnight(first, place)
    while since >= until:
        # A zone that crossed the date line has left a whole day out.
        first -= DAY
        since = _midnight(first, place)
    return Window(since, until)


def due(schedule: Schedule, at: datetime) -> datetime:
    """When the firing at that moment may begin: after the schedule's place in the spread and out
    of the quiet hours, whose time does not count towards the spread. Later firings are not due
    before earlier ones."""
    left, moment = schedule.offset, at
    if schedule.quiet is None:
        return moment + left
    place = zone(schedule.zone)
    while True:
        moment = _out_of(schedule.quiet, moment, place)
        start = _next(schedule.quiet.start, moment, place)
        if moment + left < start:
            return moment + left
        left -= start - moment
        moment = start


def plan(schedule: Schedule, waiting: datetime, now: datetime) -> Plan:
    """What to run now, where the firing at `waiting` is the first that was not seen yet."""
    if due(schedule, waiting) > now:
        return Plan((), firing(schedule, waiting))
    if schedule.catch_up is CatchUp.ALL:
        seen, windows = _one_by_one(schedule, waiting, now)
    else:
        seen = latest(schedule, waiting, now)
        last = window(schedule, seen)
        if schedule.catch_up is CatchUp.ONCE:
            windows = (Window(window(schedule, waiting).since, last.until),)
        else:
            windows = (last,) if now - due(schedule, seen) <= FRESH else ()
    following = next(firings(schedule, seen), None)
    return Plan(windows, firing(schedule, following) if following else None)


def latest(schedule: Schedule, waiting: datetime, now: datetime) -> datetime:
    """The last firing from `waiting` on that is due by `now`, without a walk through all."""
    reach = timedelta(hours=1)
    while True:
        begin = max(waiting, now - schedule.offset - reach)
        found = waiting if begin == waiting else None
        for at in firings(schedule, begin):
            if at > now or due(schedule, at) > now:
                break
            found = at
        if found is not None:
            return found
        reach *= 8


def _one_by_one(
    schedule: Schedule, waiting: datetime, now: datetime
) -> tuple[datetime, tuple[Window, ...]]:
    """The first missed windows, each once, and the last firing that they answer."""
    seen, found = waiting, [window(schedule, waiting)]
    for at in firings(schedule, waiting):
        if due(schedule, at) > now:
            break
        covered = window(schedule, at)
        if covered != found[-1]:
            if len(found) == MOST_WINDOWS:
                break
            found.append(covered)
        seen = at
    return seen, tuple(found)


def _cron(expression: str, after: datetime) -> Iterator[datetime]:
    fields = expression.split()
    if len(fields) != 5:
        raise UsageError(
            f"cron expression {expression!r} has {len(fields)} fields, not five",
            remedy="Write minute, hour, day, month and weekday, such as '30 2 * * *'",
        )
    if fields[0].startswith("*") and not fields[1].startswith("*"):
        # The same minutes; written so, an hour that a night leaves out is made up for.
        fields[0] = "0-59" + fields[0][1:]
    try:
        return iter(CronSim(" ".join(fields), after))
    except CronSimError as error:
        raise UsageError(
            f"cron expression {expression!r} cannot be read: {error}",
            remedy="Write minute, hour, day, month and weekday, such as '30 2 * * *'",
        ) from None


def _midnight(day: date, place: ZoneInfo) -> datetime:
    """When that local day begins, in UTC; where midnight is left out, when the clock goes on."""
    return datetime.combine(day, time(), place).astimezone(UTC)


def _out_of(quiet: Quiet, at: datetime, place: ZoneInfo) -> datetime:
    """The moment, or the end of the quiet hours that it is in."""
    clock = at.astimezone(place).time()
    inside = (
        quiet.start <= clock < quiet.end
        if quiet.start < quiet.end
        else clock >= quiet.start or clock < quiet.end
    )
    return _next(quiet.end, at, place) if inside else at


def _next(clock: time, after: datetime, place: ZoneInfo) -> datetime:
    """When local clocks next show that time, after the moment; in UTC."""
    day = after.astimezone(place).date()
    while True:
        for fold in (0, 1):
            at = datetime.combine(day, clock, place).replace(fold=fold).astimezone(UTC)
            if at > after:
                return at
        day += DAY
