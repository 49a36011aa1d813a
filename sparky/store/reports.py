"""What the farm did and what it cost: progress, results, failures, engine calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from sparky.model import Digest, Provenance, Repo
from sparky.ports import Census
from sparky.store import tables as t
from sparky.store.codec import dump, load
from sparky.store.connection import statement
from sparky.store.desk import OPEN
from sparky.store.direct import once

_GATHERED = sa.text("""
    SELECT jobs.census, jobs.activities, steps.stage, steps.key, steps.state, steps.result,
           steps.error, steps.failures
    FROM jobs LEFT JOIN steps ON steps.job_id = jobs.id AND (
        steps.stage = 'fetch' OR steps.state = 'failed'
        OR steps.stage = 'summarize' AND steps.result IS NOT NULL)
    WHERE jobs.id = :job
    ORDER BY steps.position
""")
# What brought an answer is named; there is nothing where nothing did.
_USAGE = sa.text("""
    SELECT coalesce(sum(prompt_tokens) FILTER (WHERE outcome <> 'cached'), 0) AS prompt,
           coalesce(sum(completion_tokens) FILTER (WHERE outcome <> 'cached'), 0) AS completion,
           count(*) FILTER (WHERE outcome <> 'cached') AS calls,
           count(*) FILTER (WHERE outcome = 'cached') AS hits,
           array_agg(DISTINCT engine) FILTER (WHERE outcome IN ('ok', 'cached')) AS engines,
           array_agg(DISTINCT model) FILTER (WHERE outcome IN ('ok', 'cached')) AS models
    FROM llm_calls WHERE job_id = :job
""")


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
    activities: int = 0
    """How many the fetch step has stored."""
    begun: int = 0
    """How often the job has begun anew, or its fetch failed."""


class Reports:
    """Reads about runs and jobs. Errors: Transient, StoreError."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def gathered(self, job_id: int) -> Gathered:
        """What a job's steps have brought together for its digest."""
        rows = once(self.engine, _GATHERED, {"job": job_id}).rows
        return Gathered(
            census=load(Census, (rows[0].census if rows else None) or dump(Census({}))),
            summaries=tuple(
                row.result for row in rows if row.stage == "summarize" and row.result is not None
            ),
            failures=tuple(
                StepFailure(row.stage, row.key, row.error) for row in rows if row.state == "failed"
            ),
            activities=rows[0].activities if rows else 0,
            begun=sum(row.failures for row in rows if row.stage == "fetch"),
        )

    def with_usage(self, digest: Digest, job_id: int) -> Digest:
        """The digest, its provenance naming what answered the job's calls, and what they cost."""
        (told,) = once(self.engine, _USAGE, {"job": job_id}).rows
        made = digest.provenance
        return replace(
            digest,
            provenance=replace(
                made,
                engine=", ".join(told.engines or [made.engine]),
                model=", ".join(told.models or [made.model]),
                prompt_tokens=told.prompt,
                completion_tokens=told.completion,
                engine_calls=told.calls,
                cache_hits=told.hits,
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
