"""The life of a step: claimed, kept, completed or failed, fenced by its attempt.

A step is claimed by one UPDATE that returns its attempt, kept by a heartbeat, and completed only
where that attempt still holds it; the next steps and the fan-in count are written in the same
transaction. Postgres' clock decides about leases, so that workers' clocks do not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from sparky.model import Repo, Window
from sparky.ports import Claim
from sparky.retries import Decision, Stop, Wait
from sparky.store import tables as t
from sparky.store.desk import OPEN, Bell, Desk, run_state
from sparky.store.dispatch import wake

_CLAIM = sa.text("""
    UPDATE steps SET state = 'running', attempt = attempt + 1, worker = :worker,
           lease_until = now() + :lease, started_at = now(), not_before = NULL
    WHERE id = :id AND farm = :farm AND state = 'waiting'
      AND (not_before IS NULL OR not_before <= now())
      AND NOT EXISTS (SELECT FROM paused WHERE paused.farm = :farm)
    RETURNING id, job_id, stage, key, attempt, failures, lease_until
""")

# Chunks of one job are two seconds apart in the order of work: the first chunk of a small
# repository comes before the hundredth of a giant, which in turn waits for minutes, not for ever.
# Each step of a run's priority counts as ten minutes of waiting.
_ADD = sa.text("""
    INSERT INTO steps (job_id, farm, stage, key, position, order_at)
    SELECT :job, :farm, :stage, made.key, made.place - 1,
           now() + (runs.priority - 5) * interval '10 minutes'
                 + (made.place - 1) * interval '2 seconds'
    FROM jobs JOIN runs ON runs.id = jobs.run_id,
          unnest(CAST(:keys AS text[])) WITH ORDINALITY AS made(key, place)
    WHERE jobs.id = :job
""")


class Work(Desk):
    """What a worker does with steps."""

    def claim(self, step_id: int, *, worker: str, lease: float) -> Claim | None:
        """Take the step for `lease` seconds if it waits and is due, else None."""
        with self._begin("claim") as connection:
            row = connection.execute(
                _CLAIM,
                {
                    "id": step_id,
                    "farm": self.farm,
                    "worker": worker,
                    "lease": timedelta(seconds=lease),
                },
            ).first()
            if row is None:
                return None
            if row.stage == "fetch":
                # Only a job's first stage writes its row here: a claim that locked a step and
                # then a job would meet `complete`, which locks them the other way round.
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
        with self._begin("complete") as connection:
            self._lock_job(connection, claim)
            ended = connection.execute(
                sa.update(t.steps)
                .where(*_mine(claim))
                .values(
                    state="done",
                    ended_at=sa.func.now(),
                    lease_until=None,
                    worker=None,
                    error=None,
                    result=result,
                )
            )
            if ended.rowcount != 1:
                return None
            values = dict(job or {})
            if outcome:
                self._set_job(connection, claim, values)
                self._finish_job(connection, claim.job_id, outcome, None)
                return wake(connection, self.farm, (claim.stage,))
            return self._advance(connection, claim, keys, values)

    def fail(self, claim: Claim, decision: Decision, error: str) -> tuple[Bell, ...] | None:
        """End the attempt badly: try again, wait, or stop. Returns bells, or None when void.

        A summarize step that stops lets its job go on and end PARTIAL; a publish step leaves a
        digest that is only not where it should be, PARTIAL too; any other one fails the job.
        """
        c = t.steps.c
        with self._begin("fail") as connection:
            self._lock_job(connection, claim)
            if isinstance(decision, Stop):
                values: dict[str, Any] = {
                    "state": "failed",
                    "failures": c.failures + 1,
                    "ended_at": sa.func.now(),
                }
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
                return wake(connection, self.farm, (claim.stage,))
            if claim.stage == "summarize":
                return self._advance(connection, claim, (), {})
            state = "partial" if claim.stage == "publish" else "failed"
            self._finish_job(connection, claim.job_id, state, error)
            return wake(connection, self.farm, (claim.stage,))

    def seize(self, step_id: int, attempt: int, *, worker: str, lease: float) -> Claim | None:
        """Take over a step whose worker went silent in that attempt, in order to stop it."""
        c = t.steps.c
        with self._begin() as connection:
            freed = connection.execute(
                sa.update(t.steps)
                .where(
                    c.id == step_id,
                    c.farm == self.farm,
                    c.attempt == attempt,
                    c.state == "running",
                    c.lease_until < sa.func.now(),
                )
                .values(state="waiting", lease_until=None, not_before=None)
            )
        if freed.rowcount != 1:
            return None
        return self.claim(step_id, worker=worker, lease=lease)

    # inside a transaction

    def _lock_job(self, connection: sa.Connection, claim: Claim) -> None:
        """Lock the job's row first, in every transaction that ends a step: no deadlocks."""
        connection.execute(
            sa.select(t.jobs.c.id).where(t.jobs.c.id == claim.job_id).with_for_update()
        )

    def _set_job(self, connection: sa.Connection, claim: Claim, values: Mapping[str, Any]) -> None:
        if values:
            connection.execute(
                sa.update(t.jobs).where(t.jobs.c.id == claim.job_id).values(dict(values))
            )

    def _advance(
        self,
        connection: sa.Connection,
        claim: Claim,
        keys: Sequence[str],
        values: Mapping[str, Any],
    ) -> tuple[Bell, ...]:
        """Count the fan-in, open the next stage when it is due, and choose whom to ring for."""
        j = t.jobs.c
        if claim.stage == "summarize":
            left = connection.execute(
                sa.update(t.jobs)
                .where(j.id == claim.job_id)
                .values(pending=j.pending - 1)
                .returning(j.pending)
            ).scalar_one()
            if left:
                return wake(connection, self.farm, (claim.stage,))
        following = _following(claim.stage, keys)
        opened = list(keys) if following == "summarize" else [""]
        self._set_job(
            connection,
            claim,
            {
                **values,
                "stage": following,
                "pending": len(opened) if following == "summarize" else 0,
            },
        )
        connection.execute(
            _ADD, {"job": claim.job_id, "farm": self.farm, "stage": following, "keys": opened}
        )
        return wake(connection, self.farm, (claim.stage, following))

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
        states = connection.execute(
            sa.select(j.state).where(j.run_id == run_id).distinct()
        ).scalars()
        connection.execute(
            sa.update(t.runs)
            .where(r.id == run_id)
            .values(state=run_state(set(states)), finished_at=sa.func.now())
        )


def _following(stage: str, keys: Sequence[str]) -> str:
    if stage == "fetch":
        return "chunk"
    if stage == "chunk" and keys:
        return "summarize"
    return "publish" if stage == "rollup" else "rollup"


def _mine(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    """The fence: this step, while this attempt of it holds the lease."""
    c = t.steps.c
    return (c.id == claim.step_id, c.attempt == claim.attempt, c.state == "running")
