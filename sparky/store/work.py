"""The life of a step: claimed, kept, completed or failed, fenced by its attempt.

A step is claimed by one UPDATE that returns its attempt, kept by a heartbeat, and completed only
where that attempt still holds it; the next steps and the fan-in count are written in the same
transaction. Postgres' clock decides about leases, so that workers' clocks do not matter.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from sparky.model import Repo, Window
from sparky.ports import Claim
from sparky.retries import Anew, Decision, Stop, Wait
from sparky.store import tables as t
from sparky.store.desk import OPEN, Bell, Desk, finish
from sparky.store.dispatch import MOST, label, wake, wake_alone
from sparky.store.steps import ADVANCE, BEGIN, CLAIM, CLOSE, KEEP, LET_GO, ROLLUP

_JOB = ("activities", "chunks", "census", "revision", "provenance")
"""Columns of a job that a step may set."""
_WORTH = 20
"""So many messages fit into the broker before waiting steps are chosen for it: few statements."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What the end of a step leaves to do."""

    bells: tuple[Bell, ...] = ()
    """To ring now that all is committed."""
    onward: Claim | None = None
    """The step that follows, which whoever ended this one has begun."""


class Work(Desk):
    """What a worker does with steps."""

    def claim(self, step_id: int, *, worker: str, lease: float) -> Claim | None:
        """Take the step for `lease` seconds if it waits and is due, else None."""
        given = {
            "id": step_id,
            "farm": self.farm,
            "worker": worker,
            "lease": timedelta(seconds=lease),
        }
        row = self._once(CLAIM, given, "claim").first()
        if row is None:
            return None
        return Claim(
            step_id=row.id,
            job_id=row.job_id,
            run_id=row.run_id,
            repo=Repo(row.repo_id, row.name, row.source, row.location, row.url),
            window=Window(row.since, row.until),
            stage=row.stage,
            key=row.key,
            attempt=row.attempt,
            failures=row.failures,
            lease_until=row.lease_until,
            options=row.options,
        )

    def heartbeat(self, claim: Claim, *, lease: float) -> bool:
        """Keep the claim for `lease` more seconds; False when it is void or just being ended."""
        return bool(self.keep([claim], lease=lease))

    def keep(self, claims: Sequence[Claim], *, lease: float) -> frozenset[int]:
        """Keep the claims for `lease` more seconds; the steps of those that were kept.

        The others are void, or somebody is just ending them.
        """
        given = {
            "ids": [claim.step_id for claim in claims],
            "attempts": [claim.attempt for claim in claims],
            "lease": timedelta(seconds=lease),
        }
        return frozenset(self._once(KEEP, given).scalars())

    def complete(
        self,
        claim: Claim,
        *,
        keys: Sequence[str] = (),
        result: str | None = None,
        job: Mapping[str, Any] | None = None,
        outcome: str | None = None,
        onward: Collection[str] = (),
        worker: str = "",
        lease: float = 0.0,
    ) -> Ended | None:
        """End the step well: next steps, fan-in and the job's columns in one transaction.

        Args:
            keys: the keys of the next stage's steps, where this one fans out.
            result: what later steps need to know of this one (a summary's key).
            job: columns of the job to set.
            outcome: the state in which the job ends, where this is its last step.
            onward: stages with which this worker goes on at once, where one step follows: then
                that step is claimed for `worker` and `lease` seconds in the same transaction.

        Returns: None when the claim was void.
        """
        following = _following(claim.stage, keys)
        opened = list(keys) if following == "summarize" else [""]
        given = {
            "id": claim.step_id,
            "job": claim.job_id,
            "attempt": claim.attempt,
            "stage": claim.stage,
            "farm": self.farm,
            "result": result,
            "most": MOST,
            "worth": _WORTH,
            **_columns(job or {}),
        }
        if outcome:
            return self._close(claim, {**given, "stages": [claim.stage], "outcome": outcome})
        given |= {
            "stages": [claim.stage, following],
            "following": following,
            "keys": opened,
            "opened": len(opened) if following == "summarize" else 0,
            "onward": following in onward and len(opened) == 1,
            "worker": worker,
            "lease": timedelta(seconds=lease),
        }
        rows = self._once(ADVANCE, given, "complete").rows
        if not rows:
            return None
        bells = tuple(
            Bell(row.id, following, label(row.name, following, row.position, len(opened)))
            for row in rows
            if row.id is not None and row.lease_until is None
        )
        begun = next((row for row in rows if row.lease_until is not None), None)
        if rows[0].more:
            bells += wake_alone(self.engine, self.farm, (claim.stage, following))
        return Ended(bells, None if begun is None else _onward(claim, following, begun))

    def _close(self, claim: Claim, given: Mapping[str, Any]) -> Ended | None:
        """End the step and its job."""
        row = self._once(CLOSE, given, "complete").first()
        if row is None:
            return None
        if row.pending == 0:
            # Who dies before this leaves it to the sweeper.
            with self._begin("finish") as connection:
                finish(connection, row.run_id)
        if not row.more:
            return Ended()
        return Ended(wake_alone(self.engine, self.farm, (claim.stage,)))

    def fail(self, claim: Claim, decision: Decision, error: str) -> tuple[Bell, ...] | None:
        """End the attempt badly: try again, wait, begin the job anew, or stop. Returns bells, or
        None when void.

        A summarize step that stops lets its job go on and end PARTIAL; a publish step leaves a
        digest that is only not where it should be, PARTIAL too; any other one fails the job.
        """
        c = t.steps.c
        # It may quote anything: what a server sent, a file's name. NUL no column holds.
        error = error.encode("utf-8", "replace").decode().replace("\0", "")
        with self._begin("fail") as connection:
            self._lock_job(connection, claim)
            if isinstance(decision, Anew):
                return self._begin_anew(connection, claim)
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
                return self._count(connection, claim)
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

    def _begin_anew(self, connection: sa.Connection, claim: Claim) -> tuple[Bell, ...] | None:
        """Let go of the job's steps, and open its first one again."""
        given = {"job": claim.job_id, "id": claim.step_id, "attempt": claim.attempt}
        failures = connection.execute(LET_GO, given).scalars().all()
        if not failures:
            return None
        begun = {"job": claim.job_id, "farm": self.farm, "begun": max(failures) + 1}
        connection.execute(BEGIN, begun)
        return wake(connection, self.farm, (claim.stage, "fetch"))

    def _count(self, connection: sa.Connection, claim: Claim) -> tuple[Bell, ...]:
        """Count a summary that will not come, and open the roll-up if it was the last."""
        j = t.jobs.c
        left = connection.execute(
            sa.update(t.jobs)
            .where(j.id == claim.job_id)
            .values(
                pending=j.pending - 1,
                stage=sa.case((j.pending > 1, j.stage), else_="rollup"),
            )
            .returning(j.pending)
        ).scalar_one()
        if left == 0:
            connection.execute(ROLLUP, {"job": claim.job_id, "farm": self.farm})
        return wake(connection, self.farm, (claim.stage, "rollup"))

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
        if left == 0:
            finish(connection, run_id)


def _following(stage: str, keys: Sequence[str]) -> str:
    if stage == "fetch":
        return "chunk"
    if stage == "chunk" and keys:
        return "summarize"
    return "publish" if stage == "rollup" else "rollup"


def _onward(claim: Claim, stage: str, row: Any) -> Claim:
    """The claim of the step that follows, in the same job."""
    return replace(
        claim,
        step_id=row.id,
        stage=stage,
        key=row.key,
        attempt=1,
        failures=0,
        lease_until=row.lease_until,
    )


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a job as parameters; those that are not set are NULL."""
    unknown = values.keys() - set(_JOB)
    if unknown:
        raise ValueError(f"a step sets no {', '.join(sorted(unknown))} of its job")
    known = {name: values.get(name) for name in _JOB}
    return {
        name: json.dumps(value) if isinstance(value, Mapping) else value
        for name, value in known.items()
    }


def _mine(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    """The fence: this step, while this attempt of it holds the lease."""
    c = t.steps.c
    return (c.id == claim.step_id, c.attempt == claim.attempt, c.state == "running")
