"""What engine calls cost: each of them, sums for people, and how many bytes a token has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sparky.ports import Answer
from sparky.store import tables as t
from sparky.store.connection import statement
from sparky.store.direct import once

CACHED = "cached"
"""The outcome of a call that Sparky's own cache answered."""


Row = Mapping[str, object]
"""A call as it is written down."""

_NOTHING: Row = {
    "prompt_tokens": 0,
    "cached_tokens": 0,
    "completion_tokens": 0,
    "reasoning_tokens": 0,
    "first_token_seconds": None,
    "joules": None,
}
WRITE = """
    INSERT INTO llm_calls (job_id, stage, engine, server, model, seconds, outcome, prompt_tokens,
                           cached_tokens, completion_tokens, reasoning_tokens,
                           first_token_seconds, joules)
    VALUES (:job_id, :stage, :engine, :server, :model, :seconds, :outcome, :prompt_tokens,
            :cached_tokens, :completion_tokens, :reasoning_tokens,
            :first_token_seconds, :joules)
"""
"""Writes a `Row` down."""
_WRITE = sa.text(WRITE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the calls of one repository, run, model and engine came to."""

    run: str
    repository: str
    engine: str
    server: str
    model: str
    calls: int
    failed: int
    cache_hits: int
    prompt_tokens: int
    cached_tokens: int
    """Of the prompt's tokens, those that the engine had in its own prefix cache."""
    completion_tokens: int
    reasoning_tokens: int
    seconds: float
    """Engine time, summed over calls that may have run side by side."""
    first_token_seconds: float | None
    """Mean of the calls that tell."""
    joules: float | None


class Calls:
    """Writes and sums up engine calls. Errors: Transient, StoreError."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def record(
        self,
        job_id: int | None,
        stage: str,
        engine: str,
        model: str,
        answer: Answer | None,
        *,
        seconds: float,
        outcome: str,
    ) -> None:
        """Write down one question, and what it cost, as a `row`."""
        self.write(row(job_id, stage, engine, model, answer, seconds=seconds, outcome=outcome))

    def write(self, call: Row) -> None:
        """Write that call down."""
        once(self.engine, _WRITE, call, "call")

    def costs(
        self, *, run: str | None = None, repo: str | None = None, since: datetime | None = None
    ) -> tuple[Cost, ...]:
        """Sums by run, repository, engine and model, the latest run first.

        Args:
            run: of the run alone whose id begins so.
            repo: of the repository of this id alone.
            since: of calls from then on.
        """
        c, j, r = t.llm_calls.c, t.jobs.c, t.repositories.c
        real = c.outcome != CACHED
        query = (
            sa.select(
                j.run_id.label("run"),
                r.name.label("repository"),
                c.engine,
                c.server,
                c.model,
                sa.func.count().filter(real).label("calls"),
                sa.func.count().filter(real, c.outcome != "ok").label("failed"),
                sa.func.count().filter(~real).label("cache_hits"),
                sa.func.sum(c.prompt_tokens).label("prompt_tokens"),
                sa.func.sum(c.cached_tokens).label("cached_tokens"),
                sa.func.sum(c.completion_tokens).label("completion_tokens"),
                sa.func.sum(c.reasoning_tokens).label("reasoning_tokens"),
                sa.func.coalesce(sa.func.sum(c.seconds).filter(real), 0.0).label("seconds"),
                sa.func.avg(c.first_token_seconds).label("first_token_seconds"),
                sa.func.sum(c.joules).label("joules"),
            )
            .join(t.jobs, j.id == c.job_id)
            .join(t.repositories, r.id == j.repository_id)
            .group_by(j.run_id, r.name, c.engine, c.server, c.model)
            .order_by(sa.func.max(c.at).desc(), r.name, c.model)
        )
        if run is not None:
            query = query.where(j.run_id.startswith(run, autoescape=True))
        if repo is not None:
            query = query.where(r.id == repo)
        if since is not None:
            query = query.where(c.at >= since)
        with statement(self.engine) as connection:
            found = connection.execute(query).mappings().all()
        return tuple(Cost(**{str(name): value for name, value in row.items()}) for row in found)

    def ratio(self, model: str) -> float | None:
        """Bytes a token of this model, if an engine has told enough to know."""
        query = sa.select(t.token_ratios.c.ratio).where(t.token_ratios.c.model == model)
        with statement(self.engine) as connection:
            return connection.execute(query).scalar_one_or_none()

    def put_ratio(self, model: str, ratio: float) -> None:
        """Keep what was learned of a model's tokens; the latest counts."""
        wanted = insert(t.token_ratios).values(model=model, ratio=ratio)
        with statement(self.engine) as connection:
            connection.execute(
                wanted.on_conflict_do_update(
                    index_elements=["model"],
                    set_={"ratio": wanted.excluded.ratio, "learned_at": sa.func.now()},
                )
            )


def row(
    job_id: int | None,
    stage: str,
    engine: str,
    model: str,
    answer: Answer | None,
    *,
    seconds: float,
    outcome: str,
) -> Row:
    """One question, and what it cost; one that our cache answered cost nothing.

    The answer names the engine and the model that really wrote it; `engine` and `model` stand
    for those that were asked where there is no answer.
    """
    asked: Row = {
        "job_id": job_id,
        "stage": stage,
        "engine": (answer and answer.engine) or engine,
        "server": answer.server if answer else "",
        "model": answer.model if answer else model,
        "seconds": seconds,
        "outcome": outcome,
    }
    if answer is None or outcome == CACHED:
        return {**_NOTHING, **asked}
    return {
        **asked,
        "prompt_tokens": answer.prompt_tokens,
        "cached_tokens": answer.cached_tokens,
        "completion_tokens": answer.completion_tokens,
        "reasoning_tokens": answer.reasoning_tokens,
        "first_token_seconds": answer.first_token_seconds or None,
        "joules": answer.joules,
    }
