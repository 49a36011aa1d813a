"""Runs: a window over a set of repositories, with a job for each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from sparky.model import Window
from sparky.store import tables as t
from sparky.store.desk import OPEN, Bell, Desk, finish
from sparky.store.dispatch import wake

# Runs with a job and a fetch step for each repository: those without a digest first, then those
# whose last digest is oldest. Each step of priority counts as ten minutes of waiting, so that what
# comes last still comes. A run that its schedule has made before, or one over nothing, is not made.
_MAKE = sa.text("""
    WITH wanted AS (
        SELECT * FROM unnest(
            CAST(:ids AS text[]), CAST(:since AS timestamptz[]), CAST(:until AS timestamptz[]),
            CAST(:options AS jsonb[]), CAST(:priorities AS int[]), CAST(:schedules AS bigint[])
        ) WITH ORDINALITY AS run(id, since, until, options, priority, schedule_id, place)
    ), members AS (
        SELECT DISTINCT run.id AS run_id, r.id AS repository_id
        FROM unnest(CAST(:runs AS text[]), CAST(:repos AS text[])) AS run(id, repository_id)
        JOIN repositories AS r ON r.id = run.repository_id
    ), made AS (
        INSERT INTO runs (id, farm, schedule_id, priority, since, until, options, pending)
        SELECT id, :farm, schedule_id, priority, since, until,
               CASE WHEN options ->> 'refresh' = 'true'
                    THEN options || jsonb_build_object('refresh', now()) ELSE options END,
               size.pending
        FROM wanted
        JOIN (SELECT run_id, count(*) AS pending FROM members GROUP BY run_id) AS size
          ON size.run_id = wanted.id
        ON CONFLICT (schedule_id, since, until) DO NOTHING
        RETURNING id, priority
    ), ordered AS (
        SELECT made.id AS run_id, made.priority, members.repository_id,
               row_number() OVER (
                   ORDER BY wanted.place, last.digested NULLS FIRST, members.repository_id
               ) AS place
        FROM made
        JOIN wanted ON wanted.id = made.id
        JOIN members ON members.run_id = made.id
        CROSS JOIN LATERAL (
            SELECT max(created_at) AS digested FROM digests
            WHERE digests.repository_id = members.repository_id
        ) AS last
    ), jobs_made AS (
        INSERT INTO jobs (run_id, repository_id)
        SELECT run_id, repository_id FROM ordered ORDER BY place
        RETURNING id, run_id, repository_id
    ), steps_made AS (
        INSERT INTO steps (job_id, farm, stage, order_at)
        SELECT jobs_made.id, :farm, 'fetch',
               now() + (ordered.priority - 5) * interval '10 minutes'
                     + ordered.place * interval '1 microsecond'
        FROM jobs_made JOIN ordered USING (run_id, repository_id)
    )
    SELECT id FROM made
""")

# Jobs of a run that have something to open again, locked in the order of their ids.
_RETRIED = sa.text("""
    SELECT id FROM jobs
    WHERE run_id = :run AND state = ANY(CAST(:jobs AS text[]))
      AND EXISTS (
          SELECT FROM steps
          WHERE job_id = jobs.id AND state = ANY(CAST(:steps AS text[]))
      )
    ORDER BY id FOR UPDATE
""")

# What comes after the first stage that is opened again was made without it, and is made anew.
_DROP = sa.text("""
    DELETE FROM steps AS later USING steps AS first
    WHERE later.job_id = ANY(CAST(:ids AS bigint[])) AND first.job_id = later.job_id
      AND first.state = ANY(CAST(:steps AS text[]))
      AND array_position(CAST(:stages AS text[]), later.stage)
        > array_position(CAST(:stages AS text[]), first.stage)
""")

_REOPEN = sa.text("""
    WITH opened AS (
        UPDATE steps
        SET state = 'waiting', failures = 0, error = NULL, result = NULL, not_before = NULL,
            rung_at = NULL, ended_at = NULL, order_at = now()
        WHERE job_id = ANY(CAST(:ids AS bigint[])) AND state = ANY(CAST(:steps AS text[]))
        RETURNING job_id, stage
    )
    UPDATE jobs
    SET state = 'running', error = NULL, finished_at = NULL, stage = again.stage,
        pending = CASE WHEN again.stage = 'summarize' THEN again.steps ELSE 0 END
    FROM (SELECT job_id, stage, count(*) AS steps FROM opened GROUP BY job_id, stage) AS again
    WHERE jobs.id = again.job_id
    RETURNING again.steps
""")


# What is in the tables now, of which Postgres knows only what it saw when it last looked: it plans the
# statements of a step by that, and where it saw next to nothing, some read all that waits. It looks by
# itself once a minute, and where it does so while a run is written, it sees nothing of it. Nobody who
# holds a table, such as a long VACUUM, is waited for.
_ANALYZE = sa.text("ANALYZE (SKIP_LOCKED) jobs, steps")
_MANY = 100
"""So many jobs at once are worth a look."""

_OWN = "run-"
_DIGITS = 12
"""So many of its run's id are in the name of a farm of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A run to be made."""

    run_id: str
    window: Window
    repo_ids: Sequence[str]
    options: Mapping[str, Any] = field(default_factory=dict)
    """`refresh`: ask the engine again, whatever it answered before this run."""
    priority: int = t.ON_TIME
    schedule_id: int | None = None


