"""What the farm did and what it cost: progress, results, failures, engine calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from sparky.model import Digest, Provenance, Repo
from sparky.ports import Answer, Census
from sparky.store import tables as t
from sparky.store.calls import CACHED, Calls
from sparky.store.codec import dump, load
from sparky.store.connection import statement
from sparky.store.desk import OPEN


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is, for people who wait for it."""

    job_id: int
    repo: Repo
    stage: str
    state: str
    activities: int
    chunks: int
    chunks_done: int
    calls: int
    cache_hits: int
    prompt_tokens: int
    completion_tokens: int
    engine_seconds: float
    revision: int | None
    provenance: Mapping[str, Any] | None
    error: str | None
    waiting_for: str | None
    """The last error of a step that waits for another attempt."""

    @property
    def ended(self) -> bool:
        return self.state not in OPEN

    def with_provenance(self, digest: Digest) -> Digest:
        """The stored digest with what this job cost; an unchanged one cost somebody else's job."""
        if self.provenance is None:
            return digest
        return replace(digest, provenance=load(Provenance, self.provenance))


@dataclass(frozen=True, slots=True)
class StepFailure:
    """A step that stopped, and why."""

    stage: str
    key: str
    error: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the steps of a job before its roll-up have left."""

    census: Census
    """What the source said there is; kept by the fetch step."""
    summaries: tuple[str, ...]
    """The summaries' keys, in the order of the chunks."""
    failures: tuple[StepFailure, ...]
    """The steps that stopped, and why."""


class Reports:
    """Reads about runs and jobs, and the record of engine calls. Errors: Transient, StoreError."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def gathered(self, job_id: int) -> Gathered:
        """What a job's steps have brought together for its digest."""
        j, s = t.jobs.c, t.steps.c
        told = sa.or_(s.state == "failed", sa.and_(s.stage == "summarize", s.result.is_not(None)))
        query = (
            sa.select(j.census, s.stage, s.key, s.state, s.result, s.error)
            .outerjoin_from(t.jobs, t.steps, sa.and_(s.job_id == j.id, told))
            .where(j.id == job_id)
            .order_by(s.position)
        )
        with statement(self.engine) as connection:
            rows = connection.execute(query).all()
        return Gathered(
            census=load(Census, (rows[0].census if rows else None) or dump(Census({}))),
            summaries=tuple(
                row.result for row in rows if row.stage == "summarize" and row.result is not None
            ),
            failures=tuple(
                StepFailure(row.stage, row.key, row.error) for row in rows if row.state == "failed"
            ),
        )

    def record_call(
        self,
        job_id: int,
        stage: str,
        engine: str,
        model: str,
        answer: Answer | None,
        *,
        seconds: float,
        outcome: str,
    ) -> None:
        """Write down one question to the engine, as `Calls.record` does."""
        Calls(self.engine).record(
            job_id, stage, engine, model, answer, seconds=seconds, outcome=outcome
        )

    def with_usage(self, digest: Digest, job_id: int) -> Digest:
        """The digest, its provenance naming what answered the job's calls, and what they cost."""
        c = t.llm_calls.c
        cached = c.outcome == CACHED
        query = sa.select(
            sa.func.coalesce(sa.func.sum(c.prompt_tokens).filter(~cached), 0),
            sa.func.coalesce(sa.func.sum(c.completion_tokens).filter(~cached), 0),
            sa.func.count().filter(~cached),
            sa.func.count().filter(cached),
            _names(c.engine),
            _names(c.model),
        ).where(c.job_id == job_id)
        with statement(self.engine) as connection:
            prompt, completion, calls, hits, engines, models = connection.execute(query).one()
        made = digest.provenance
        return replace(
            digest,
            provenance=replace(
                made,
                engine=", ".join(engines or [made.engine]),
                model=", ".join(models or [made.model]),
                prompt_tokens=prompt,
                completion_tokens=completion,
                engine_calls=calls,
                cache_hits=hits,
            ),
        )

    def progress(self, run_id: str) -> tuple[JobProgress, ...]:
        """How far each job of a run is, in the order in which they were written."""
        j, s, k = t.jobs.c, t.steps.c, t.llm_calls.c
        done = (
            sa.select(sa.func.count())
            .where(s.job_id == j.id, s.stage == "summarize", s.state.not_in(OPEN))
            .scalar_subquery()
        )
        waits = (
            sa.select(sa.func.max(s.error))
            .where(s.job_id == j.id, s.state == "waiting", s.not_before > sa.func.now())
            .scalar_subquery()
        )
        calls = (
            sa.select(
                sa.func.count().filter(k.outcome != "cached").label("calls"),
                sa.func.count().filter(k.outcome == "cached").label("cache_hits"),
                sa.func.coalesce(sa.func.sum(k.prompt_tokens), 0).label("prompt_tokens"),
                sa.func.coalesce(sa.func.sum(k.completion_tokens), 0).label("completion_tokens"),
                sa.func.coalesce(sa.func.sum(k.seconds), 0.0).label("engine_seconds"),
            )
            .where(k.job_id == j.id)
            .lateral()
        )
        query = (
            sa.select(
                j.id,
                j.stage,
                j.state,
                j.activities,
                j.chunks,
                j.revision,
                j.provenance,
                j.error,
                done.label("chunks_done"),
                waits.label("waiting_for"),
                calls,
                *[column.label(f"r_{column.name}") for column in t.repositories.c],
            )
            .join(t.repositories, t.repositories.c.id == j.repository_id)
            .join(calls, sa.true())
            .where(j.run_id == run_id)
            .order_by(j.id)
        )
        with statement(self.engine) as connection:
            return tuple(
                JobProgress(
                    row.id,
                    Repo(row.r_id, row.r_name, row.r_source, row.r_location, row.r_url),
                    row.stage,
                    row.state,
                    row.activities,
                    row.chunks,
                    row.chunks_done,
                    row.calls,
                    row.cache_hits,
                    row.prompt_tokens,
                    row.completion_tokens,
                    row.engine_seconds,
                    row.revision,
                    row.provenance,
                    row.error,
                    row.waiting_for,
                )
                for row in connection.execute(query)
            )


def _names(column: sa.ColumnElement[str]) -> sa.ColumnElement[Any]:
    """The different values of calls that brought an answer, sorted; NULL where there are none."""
    answered = t.llm_calls.c.outcome.in_(("ok", CACHED))
    return sa.func.array_agg(column.distinct()).filter(answered)
