"""Schedules in Postgres: each window is read once, whoever ticks, and however often."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from sparky.errors import UsageError
from sparky.model import Repo
from sparky.schedules import CatchUp, Quiet, Schedule
from sparky.store.connection import connect
from sparky.store.gateway import Gateway
from sparky.store.groups import Groups
from sparky.store.schedules import Schedules

REPOS = [Repo(f"git:{n}", f"me/{n}", "git", f"/srv/{n}") for n in ("a", "b", "c")]


class Ticking:
    """Schedules, groups and repositories in a fresh database."""

    def __init__(self, url: str) -> None:
        self.engine = connect(url, pool=12)
        self.schedules = Schedules(self.engine, farm="main")
        self.groups = Groups(self.engine)
        store = Gateway(self.engine)
        for repo in REPOS:
            store.add_repo(repo)

    def add(self, name: str = "nightly", **changes: Any) -> None:
        fields: dict[str, Any] = {"cron": "30 2 * * *", "repo_id": "git:a"}
        self.schedules.add(Schedule(name=name, **(fields | changes)))

    def sql(self, statement: str, **values: Any) -> list[Any]:
        with self.engine.begin() as connection:
            found = connection.execute(sa.text(statement), values)
            return list(found) if found.returns_rows else []

    def late(self, by: str) -> None:
        """Make every schedule wait for a firing of the past, as after so long a downtime."""
        self.sql(
            "UPDATE schedules SET next_due = next_due - CAST(:by AS interval),"
            " fires_at = fires_at - CAST(:by AS interval)",
            by=by,
        )

    def tick(self) -> int:
        """Tick until nothing is due; how many runs that made."""
        runs = 0
        while True:
            ticked = self.schedules.tick()
            runs += ticked.runs
            if not ticked.schedules:
                return runs

    def windows(self) -> list[tuple[datetime, datetime]]:
        return [tuple(row) for row in self.sql("SELECT since, until FROM runs ORDER BY since")]


@pytest.fixture
def farm(database: str) -> Iterator[Ticking]:
    made = Ticking(database)
    yield made
    made.engine.dispose()


def test_nothing_is_made_before_its_time(farm: Ticking) -> None:
    farm.add()
    assert farm.tick() == 0


def test_what_is_due_becomes_a_run_and_rings(farm: Ticking) -> None:
    """The run reads yesterday, has a job and a step, and the schedule waits for tomorrow."""
    farm.add()
    farm.late("1 day")
    ticked = farm.schedules.tick()
    assert (ticked.schedules, ticked.runs) == (1, 1)
    assert [(bell.stage, bell.label) for bell in ticked.bells] == [("fetch", "me/a")]
    ((since, until),) = farm.windows()
    assert until - since == timedelta(days=1)
    (line,) = farm.schedules.lines()
    assert line.next_due > datetime.now(UTC)


def test_a_schedule_that_is_turned_back_makes_nothing_twice(farm: Ticking) -> None:
    """A window that was read stays read, whatever becomes of next_due."""
    farm.add()
    farm.late("1 day")
    assert farm.tick() == 1
    farm.late("1 day")
    assert farm.tick() == 0
    assert len(farm.windows()) == 1


def test_ticks_at_once_share_the_work(farm: Ticking) -> None:
    """Of eight beats that tick at the same moment, each window comes from one."""
    for n in range(40):
        farm.add(f"s{n}", repo_id=REPOS[n % 3].id)
    farm.late("1 day")
    start = threading.Barrier(8)

    def tick() -> int:
        start.wait()
        return sum(farm.schedules.tick(limit=7).runs for _ in range(8))

    with ThreadPoolExecutor(8) as pool:
        made = sum(future.result() for future in [pool.submit(tick) for _ in range(8)])
    assert made + farm.tick() == 40
    assert len(farm.sql("SELECT FROM jobs")) == 40
    assert len(farm.sql("SELECT FROM steps")) == 40


def test_after_a_downtime_each_policy_does_what_it_says(farm: Ticking) -> None:
    """Nine days were missed: one run over all, a run a day, or none."""
    for policy in CatchUp:
        farm.add(policy.value, catch_up=policy, cron="0 0 * * *", quiet=None)
    farm.late("9 days")
    farm.sql(
        "UPDATE schedules SET fires_at = date_trunc('day', now()) - interval '9 days',"
        " next_due = date_trunc('day', now()) - interval '9 days'"
    )
    farm.tick()
    made = farm.sql(
        "SELECT s.name, count(r.id), min(r.since) AS since, max(r.until) AS until"
        " FROM schedules s LEFT JOIN runs r ON r.schedule_id = s.id GROUP BY s.name"
    )
    found = {row.name: row for row in made}
    assert found["once"].count == 1
    assert found["all"].count == 10
    assert (found["once"].since, found["once"].until) == (found["all"].since, found["all"].until)
    # The last firing was this midnight: whether that is an hour ago depends on the clock.
    fresh = datetime.now(UTC).hour < 1
    assert found["none"].count == int(fresh)


def test_a_group_is_read_as_it_is_when_it_is_due(farm: Ticking) -> None:
    """Who joined is read; who left is not; each repository has one job."""
    farm.groups.add("core", ["git:a", "git:b"])
    farm.add(repo_id=None, group="core")
    farm.groups.add("core", ["git:c"])
    farm.groups.leave("core", ["git:a"])
    farm.late("1 day")
    farm.tick()
    jobs = farm.sql("SELECT repository_id FROM jobs ORDER BY repository_id")
    assert [row.repository_id for row in jobs] == ["git:b", "git:c"]
    assert [row.pending for row in farm.sql("SELECT pending FROM runs")] == [2]


def test_an_empty_group_makes_no_run(farm: Ticking) -> None:
    """A run over nothing would never end; the schedule goes on."""
    farm.groups.add("empty", [])
    farm.add(repo_id=None, group="empty")
    farm.late("1 day")
    assert farm.tick() == 0
    (line,) = farm.schedules.lines()
    assert line.next_due > datetime.now(UTC)


def test_what_has_priority_comes_first(farm: Ticking) -> None:
    farm.add("later", repo_id="git:a", priority=9)
    farm.add("first", repo_id="git:b", priority=0)
    farm.late("1 day")
    assert [bell.label for bell in farm.schedules.tick().bells] == ["me/b", "me/a"]


def test_a_schedule_that_cannot_be_read_holds_nobody_up(farm: Ticking) -> None:
    """Its zone is gone: it is disabled and says why; the other one runs."""
    farm.add("broken")
    farm.add("sound")
    farm.late("1 day")
    farm.sql("UPDATE schedules SET zone = 'Europe/Atlantis' WHERE name = 'broken'")
    assert farm.tick() == 1
    rows = farm.sql("SELECT enabled, error FROM schedules ORDER BY name")
    assert [row.enabled for row in rows] == [False, True]
    assert "Europe/Atlantis" in rows[0].error
    assert {line.schedule.name: line.enabled for line in farm.schedules.lines()} == {
        "sound": True,
        "broken": False,
    }


def test_another_farm_leaves_them_alone(farm: Ticking) -> None:
    farm.add()
    farm.late("1 day")
    assert Schedules(farm.engine, farm="other").tick().schedules == 0


def test_many_schedules_cost_few_queries(farm: Ticking) -> None:
    """None of 10,000 is due: one query. All of a batch are due: the same few for one as for 200."""
    farm.sql(
        "INSERT INTO schedules (farm, name, repository_id, cron, zone, days, catch_up, fires_at,"
        " next_due) SELECT 'main', 's' || n, 'git:a', '30 2 * * *', 'UTC', 1, 'once',"
        " now() + interval '1 day', now() + interval '1 day' FROM generate_series(1, 10000) n"
    )
    said: list[str] = []

    @event.listens_for(farm.engine, "before_cursor_execute")
    def note(_a: Any, _b: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    assert farm.schedules.tick().schedules == 0
    assert len(said) == 1
    farm.sql("UPDATE schedules SET next_due = now(), fires_at = now() WHERE id <= 200")
    said.clear()
    assert farm.schedules.tick().runs == 200
    assert len(said) <= 6


def test_a_removed_schedule_leaves_its_runs(farm: Ticking) -> None:
    """And one that takes its name begins afresh."""
    farm.add()
    farm.late("1 day")
    farm.tick()
    assert farm.schedules.remove("nightly")
    assert not farm.schedules.remove("nightly")
    assert len(farm.windows()) == 1
    farm.add()
    farm.late("1 day")
    assert farm.tick() == 1


def test_a_name_is_taken_once(farm: Ticking) -> None:
    farm.add()
    with pytest.raises(UsageError, match="already"):
        farm.add()


@pytest.mark.parametrize(
    "target", [{"repo_id": "git:nowhere"}, {"repo_id": None, "group": "nobody"}]
)
def test_a_schedule_needs_something_to_read(farm: Ticking, target: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="there is no"):
        farm.add(**target)


def test_a_group_that_is_read_stays(farm: Ticking) -> None:
    """The message names the schedule that reads it; without that the group goes."""
    farm.groups.add("core", ["git:a"])
    farm.add(repo_id=None, group="core")
    with pytest.raises(UsageError, match="schedule nightly"):
        farm.groups.remove("core")
    farm.schedules.remove("nightly")
    assert farm.groups.remove("core")
    assert farm.groups.members("core") is None


def test_what_was_written_is_read_back(farm: Ticking) -> None:
    """Each part of a schedule survives the database."""
    written = Schedule(
        name="full",
        cron="0 6 * * MON",
        zone="Europe/Berlin",
        days=7,
        repo_id="git:b",
        priority=2,
        quiet=Quiet.parse("08:00-18:30"),
        catch_up=CatchUp.ALL,
        spread=90,
    )
    line = farm.schedules.add(written)
    assert line.schedule == written
    assert line.repo == "me/b"


def test_removing_a_repository_removes_its_schedule(farm: Ticking) -> None:
    farm.add()
    Gateway(farm.engine).remove_repo("git:a")
    assert farm.schedules.lines() == ()
