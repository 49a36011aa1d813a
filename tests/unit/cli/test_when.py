"""Dates on the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparky.cli.when import moment, pieces, window
from sparky.errors import UsageError
from sparky.model import Window

NOW = datetime(2026, 3, 15, 14, 37, 5, 123, tzinfo=UTC)
TODAY = datetime(2026, 3, 15, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("30d", TODAY - 30 * DAY),
        ("0d", TODAY),
        (" 2W ", TODAY - 14 * DAY),
        ("12h", datetime(2026, 3, 15, 2, tzinfo=UTC)),
        ("today", TODAY),
        ("Yesterday", TODAY - DAY),
        ("now", NOW),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T10:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31 10:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31T10:00:05Z", datetime(2026, 1, 31, 10, 0, 5, tzinfo=UTC)),
        ("2026-01-31T10:00+02:00", datetime(2026, 1, 31, 8, tzinfo=UTC)),
    ],
)
def test_a_date_means_what_people_mean(text: str, meant: datetime) -> None:
    found = moment(text, NOW)
    assert found == meant
    assert found.tzinfo is UTC


def test_days_count_in_utc_wherever_the_clock_is() -> None:
    late_in_auckland = datetime(2026, 3, 16, 3, 37, tzinfo=timezone(timedelta(hours=13)))
    assert moment("today", late_in_auckland) == TODAY


@pytest.mark.parametrize(
    "text",
    ["", "soon", "30", "30m", "-3d", "2026-13-01", "31.01.2026", "9" * 30 + "d", "99999999w",
     "0001-01-01T00:00+14:00", "9999-12-31T23:00-05:00", "٣d"],
)  # fmt: skip
def test_what_is_no_date_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        moment(text, NOW)
    assert "is not a date. Write it as 30d, 2w, 12h, yesterday, 2026-01-31" in str(caught.value)


def test_a_long_text_is_cut_in_the_refusal() -> None:
    with pytest.raises(UsageError) as caught:
        moment("x" * 5000, NOW)
    assert len(str(caught.value)) < 200


def test_a_window_without_an_end_lasts_until_the_day_is_over() -> None:
    assert window("30d", None, NOW) == Window(TODAY - 30 * DAY, TODAY + DAY)


def test_two_runs_on_one_day_speak_of_the_same_window() -> None:
    later = NOW + timedelta(hours=5)
    assert window("30d", None, NOW) == window("30d", None, later)


def test_the_end_of_a_window_is_not_in_it() -> None:
    found = window("2026-01-01", "2026-02-01", NOW)
    assert found.until == datetime(2026, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until"), [("2026-02-01", "2026-01-01"), ("7d", "7d"), ("2099-01-01", None)]
)
def test_a_window_must_begin_before_it_ends(since: str, until: str | None) -> None:
    with pytest.raises(UsageError, match="Give a --since that is before --until"):
        window(since, until, NOW)


def test_a_window_on_the_last_day_there_is_has_an_end() -> None:
    last_day = datetime(9999, 12, 31, 5, tzinfo=UTC)
    assert window("1d", None, last_day).until == datetime.max.replace(tzinfo=UTC)


@given(at=st.datetimes(timezones=st.timezones()), now=st.datetimes(timezones=st.just(UTC)))
def test_every_moment_in_iso_8601_is_understood_or_refused(at: datetime, now: datetime) -> None:
    try:
        expected = at.astimezone(UTC)
    except OverflowError:
        with pytest.raises(UsageError):
            moment(at.isoformat(), now)
    else:
        assert moment(at.isoformat(), now) == expected


@given(days=st.integers(0, 10_000), back=st.timedeltas(timedelta(), timedelta(days=365)))
def test_days_ago_are_midnights_that_many_days_back(days: int, back: timedelta) -> None:
    now = NOW - back
    found = moment(f"{days}d", now)
    assert (found.hour, found.minute, found.second, found.microsecond) == (0, 0, 0, 0)
    assert (now.date() - found.date()).days == days


@given(text=st.text(), now=st.datetimes(timezones=st.just(UTC)))
def test_any_text_gives_a_moment_in_utc_or_a_refusal_in_one_line(text: str, now: datetime) -> None:
    try:
        said = repr(moment(text, now))
    except UsageError as error:
        said = str(error)
    assert len(said.splitlines()) == 1


@given(st.integers(1, 400 * 24), st.integers(1, 30))
def test_pieces_touch_and_make_up_the_whole(hours: int, days: int) -> None:
    """No moment is left out or in two, and only the last piece may be shorter."""
    whole = Window(TODAY, TODAY + timedelta(hours=hours))
    found = pieces(whole, days=days)
    assert (found[0].since, found[-1].until) == (whole.since, whole.until)
    assert all(a.until == b.since for a, b in pairwise(found))
    assert {piece.until - piece.since for piece in found[:-1]} <= {days * DAY}
    assert found[-1].until - found[-1].since <= days * DAY
