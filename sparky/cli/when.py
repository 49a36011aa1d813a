"""Dates as people write them, and the window between two of them. Pure: the clock is passed in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta

from sparky.errors import UsageError
from sparky.model import Window

EXAMPLES = "30d, 2w, 12h, yesterday, 2026-01-31 or 2026-01-31T10:00+02:00"

_AGO = re.compile(r"([0-9]+)\s*(h|d|w)")


def moment(text: str, now: datetime) -> datetime:
    """The moment that `text` names, in UTC; where it names no zone, UTC is meant.

    Args:
        text: `2w`, `30d`: midnight so many days before today. `12h`: the full hour so many hours
            ago. `today`, `yesterday`: that day's midnight. `now`. Else a date or time in ISO 8601.
        now: the present, zone-aware.

    Raises:
        UsageError: it names no moment between the years 1 and 9999.
    """
    present = now.astimezone(UTC)
    word = text.strip()
    try:
        return _named(word.lower(), present) or _absolute(word)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{_shortened(text)} is not a date", remedy=f"Write it as {EXAMPLES}"
        ) from None


def window(since: str, until: str | None, now: datetime) -> Window:
    """The window from `since` up to, and without, `until`.

    Without `until` it ends with the present day (UTC), so that two runs on one day speak of the
    same window.

    Raises:
        UsageError: one of them is no date, or the window would end before it begins.
    """
    begin = moment(since, now)
    try:
        end = moment(until, now) if until else midnight(now.astimezone(UTC)) + timedelta(days=1)
    except OverflowError:
        end = datetime.max.replace(tzinfo=UTC)
    if begin >= end:
        raise UsageError(
            f"the window ends at {_shown(end)}, but begins at {_shown(begin)}",
            remedy="Give a --since that is before --until",
        )
    return Window(begin, end)


def pieces(whole: Window, *, days: int) -> tuple[Window, ...]:
    """The window cut into pieces of so many days, oldest first; the last one may be shorter."""
    step = timedelta(days=days)
    count = -(-(whole.until - whole.since) // step)
    begins = [whole.since + n * step for n in range(count)]
    return tuple(Window(begin, min(begin + step, whole.until)) for begin in begins)


def midnight(at: datetime) -> datetime:
    """The midnight at which the day of `at` began, in the zone of `at`."""
    return datetime.combine(at.date(), time(), at.tzinfo)


def _named(word: str, present: datetime) -> datetime | None:
    today = midnight(present)
    if word == "now":
        return present
    word = {"today": "0d", "yesterday": "1d"}.get(word, word)
    match = _AGO.fullmatch(word)
    if not match:
        return None
    count, unit = int(match[1]), match[2]
    if unit == "h":
        return present.replace(minute=0, second=0, microsecond=0) - timedelta(hours=count)
    return today - timedelta(days=count * (7 if unit == "w" else 1))


def _absolute(word: str) -> datetime:
    at = datetime.fromisoformat(word)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")
