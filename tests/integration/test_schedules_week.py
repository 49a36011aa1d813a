"""A week of schedules on a real Postgres whose clock is ours: beats, jumps, a downtime, and the
night in which Berlin has 02:30 twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from sparky.model import Repo, Window
from sparky.schedules import CatchUp, Schedule
from sparky.store.connection import connect
from sparky.store.gateway import Gateway
from sparky.store.schedules import Schedules

BERLIN = ZoneInfo("Europe/Berlin")
BEGIN = datetime(2026, 10, 23, 12, tzinfo=UTC)
"""A Friday. On Sunday at 01:00 UTC Berlin sets its clocks back."""
WEEK = timedelta(days=7)
STEP = timedelta(minutes=30)
DOWN = (datetime(2026, 10, 26, 18, tzinfo=UTC), datetime(2026, 10, 28, 19, tzinfo=UTC))
"""Two days in which nobody ticks: the firings of two nights are missed."""
BACK = datetime(2026, 10, 25, 3, tzinfo=UTC)
"""Here Postgres' clock is set back by two hours, after Sunday's firing."""

CLOCK = f"""
    CREATE SCHEMA simulated;
    CREATE TABLE simulated.clock (at timestamptz NOT NULL);
    INSERT INTO simulated.clock VALUES ('{BEGIN.isoformat()}');
    CREATE FUNCTION simulated.now() RETURNS timestamptz LANGUAGE sql STABLE
        AS 'SELECT at FROM simulated.clock'
"""


@dataclass(frozen=True, slots=True)
class Farm:
    """A database whose `now()` is set by hand."""

    engine: sa.Engine
    schedules: Schedules

    def at(self, moment: datetime) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text("UPDATE simulated.clock SET at = :at"), {"at": moment})

    def windows(self, name: str) -> list[Window]:
        """What the schedule's runs read, oldest first."""
        query = sa.text(
            "SELECT since, until FROM runs JOIN schedules ON schedules.id = schedule_id"
            " WHERE name = :name ORDER BY since, until"
        )
        with self.engine.begin() as connection:
            return [
                Window(row.since, row.until) for row in connection.execute(query, {"name": name})
            ]


@pytest.fixture
def farm(database: str) -> Iterator[Farm]:
    engine = connect(database)

    @event.listens_for(engine, "connect")
    def use_our_clock(connection: Any, record: Any) -> None:
        # What stands before `pg_catalog` is found first, so that `now()` is ours.
        connection.execute("SET search_path = simulated, public, pg_catalog")
        connection.commit()

    _run(engine, CLOCK)
    Gateway(engine).add_repo(Repo("git:a", "me/a", "git", "/srv/a"))
    yield Farm(engine, Schedules(engine, farm="main"))
    _run(engine, "DROP SCHEMA simulated CASCADE")
    engine.dispose()


def _run(engine: sa.Engine, statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements.split(";"):
            connection.execute(sa.text(statement))


def live(farm: Farm) -> None:
    """The week: two beats tick each half hour, but for a downtime; clocks jump."""
    now = BEGIN
    set_back = False
    while now < BEGIN + WEEK:
        now += STEP
        if DOWN[0] < now <= DOWN[1]:
            continue
        if now == BACK and not set_back:
            set_back = True
            now -= timedelta(hours=2)
        farm.at(now)
        # The second beat's tick comes right after the first; one that jumped sends many at once.
        for _ in range(20 if now.hour == 12 and now.minute == 0 else 2):
            farm.schedules.tick()


def test_a_week_is_read_without_a_gap_and_nothing_twice(farm: Farm) -> None:
    """Two beats, one that jumps, a clock set back, a downtime, the end of summer time."""
    for policy in CatchUp:
        farm.schedules.add(
            Schedule(
                name=policy.value, cron="30 2 * * *", zone="Europe/Berlin", repo_id="git:a",
                catch_up=policy,
            )
        )  # fmt: skip
    farm.schedules.add(
        Schedule(name="mondays", cron="0 6 * * MON", zone="Europe/Berlin", days=7, repo_id="git:a")
    )
    live(farm)
    days = [datetime(2026, 10, 23 + n, tzinfo=BERLIN).astimezone(UTC) for n in range(8)]
    each = [Window(*pair) for pair in pairwise(days)]
    # Saturday's firing reads Friday, and so on; Sunday has 25 hours.
    assert [day.until - day.since for day in each].count(timedelta(hours=25)) == 1
    assert farm.windows("all") == each
    # Two firings were missed: one run for both days, or the days are left out.
    gap = Window(each[3].since, each[4].until)
    assert gap in farm.windows("once")
    assert farm.windows("once") == [*each[:3], *([] if gap in each else [gap]), *each[5:]]
    assert farm.windows("none") == [*each[:3], *each[5:]]
    (monday,) = farm.windows("mondays")
    assert monday.until == each[3].since
    assert monday.until - monday.since == timedelta(days=7, hours=1)


def test_a_firing_is_late_by_no_more_than_a_tick(farm: Farm) -> None:
    """Each run of the week is made at the first tick after its firing."""
    farm.schedules.add(Schedule(name="nightly", cron="30 2 * * *", zone="UTC", repo_id="git:a"))
    made = []
    now = BEGIN
    while now < BEGIN + WEEK:
        now += STEP
        farm.at(now)
        if farm.schedules.tick().runs:
            made.append(now)
    assert [(at.hour, at.minute) for at in made] == [(2, 30)] * 7