class Runs(Desk):
    """Starts, ends and retries runs."""

    def start(
        self, run_id: str, window: Window, repo_ids: Sequence[str], options: Mapping[str, Any]
    ) -> tuple[Bell, ...]:
        """Write a run with one job and one fetch step for each repository; the bells to ring."""
        return self.start_all(
            [Wanted(run_id=run_id, window=window, repo_ids=repo_ids, options=options)]
        )

    def start_all(self, wanted: Sequence[Wanted]) -> tuple[Bell, ...]:
        """Write runs, all or none of them; the bells to ring."""
        with self._begin() as connection:
            make(connection, self.farm, wanted)
            return wake(connection, self.farm, ("fetch",))

    def retry(self, run_id: str, *, cancelled: bool = True) -> tuple[int, tuple[Bell, ...]]:
        """Open again the steps that failed, and those alone; what was made of them is made anew.

        Args:
            cancelled: also open what was cancelled.

        Returns: how many steps were opened, and the bells to ring.
        """
        jobs = ["partial", "failed", *(["cancelled"] if cancelled else [])]
        steps = ["failed", *(["cancelled"] if cancelled else [])]
        with self._begin() as connection:
            # Jobs before steps before runs: the order in which every other transaction locks them.
            ids = list(
                connection.execute(_RETRIED, {"run": run_id, "jobs": jobs, "steps": steps})
                .scalars()
                .all()
            )
            if not ids:
                return 0, ()
            given = {"ids": ids, "steps": steps}
            connection.execute(_DROP, {**given, "stages": list(t.STAGES)})
            opened = sum(connection.execute(_REOPEN, given).scalars())
            r = t.runs.c
            connection.execute(
                sa.update(t.runs)
                .where(r.id == run_id)
                .values(state="running", finished_at=None, pending=r.pending + len(ids))
            )
            return opened, wake(connection, self.farm, t.STAGES)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Show, for as long as the block runs, that somebody waits for this farm's runs.

        The database lets go when the connection breaks, so a killed process holds nothing.
        """
        with self._begin() as connection:
            connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_lock(self.farm))))
            yield

    def cancel_orphans(self) -> tuple[str, ...]:
        """Cancel the open runs with a farm of their own that nobody holds any more; their farms."""
        r = t.runs.c
        own = sa.func.concat(_OWN, sa.func.left(r.id, _DIGITS))
        query = sa.select(r.id, r.farm).where(r.state == "running", r.farm == own)
        gone = []
        with self._begin() as connection:
            for run_id, farm in connection.execute(query).all():
                free = sa.select(sa.func.pg_try_advisory_xact_lock(_lock(farm)))
                if connection.execute(free).scalar_one():
                    _cancel(connection, run_id)
                    gone.append(farm)
        return tuple(gone)

    def cancel(self, run_id: str) -> bool:
        """Stop what is open; steps that run now will find their claim void. Whether it was open."""
        with self._begin() as connection:
            return _cancel(connection, run_id)


def own_farm(run_id: str) -> str:
    """The name of a farm that is there for this run alone."""
    return f"{_OWN}{run_id[:_DIGITS]}"


def make(connection: sa.Connection, farm: str, wanted: Sequence[Wanted]) -> tuple[str, ...]:
    """Inside a transaction: write runs with their jobs and first steps; the ids of those made.

    One that its schedule has made before is not made again, nor is one without repositories. Where
    there are many jobs, Postgres is told to look at what is in their tables.
    """
    pairs = [(run.run_id, repo) for run in wanted for repo in run.repo_ids]
    made = connection.execute(
        _MAKE,
        {
            "farm": farm,
            "ids": [run.run_id for run in wanted],
            "since": [run.window.since for run in wanted],
            "until": [run.window.until for run in wanted],
            "options": [json.dumps(dict(run.options)) for run in wanted],
            "priorities": [run.priority for run in wanted],
            "schedules": [run.schedule_id for run in wanted],
            "runs": [run for run, _ in pairs],
            "repos": [repo for _, repo in pairs],
        },
    )
    ids = tuple(made.scalars())
    if len(pairs) >= _MANY:
        connection.execute(_ANALYZE)
    return ids


def leave(connection: sa.Connection, repo_id: str) -> None:
    """Inside a transaction: take the repository's open jobs out of their runs, which go on.

    A run whose last open job it was has ended with what the others came to.
    """
    j, r = t.jobs.c, t.runs.c
    gone = connection.execute(
        sa.delete(t.jobs).where(j.repository_id == repo_id, j.state.in_(OPEN)).returning(j.run_id)
    ).scalars()
    for run_id in sorted(gone):
        left = connection.execute(
            sa.update(t.runs)
            .where(r.id == run_id)
            .values(pending=r.pending - 1)
            .returning(r.pending)
        ).scalar_one()
        if left == 0:
            finish(connection, run_id)


def _cancel(connection: sa.Connection, run_id: str) -> bool:
    # Jobs before steps before runs: the order in which every other transaction locks them.
    mine = t.jobs.c.run_id == run_id
    connection.execute(
        sa.update(t.jobs)
        .where(mine, t.jobs.c.state.in_(OPEN))
        .values(state="cancelled", finished_at=sa.func.now(), pending=0)
    )
    connection.execute(
        sa.update(t.steps)
        .where(t.steps.c.job_id.in_(sa.select(t.jobs.c.id).where(mine)), t.steps.c.state.in_(OPEN))
        .values(state="cancelled", lease_until=None, worker=None)
    )
    ended = connection.execute(
        sa.update(t.runs)
        .where(t.runs.c.id == run_id, t.runs.c.state == "running")
        .values(state="cancelled", finished_at=sa.func.now(), pending=0)
    )
    return ended.rowcount > 0


def _lock(farm: str) -> sa.ColumnElement[int]:
    return sa.func.hashtextextended(f"sparky farm {farm}", 0)
