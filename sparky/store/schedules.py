"""Schedules in Postgres: what is due becomes runs, in the transaction that moves it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sparky.errors import UsageError
from sparky.schedules import CatchUp, Plan, Quiet, Schedule, plan, upcoming
from sparky.store import tables as t
from sparky.store.desk import Bell, Desk
from sparky.store.dispatch import wake
from sparky.store.runs import Wanted, make

BATCH = 200
"""Schedules that one transaction takes, at most."""

_MOVE = sa.text("""
    UPDATE schedules SET fires_at = moved.fires_at, next_due = moved.next_due
    FROM unnest(CAST(:ids AS bigint[]), CAST(:fires AS timestamptz[]), CAST(:due AS timestamptz[]))
         AS moved(id, fires_at, next_due)
    WHERE schedules.id = moved.id
""")


@dataclass(frozen=True, slots=True)
class ScheduleLine:
    """A schedule as a line of a list."""

    schedule: Schedule
    repo: str | None
    """Name of its repository, where it has no group."""
    fires_at: datetime
    next_due: datetime
    enabled: bool
    error: str | None
    """Why it was disabled."""


@dataclass(frozen=True, slots=True)
class Ticked:
    """What one look at the schedules did."""

    schedules: int
    """How many were due; 0: there is no more to do now."""
    runs: int
    bells: tuple[Bell, ...]


class Schedules(Desk):
    """A farm's schedules. Errors: UsageError, Transient, StoreError."""

    def add(self, schedule: Schedule) -> ScheduleLine:
        """Write a new schedule, which waits for its next firing.

        UsageError when it makes no sense, its name is taken, or what it reads is not there.
        """
        schedule.check()
        with self._begin() as connection:
            now = _now(connection)
            first = upcoming(schedule, now, 1)[0]
            self._check_target(connection, schedule)
            added = connection.execute(
                insert(t.schedules)
                .values(
                    farm=self.farm,
                    name=schedule.name,
                    repository_id=schedule.repo_id,
                    group_name=schedule.group,
                    cron=schedule.cron,
                    zone=schedule.zone,
                    days=schedule.days,
                    priority=schedule.priority,
                    quiet_from=schedule.quiet.start if schedule.quiet else None,
                    quiet_until=schedule.quiet.end if schedule.quiet else None,
                    catch_up=schedule.catch_up.value,
                    spread=schedule.spread,
                    fires_at=first.at,
                    next_due=first.due,
                )
                .on_conflict_do_nothing(index_elements=["farm", "name"])
                .returning(t.schedules.c.id)
            )
            if added.first() is None:
                raise UsageError(
                    f"there is a schedule {schedule.name} already",
                    remedy="Choose another name, or remove that one first",
                )
        return next(line for line in self.lines() if line.schedule.name == schedule.name)

    def remove(self, name: str) -> bool:
        """Forget the schedule; its runs stay. Whether it was there."""
        c = t.schedules.c
        with self._begin() as connection:
            gone = connection.execute(
                sa.delete(t.schedules).where(c.farm == self.farm, c.name == name)
            )
            return gone.rowcount > 0

    def lines(self) -> tuple[ScheduleLine, ...]:
        """All schedules, the next one first."""
        s, r = t.schedules.c, t.repositories.c
        query = (
            sa.select(t.schedules, r.name.label("repo"))
            .join(t.repositories, r.id == s.repository_id, isouter=True)
            .where(s.farm == self.farm)
            .order_by(s.enabled.desc(), s.next_due, s.name)
        )
        with self._begin() as connection:
            return tuple(
                ScheduleLine(
                    _schedule(row),
                    row.repo,
                    row.fires_at,
                    row.next_due,
                    row.enabled,
                    row.error,
                )
                for row in connection.execute(query)
            )

    def tick(self, *, limit: int = BATCH) -> Ticked:
        """Make the runs of up to `limit` schedules that are due, by Postgres' clock.

        Two ticks at once share the work; a tick that is late, early or doubled makes nothing twice.
        """
        c = t.schedules.c
        query = (
            sa.select(t.schedules, sa.func.now().label("now"))
            .where(c.farm == self.farm, c.enabled, c.next_due <= sa.func.now())
            .order_by(c.next_due, c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._begin("tick") as connection:
            rows = connection.execute(query).all()
            if not rows:
                return Ticked(0, 0, ())
            plans: list[tuple[Any, Plan]] = []
            for row in rows:
                try:
                    plans.append((row, plan(_schedule(row), row.fires_at, row.now)))
                except UsageError as error:
                    # A zone that this machine does not know, for instance: the others go on.
                    self._disable(connection, row.id, str(error))
            members = self._members(connection, [row for row, _ in plans])
            wanted = [
                Wanted(
                    run_id=uuid4().hex,
                    window=window,
                    repo_ids=members.get(row.id, ()),
                    priority=row.priority,
                    schedule_id=row.id,
                )
                for row, made in plans
                for window in made.windows
            ]
            runs = make(connection, self.farm, wanted) if wanted else ()
            self._move(connection, plans)
            return Ticked(len(rows), len(runs), wake(connection, self.farm, ("fetch",)))

    def _members(self, connection: sa.Connection, rows: Sequence[Any]) -> dict[int, list[str]]:
        """The repositories of each schedule, by its id."""
        found = {row.id: [row.repository_id] for row in rows if row.repository_id is not None}
        names = {row.group_name for row in rows if row.group_name is not None}
        m = t.group_members.c
        of_groups: dict[str, list[str]] = {}
        if names:
            query = sa.select(m.group_name, m.repository_id).where(m.group_name.in_(sorted(names)))
            for name, repo_id in connection.execute(query):
                of_groups.setdefault(name, []).append(repo_id)
        return found | {
            row.id: of_groups.get(row.group_name, []) for row in rows if row.group_name is not None
        }

    def _move(self, connection: sa.Connection, plans: Sequence[tuple[Any, Plan]]) -> None:
        moved = [(row.id, made.next) for row, made in plans if made.next is not None]
        connection.execute(
            _MOVE,
            {
                "ids": [row_id for row_id, _ in moved],
                "fires": [firing.at for _, firing in moved],
                "due": [firing.due for _, firing in moved],
            },
        )
        for row, made in plans:
            if made.next is None:
                self._disable(connection, row.id, "its cron expression never fires again")

    def _disable(self, connection: sa.Connection, schedule_id: int, why: str) -> None:
        connection.execute(
            sa.update(t.schedules)
            .where(t.schedules.c.id == schedule_id)
            .values(enabled=False, error=why)
        )

    def _check_target(self, connection: sa.Connection, schedule: Schedule) -> None:
        """Lock what the schedule reads, so that it is not removed meanwhile."""
        if schedule.group is not None:
            column, value, what, command = t.groups.c.name, schedule.group, "group", "groups"
        else:
            column, value = t.repositories.c.id, str(schedule.repo_id)
            what, command = "repository", "repos"
        found = connection.execute(
            sa.select(column).where(column == value).with_for_update(key_share=True)
        )
        if found.first() is None:
            raise UsageError(
                f"there is no {what} {value}", remedy=f"`sparky {command} list` lists them"
            )


def _now(connection: sa.Connection) -> datetime:
    return connection.execute(sa.select(sa.func.now())).scalar_one()


def _schedule(row: Any) -> Schedule:
    return Schedule(
        name=row.name,
        cron=row.cron,
        zone=row.zone,
        days=row.days,
        repo_id=row.repository_id,
        group=row.group_name,
        priority=row.priority,
        quiet=Quiet(row.quiet_from, row.quiet_until) if row.quiet_from is not None else None,
        catch_up=CatchUp(row.catch_up),
        spread=row.spread,
    )
