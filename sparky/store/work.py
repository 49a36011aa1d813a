"""What is to be done: runs, jobs and steps, with leases fenced by attempt.

A step is claimed by one UPDATE that returns its attempt, kept by a heartbeat, and completed only
where that attempt still holds it; the next steps and the fan-in count are written in the same
transaction. Postgres' clock decides about leases, so that workers' clocks do not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sparky.model import Repo, Window
from sparky.ports import Claim
from sparky.retries import Decision, Stop, Wait
from sparky.store import tables as t
from sparky.store.connection import translated

OPEN = ("waiting", "running")


@dataclass(frozen=True, slots=True)
class Bell:
    """A message to send: which step waits, and what a person calls it."""

    step_id: int
    stage: str
    label: str


class Work:
    """The farm's view of Postgres. Errors: Transient, StoreError."""

    def __init__(self, engine: sa.Engine, *, farm: str) -> None:
        self.engine = engine
        self.farm = farm

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        with translated(), self.engine.begin() as connection:
            yield connection

    # starting and ending runs

    def start_run(
        self, run_id: str, window: Window, repo_ids: Sequence[str], options: Mapping[str, Any]
    ) -> tuple[Bell, ...]:
        """Write a run with one job and one fetch step for each repository; the bells to ring."""
        bells: list[Bell] = []
        with self._begin() as connection:
            connection.execute(
                insert(t.runs).values(
                    id=run_id,
                    farm=self.farm,
                    since=window.since,
                    until=window.until,
                    options=dict(options),
                    pending=len(repo_ids),
                )
            )
            for repo_id in repo_ids:
                job_id = connection.execute(
                    insert(t.jobs)
                    .values(run_id=run_id, repository_id=repo_id)
                    .returning(t.jobs.c.id)
                ).scalar_one()
                bells += self._add_steps(connection, job_id, "fetch", [""])
        return tuple(bells)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Show, for as long as the block runs, that somebody waits for this farm's runs.

        The database lets go when the connection breaks, so a killed process holds nothing.
        """
        with self._begin() as connection:
            connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_farm_lock(self.farm))))
            yield

    def cancel_orphans(self, prefix: str) -> int:
        """Cancel the open runs of farms named `prefix…` that nobody holds any more; how many."""
        r = t.runs.c
        query = sa.select(r.id, r.farm).where(r.state == "running", r.farm.startswith(prefix))
        gone = 0
        with self._begin() as connection:
            for run_id, farm in connection.execute(query).all():
                free = sa.select(sa.func.pg_try_advisory_xact_lock(_farm_lock(farm)))
                if connection.execute(free).scalar_one():
                    self._cancel(connection, run_id)
                    gone += 1
        return gone

    def cancel_run(self, run_id: str) -> None:
        """Stop what is open; steps that run now will find their claim void."""
        with self._begin() as connection:
            self._cancel(connection, run_id)

    def _cancel(self, connection: sa.Connection, run_id: str) -> None:
        jobs = sa.select(t.jobs.c.id).where(t.jobs.c.run_id == run_id)
        # Jobs before steps: the order in which every other transaction locks them.
        connection.execute(
            sa.update(t.jobs)
            .where(t.jobs.c.run_id == run_id, t.jobs.c.state.in_(OPEN))
            .values(state="cancelled", finished_at=sa.func.now(), pending=0)
        )
        connection.execute(
            sa.update(t.steps)
            .where(t.steps.c.job_id.in_(jobs), t.steps.c.state.in_(OPEN))
            .values(state="cancelled", lease_until=None, worker=None)
        )
        connection.execute(
            sa.update(t.runs)
            .where(t.runs.c.id == run_id, t.runs.c.state == "running")
            .values(state="cancelled", finished_at=sa.func.now(), pending=0)
        )

    # the life of a step

    def claim(self, step_id: int, *, worker: str, lease: float) -> Claim | None:
        """Take the step for `lease` seconds if it waits and is due, or if its lease has run out.

        Returns None when it is neither: somebody else has it, or it is done.
        """
        c = t.steps.c
        now = sa.func.now()
        due = sa.and_(c.state == "waiting", sa.or_(c.not_before.is_(None), c.not_before <= now))
        expired = sa.and_(c.state == "running", c.lease_until < now)
        with self._begin() as connection:
            row = connection.execute(
                sa.update(t.steps)
                .where(c.id == step_id, c.farm == self.farm, sa.or_(due, expired))
                .values(
                    state="running",
                    attempt=c.attempt + 1,
                    # A lease that ran out is an attempt that died without a word.
                    failures=c.failures + sa.case((c.state == "running", 1), else_=0),
                    lease_until=now + timedelta(seconds=lease),
                    worker=worker,
                    started_at=now,
                    not_before=None,
                )
                .returning(c.id, c.job_id, c.stage, c.key, c.attempt, c.failures, c.lease_until)
            ).first()
            if row is None:
                return None
            # Only a job's first claim writes its row: a claim that locked a step and then a job
            # would meet `complete`, which locks them the other way round.
            connection.execute(
                sa.update(t.jobs)
                .where(t.jobs.c.id == row.job_id, t.jobs.c.state == "waiting")
                .values(state="running")
            )
            about = connection.execute(
                sa.select(t.runs, *[c.label(f"r_{c.name}") for c in t.repositories.c])
                .join(t.jobs, t.jobs.c.run_id == t.runs.c.id)
                .join(t.repositories, t.repositories.c.id == t.jobs.c.repository_id)
                .where(t.jobs.c.id == row.job_id)
            ).one()
        return Claim(
            step_id=row.id,
            job_id=row.job_id,
            run_id=about.id,
            repo=Repo(about.r_id, about.r_name, about.r_source, about.r_location, about.r_url),
            window=Window(about.since, about.until),
            stage=row.stage,
            key=row.key,
            attempt=row.attempt,
            failures=row.failures,
            lease_until=row.lease_until,
            options=about.options,
        )

    def heartbeat(self, claim: Claim, *, lease: float) -> bool:
        """Keep the claim for `lease` more seconds; False when it is void."""
        with self._begin() as connection:
            kept = connection.execute(
                sa.update(t.steps)
                .where(*_mine(claim))
                .values(lease_until=sa.func.now() + timedelta(seconds=lease))
            )
        return kept.rowcount == 1

    def complete(
        self,
        claim: Claim,
        *,
        keys: Sequence[str] = (),
        result: str | None = None,
        job: Mapping[str, Any] | None = None,
        outcome: str | None = None,
    ) -> tuple[Bell, ...] | None:
        """End the step well: next steps, fan-in and the job's columns in one transaction.

        Args:
            keys: the keys of the next stage's steps, where this one fans out.
            result: what later steps need to know of this one (a summary's key).
            job: columns of the job to set.
            outcome: the state in which the job ends, where this is its last step.

        Returns: the bells to ring after the commit, or None when the claim was void.
        """
        with self._begin() as connection:
            self._lock_job(connection, claim)
            ended = connection.execute(
                sa.update(t.steps)
                .where(*_mine(claim))
                .values(state="done", lease_until=None, worker=None, error=None, result=result)
            )
            if ended.rowcount != 1:
                return None
            if job:
                connection.execute(
                    sa.update(t.jobs).where(t.jobs.c.id == claim.job_id).values(dict(job))
                )
            if outcome:
                self._finish_job(connection, claim.job_id, outcome, None)
                return ()
            return self._advance(connection, claim, keys)

    def fail(self, claim: Claim, decision: Decision, error: str) -> tuple[Bell, ...] | None:
        """End the attempt badly: try again, wait, or stop. Returns bells, or None when void.

        A summarize step that stops lets its job go on and end PARTIAL; any other one fails it.
        """
        c = t.steps.c
        with self._begin() as connection:
            self._lock_job(connection, claim)
            if isinstance(decision, Stop):
                values: dict[str, Any] = {"state": "failed", "failures": c.failures + 1}
            elif isinstance(decision, Wait):
                values = {"state": "waiting", "not_before": decision.until}
            else:
                values = {
                    "state": "waiting",
                    "not_before": sa.func.now() + decision.delay,
                    "failures": c.failures + 1,
                }
            ended = connection.execute(
                sa.update(t.steps)
                .where(*_mine(claim))
                .values(lease_until=None, worker=None, rung_at=None, error=error, **values)
            )
            if ended.rowcount != 1:
                return None
            if not isinstance(decision, Stop):
                return ()
            if claim.stage == "summarize":
                return self._advance(connection, claim, ())
            self._finish_job(connection, claim.job_id, "failed", error)
            return ()

    def due(
        self, *, limit: int = 200, again: timedelta = timedelta(seconds=15)
    ) -> tuple[Bell, ...]:
        """Steps that nobody works on although they could run; each is named once per `again`.

        Covers lost messages, waits that are over and leases that ran out.
        """
        c = t.steps.c
        now = sa.func.now()
        waiting = sa.and_(c.state == "waiting", sa.or_(c.not_before.is_(None), c.not_before <= now))
        expired = sa.and_(c.state == "running", c.lease_until < now)
        quiet = sa.or_(c.rung_at.is_(None), c.rung_at < now - again)
        found = (
            sa.select(c.id)
            .where(c.farm == self.farm, sa.or_(waiting, expired), quiet)
            .order_by(c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._begin() as connection:
            ids = connection.execute(
                sa.update(t.steps).where(c.id.in_(found)).values(rung_at=now).returning(c.id)
            ).scalars()
            return self._bells(connection, list(ids))

    # inside a transaction

    def _lock_job(self, connection: sa.Connection, claim: Claim) -> None:
        """Lock the job's row first, in every transaction that ends a step: no deadlocks."""
        connection.execute(
            sa.select(t.jobs.c.id).where(t.jobs.c.id == claim.job_id).with_for_update()
        )

    def _advance(
        self, connection: sa.Connection, claim: Claim, keys: Sequence[str]
    ) -> tuple[Bell, ...]:
        j = t.jobs.c
        if claim.stage == "summarize":
            left = connection.execute(
                sa.update(t.jobs)
                .where(j.id == claim.job_id)
                .values(pending=j.pending - 1)
                .returning(j.pending)
            ).scalar_one()
            if left:
                return ()
            stage, keys = "rollup", [""]
        elif claim.stage == "chunk":
            stage = "summarize" if keys else "rollup"
            keys = keys or [""]
        else:
            stage, keys = "chunk", [""]
        connection.execute(
            sa.update(t.jobs)
            .where(j.id == claim.job_id)
            .values(stage=stage, pending=len(keys) if stage == "summarize" else 0)
        )
        return self._add_steps(connection, claim.job_id, stage, keys)

    def _finish_job(
        self, connection: sa.Connection, job_id: int, state: str, error: str | None
    ) -> None:
        j, r = t.jobs.c, t.runs.c
        run_id = connection.execute(
            sa.update(t.jobs)
            .where(j.id == job_id, j.state.in_(OPEN))
            .values(state=state, error=error, finished_at=sa.func.now())
            .returning(j.run_id)
        ).scalar_one_or_none()
        if run_id is None:
            return
        left = connection.execute(
            sa.update(t.runs)
            .where(r.id == run_id)
            .values(pending=r.pending - 1)
            .returning(r.pending)
        ).scalar_one()
        if left:
            return
        states = set(
            connection.execute(sa.select(j.state).where(j.run_id == run_id).distinct()).scalars()
        )
        outcome = (
            "failed"
            if states == {"failed"}
            else "done"
            if states <= {"done", "skipped"}
            else "partial"
        )
        connection.execute(
            sa.update(t.runs).where(r.id == run_id).values(state=outcome, finished_at=sa.func.now())
        )

    def _add_steps(
        self, connection: sa.Connection, job_id: int, stage: str, keys: Sequence[str]
    ) -> tuple[Bell, ...]:
        rows = [
            {"job_id": job_id, "farm": self.farm, "stage": stage, "key": key, "position": position}
            for position, key in enumerate(keys)
        ]
        # The caller rings after its commit; the sweeper rings again if that got lost.
        ids = connection.execute(
            insert(t.steps).values(rung_at=sa.func.now()).returning(t.steps.c.id), rows
        ).scalars()
        return self._bells(connection, list(ids))

    def _bells(self, connection: sa.Connection, ids: Sequence[int]) -> tuple[Bell, ...]:
        s = t.steps.c
        query = (
            sa.select(s.id, s.stage, s.position, t.jobs.c.chunks, t.repositories.c.name)
            .join(t.jobs, t.jobs.c.id == s.job_id)
            .join(t.repositories, t.repositories.c.id == t.jobs.c.repository_id)
            .where(s.id.in_(ids))
            .order_by(s.id)
        )
        return tuple(Bell(row.id, row.stage, _label(row)) for row in connection.execute(query))


def _mine(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    """The fence: this step, while this attempt of it holds the lease."""
    c = t.steps.c
    return (c.id == claim.step_id, c.attempt == claim.attempt, c.state == "running")


def _farm_lock(farm: str) -> sa.ColumnElement[int]:
    return sa.func.hashtextextended(f"sparky farm {farm}", 0)


def _label(row: Any) -> str:
    if row.stage == "summarize":
        return f"{row.name} chunk {row.position + 1} of {row.chunks}"
    return str(row.name)
