"""When schedules are due, and that their windows leave no moment out and double none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparky import schedules
from sparky.errors import UsageError
from sparky.model import Window
from sparky.schedules import CatchUp, Quiet, Schedule

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # Its clocks change by half an hour.
    "Africa/Cairo",  # Some of its days begin at 01:00.
    "America/Havana",  # Some of its midnights come twice.
    "Pacific/Apia",  # It had no 30 December 2011.
    "Asia/Kathmandu",
)
NIGHTLY = Schedule(name="nightly", cron="30 2 * * *", zone="Europe/Berlin", repo_id="git:a")

zones = st.sampled_from(ZONES)
moments = st.datetimes(
    min_value=datetime(2005, 1, 1),  # noqa: DTZ001
    max_value=datetime(2027, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
)
clocks = st.times().map(lambda at: at.replace(second=0, microsecond=0))
quiets = st.none() | st.tuples(clocks, clocks).filter(lambda p: p[0] != p[1]).map(
    lambda p: Quiet(*p)
)
daily = st.builds(
    lambda minute, hour, zone, spread, quiet, name: Schedule(
        name=name,
        cron=f"{minute} {hour} * * *",
        zone=zone,
        spread=spread,
        quiet=quiet,
        repo_id="git:a",
    ),
    st.integers(0, 59),
    st.integers(0, 23),
    zones,
    st.sampled_from((0, 0, 30, 240)),
    quiets,
    st.sampled_from(("a", "b", "c", "d")),
)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


def hours(window: Window) -> float:
    return (window.until - window.since) / timedelta(hours=1)


class TestFirings:
    def test_the_night_without_that_time_has_its_run(self) -> None:
        """02:30 does not exist on 29 March 2026 in Berlin: the run comes when the clock goes on."""
        first, second = schedules.upcoming(NIGHTLY, utc(2026, 3, 28, 12), 2)
        assert first.at == utc(2026, 3, 29, 1)
        assert second.at == utc(2026, 3, 30, 0, 30)

    def test_the_night_with_two_of_that_time_has_one_run(self) -> None:
        """02:30 comes twice on 25 October 2026 in Berlin: the run comes at the first."""
        first, second = schedules.upcoming(NIGHTLY, utc(2026, 10, 24, 12), 2)
        assert first.at == utc(2026, 10, 25, 0, 30)
        assert second.at == utc(2026, 10, 26, 1, 30)

    def test_looking_between_the_two_finds_the_next_day(self) -> None:
        """Whoever looks after the first 02:30 does not meet the second."""
        (found,) = schedules.upcoming(NIGHTLY, utc(2026, 10, 25, 0, 45), 1)
        assert found.at == utc(2026, 10, 26, 1, 30)

    def test_an_hour_that_is_left_out_is_made_up_for(self) -> None:
        """Also where the minutes are a star."""
        often = replace(NIGHTLY, cron="*/30 2 * * *")
        found = schedules.upcoming(often, utc(2026, 3, 28, 12), 2)
        assert [firing.at for firing in found] == [utc(2026, 3, 29, 1), utc(2026, 3, 30, 0)]

    @given(daily, moments, st.integers(1, 72))
    def test_where_one_begins_to_look_does_not_matter(
        self, schedule: Schedule, after: datetime, later: int
    ) -> None:
        """The firings after a moment are those after an earlier one, without what lies between."""
        end = after + timedelta(days=6)
        middle = after + timedelta(hours=later)
        early = takewhile(lambda at: at < end, schedules.firings(schedule, after))
        late = takewhile(lambda at: at < end, schedules.firings(schedule, middle))
        assert [at for at in early if at > middle] == list(late)


class TestWindows:
    def test_a_day_has_as_many_hours_as_it_had(self) -> None:
        """The window over the night on which clocks change is 23 or 25 hours long."""
        short = schedules.window(NIGHTLY, utc(2026, 3, 30, 0, 30))
        long = schedules.window(NIGHTLY, utc(2026, 10, 26, 1, 30))
        assert (hours(short), hours(long)) == (23, 25)

    def test_a_week_is_the_seven_days_before(self) -> None:
        """On a Monday they are the week that has just ended."""
        weekly = replace(NIGHTLY, cron="0 6 * * MON", days=schedules.days_of("week"))
        (found,) = schedules.upcoming(weekly, utc(2026, 11, 18), 1)
        assert found.window == Window(utc(2026, 11, 15, 23), utc(2026, 11, 22, 23))

    def test_a_firing_at_midnight_covers_the_day_that_has_ended(self) -> None:
        midnight = replace(NIGHTLY, cron="0 0 * * *", zone="UTC")
        (found,) = schedules.upcoming(midnight, utc(2026, 11, 18, 5), 1)
        assert found.window == Window(utc(2026, 11, 18), utc(2026, 11, 19))

    def test_a_day_that_never_was_leaves_no_hole(self) -> None:
        """Samoa went from 29 to 31 December 2011; the 29th is in a window all the same."""
        apia = replace(NIGHTLY, zone="Pacific/Apia")
        windows = [f.window for f in schedules.upcoming(apia, utc(2011, 12, 28), 5)]
        days = list(dict.fromkeys(windows))
        assert all(a.until == b.since for a, b in pairwise(days))
        assert {hours(day) for day in days} == {24}

    @given(daily, moments)
    def test_day_windows_tile_the_time_line(self, schedule: Schedule, after: datetime) -> None:
        """The windows of consecutive firings touch: nothing between them, nothing in two."""
        found = schedules.upcoming(schedule, after, 12)
        windows = list(dict.fromkeys(firing.window for firing in found))
        assert len(windows) >= 11
        assert all(a.until == b.since for a, b in pairwise(windows))

    @given(daily, moments)
    def test_a_window_has_ended_when_it_is_read(self, schedule: Schedule, after: datetime) -> None:
        for firing in schedules.upcoming(schedule, after, 4):
            assert firing.window.until <= firing.at <= firing.due

    @pytest.mark.parametrize(
        ("text", "days"), [("day", 1), ("week", 7), ("1d", 1), ("14d", 14), ("366d", 366)]
    )
    def test_windows_are_read(self, text: str, days: int) -> None:
        assert schedules.days_of(text) == days
        assert schedules.days_of(schedules.words(days)) == days


class TestDue:
    def test_a_firing_in_the_quiet_hours_waits_for_their_end(self) -> None:
        quiet = replace(NIGHTLY, cron="0 10 * * *", zone="UTC", quiet=Quiet.parse("08:00-18:00"))
        assert schedules.due(quiet, utc(2026, 11, 18, 10)) == utc(2026, 11, 18, 18)

    def test_quiet_hours_go_over_midnight(self) -> None:
        quiet = replace(NIGHTLY, zone="UTC", quiet=Quiet.parse("22:00-06:00"))
        assert schedules.due(quiet, utc(2026, 11, 18, 23)) == utc(2026, 11, 19, 6)
        assert schedules.due(quiet, utc(2026, 11, 18, 2, 30)) == utc(2026, 11, 18, 6)
        assert schedules.due(quiet, utc(2026, 11, 18, 6)) == utc(2026, 11, 18, 6)

    def test_a_schedule_has_its_own_place_in_the_spread(self) -> None:
        """A thousand of them are not due at once, and each keeps its place."""
        spread = [replace(NIGHTLY, name=f"s{n}", spread=60) for n in range(1000)]
        assert replace(spread[7], cron="0 4 * * *").offset == spread[7].offset
        minutes = {schedule.offset // timedelta(minutes=1) for schedule in spread}
        assert minutes == set(range(60))

    @given(daily, moments)
    def test_nothing_begins_in_the_quiet_hours(self, schedule: Schedule, at: datetime) -> None:
        """Except in the hour that a night has twice, whose clocks cannot tell."""
        begins = schedules.due(schedule, at).astimezone(schedules.zone(schedule.zone))
        if (
            schedule.quiet is None
            or begins.replace(fold=1 - begins.fold).utcoffset() != begins.utcoffset()
        ):
            return
        start, end = schedule.quiet.start, schedule.quiet.end
        clock = begins.time()
        inside = start <= clock < end if start < end else clock >= start or clock < end
        assert not inside

    @given(daily, moments, st.integers(1, 3000))
    def test_later_firings_are_not_due_before_earlier_ones(
        self, schedule: Schedule, at: datetime, minutes: int
    ) -> None:
        later = at + timedelta(minutes=minutes)
        assert schedules.due(schedule, at) <= schedules.due(schedule, later)


class TestPlans:
    def test_before_it_is_due_there_is_nothing_to_do(self) -> None:
        waiting = utc(2026, 11, 18, 1, 30)
        found = schedules.plan(NIGHTLY, waiting, utc(2026, 11, 18, 1, 29))
        assert found.windows == ()
        assert found.next == schedules.firing(NIGHTLY, waiting)

    def test_when_it_is_due_one_window_is_read(self) -> None:
        waiting = utc(2026, 11, 18, 1, 30)
        found = schedules.plan(NIGHTLY, waiting, utc(2026, 11, 18, 1, 31))
        assert found.windows == (schedules.window(NIGHTLY, waiting),)
        assert found.next is not None
        assert found.next.at == utc(2026, 11, 19, 1, 30)

    def test_once_reads_the_whole_gap_in_one_run(self) -> None:
        found = schedules.plan(NIGHTLY, utc(2026, 11, 1, 1, 30), utc(2026, 11, 18, 12))
        assert found.windows == (Window(utc(2026, 10, 30, 23), utc(2026, 11, 17, 23)),)

    def test_none_reads_the_latest_if_it_is_fresh(self) -> None:
        """Half an hour late is not missed; half a day late is."""
        lazy = replace(NIGHTLY, catch_up=CatchUp.NONE)
        waiting = utc(2026, 11, 1, 1, 30)
        fresh = schedules.plan(lazy, waiting, utc(2026, 11, 18, 2))
        assert fresh.windows == (Window(utc(2026, 11, 16, 23), utc(2026, 11, 17, 23)),)
        missed = schedules.plan(lazy, waiting, utc(2026, 11, 18, 14))
        assert missed.windows == ()
        assert missed.next is not None
        assert missed.next.at == utc(2026, 11, 19, 1, 30)

    def test_all_goes_on_where_it_stopped(self) -> None:
        """A long gap is made up for in portions, and nothing is left out between them."""
        all_of_it = replace(NIGHTLY, catch_up=CatchUp.ALL)
        now, waiting = utc(2026, 11, 18, 12), utc(2026, 11, 1, 1, 30)
        windows: list[Window] = []
        looks = 0
        while waiting <= now:
            found = schedules.plan(all_of_it, waiting, now)
            assert 0 < len(found.windows) <= schedules.MOST_WINDOWS
            windows += found.windows
            assert found.next is not None
            waiting = found.next.at
            looks += 1
        assert (looks, len(windows)) == (3, 18)
        assert all(a.until == b.since for a, b in pairwise(windows))

    @given(daily, moments, st.timedeltas(timedelta(0), timedelta(days=40)))
    def test_once_and_all_cover_the_same_span(
        self, schedule: Schedule, after: datetime, gap: timedelta
    ) -> None:
        """However long nobody looked, both policies read the same days and wait for the same firing."""
        (first,) = schedules.upcoming(schedule, after, 1)
        now = first.due + gap
        once = schedules.plan(replace(schedule, catch_up=CatchUp.ONCE), first.at, now)
        windows: list[Window] = []
        waiting = first
        while waiting.due <= now:
            step = schedules.plan(replace(schedule, catch_up=CatchUp.ALL), waiting.at, now)
            windows += step.windows
            assert step.next is not None
            waiting = step.next
        assert once.windows == (Window(windows[0].since, windows[-1].until),)
        assert once.next == waiting

    def test_many_firings_a_day_read_the_day_once(self) -> None:
        """An hourly schedule with a window of a day has one window a day."""
        hourly = replace(NIGHTLY, cron="0 * * * *", zone="UTC", catch_up=CatchUp.ALL)
        found = schedules.plan(hourly, utc(2026, 11, 17, 1), utc(2026, 11, 18, 12))
        assert [window.since for window in found.windows] == [utc(2026, 11, 16), utc(2026, 11, 17)]

    def test_the_last_of_many_firings_is_found(self) -> None:
        """Half a million minutes were missed; the latest is the one of this minute."""
        busy = replace(NIGHTLY, cron="* * * * *", zone="UTC")
        found = schedules.latest(busy, utc(2025, 11, 18), utc(2026, 11, 18, 12, 0, 30))
        assert found == utc(2026, 11, 18, 12)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cron": "61 2 * * *"}, "cannot be read"),
        ({"cron": "30 2 * *"}, "4 fields"),
        ({"cron": "0 0 31 4,6 *"}, "day-of-month"),
        ({"zone": "Europe/Berlim"}, "no time zone"),
        ({"zone": "../etc/passwd"}, "no time zone"),
        ({"days": 0}, "0 days"),
        ({"days": 367}, "367 days"),
        ({"priority": 10}, "priority 10"),
        ({"spread": -1}, "-1 minutes"),
        ({"name": "night run"}, "not a name"),
        ({"repo_id": None}, "needs a repository or a group"),
        ({"group": "core"}, "needs a repository or a group"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(changes: dict[str, object], said: str) -> None:
    """The message names what is wrong and what to write instead."""
    with pytest.raises(UsageError, match=said) as refused:
        replace(NIGHTLY, **changes).check()  # type: ignore[arg-type]
    assert refused.value.remedy


@pytest.mark.parametrize("text", ["8-18", "08:00", "08:00-25:00", "08:00-08:00", "08:61-09:00"])
def test_hours_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="quiet hours"):
        Quiet.parse(text)


@pytest.mark.parametrize("text", ["month", "0d", "d", "-1d", "1w", "1000d"])
def test_windows_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a window"):
        schedules.days_of(text)


def test_quiet_hours_are_written_as_they_are_read() -> None:
    assert str(Quiet(time(8), time(18, 30))) == "08:00-18:30"
