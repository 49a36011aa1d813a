"""Runs: a window over a set of repositories, with a job for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sparky.model import Window
from sparky.store import tables as t
from sparky.store.desk import OPEN, Bell, Desk
from sparky.store.dispatch import wake

# One job and one fetch step for each repository: those without a digest first, then those whose
# last digest is oldest.
_JOBS = sa.text("""
    WITH wanted AS (
        SELECT r.id, max(d.created_at) AS digested
        FROM repositories AS r LEFT JOIN digests AS d ON d.repository_id = r.id
        WHERE r.id = ANY(CAST(:repos AS text[]))
        GROUP BY r.id
    ), made AS (
        INSERT INTO jobs (run_id, repository_id)
        SELECT :run, id FROM wanted ORDER BY digested NULLS FIRST, id
        RETURNING id, repository_id
    )
    INSERT INTO steps (job_id, farm, stage, order_at)
    SELECT made.id, :farm, 'fetch',
           now() + row_number() OVER (ORDER BY wanted.digested NULLS FIRST, made.id)
                 * interval '1 microsecond'
    FROM made JOIN wanted ON wanted.id = made.repository_id
""")


class Runs(Desk):
    """Starts and ends runs."""

    def start(
        self, run_id: str, window: Window, repo_ids: Sequence[str], options: Mapping[str, Any]
    ) -> tuple[Bell, ...]:
        """Write a run with one job and one fetch step for each repository; the bells to ring."""
        distinct = list(dict.fromkeys(repo_ids))
        with self._begin() as connection:
            connection.execute(
                insert(t.runs).values(
                    id=run_id,
                    farm=self.farm,
                    since=window.since,
                    until=window.until,
                    options=dict(options),
                    pending=len(distinct),
                )
            )
            connection.execute(_JOBS, {"run": run_id, "farm": self.farm, "repos": distinct})
            return wake(connection, self.farm, ("fetch",))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Show, for as long as the block runs, that somebody waits for this farm's runs.

        The database lets go when the connection breaks, so a killed process holds nothing.
        """
        with self._begin() as connection:
            connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_lock(self.farm))))
            yield

    def cancel_orphans(self, prefix: str) -> int:
        """Cancel the open runs of farms named `prefix…` that nobody holds any more; how many."""
        r = t.runs.c
        query = sa.select(r.id, r.farm).where(r.state == "running", r.farm.startswith(prefix))
        gone = 0
        with self._begin() as connection:
            for run_id, farm in connection.execute(query).all():
                free = sa.select(sa.func.pg_try_advisory_xact_lock(_lock(farm)))
                if connection.execute(free).scalar_one():
                    _cancel(connection, run_id)
                    gone += 1
        return gone

    def cancel(self, run_id: str) -> None:
        """Stop what is open; steps that run now will find their claim void."""
        with self._begin() as connection:
            _cancel(connection, run_id)


def _cancel(connection: sa.Connection, run_id: str) -> None:
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
    connection.execute(
        sa.update(t.runs)
        .where(t.runs.c.id == run_id, t.runs.c.state == "running")
        .values(state="cancelled", finished_at=sa.func.now(), pending=0)
    )


def _lock(farm: str) -> sa.ColumnElement[int]:
    return sa.func.hashtextextended(f"sparky farm {farm}", 0)
