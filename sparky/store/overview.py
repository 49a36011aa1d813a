"""What people ask about runs: which there are, how far they are, and what keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from sparky.errors import UsageError
from sparky.model import Window
from sparky.store import tables as t
from sparky.store.desk import OPEN, Desk

RECENT = 60.0
"""Seconds over which the pace of a stage is taken."""


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run as a line of a list."""

    id: str
    schedule: str | None
    window: Window
    state: str
    priority: int
    options: Mapping[str, Any]
    created_at: datetime
    finished_at: datetime | None
    jobs: Mapping[str, int]
    """State → how many jobs."""

    @property
    def ended(self) -> bool:
        return self.state != "running"


@dataclass(frozen=True, slots=True)
class StepLine:
    """A step that has not ended well (yet), for people who ask why."""

    job_id: int
    repo: str
    stage: str
    position: int
    chunks: int
    state: str
    attempt: int
    failures: int
    not_before: datetime | None
    error: str | None

    @property
    def label(self) -> str:
        """The stage; of a chunk, which one of how many."""
        if self.stage == "summarize":
            return f"summarize chunk {self.position + 1} of {self.chunks}"
        return self.stage


@dataclass(frozen=True, slots=True)
class StageTotals:
    """The steps of one stage of a run."""

    stage: str
    waiting: int
    """Ready, but no worker has them."""
    held_back: int
    """Told to wait until later."""
    running: int
    done: int
    failed: int
    cancelled: int
    recent: int
    """Of those done, the ones of the last minute."""

    @property
    def rate(self) -> float:
        """Steps a second over the last minute."""
        return self.recent / RECENT


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why steps wait until later."""

    reason: str
    steps: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Totals:
    """How far a run is, whatever its size."""

    run: RunLine
    stages: tuple[StageTotals, ...]
    obstacles: tuple[Obstacle, ...]
    paused: str | None
    """Why the whole farm is paused, if it is."""
    elapsed: float
    """Seconds since the run was made."""

    @property
    def ended(self) -> int:
        return sum(count for state, count in self.run.jobs.items() if state not in OPEN)

    @property
    def size(self) -> int:
        return sum(self.run.jobs.values())

    @property
    def left(self) -> float | None:
        """Seconds left by the pace so far; None while there is none."""
        if self.run.ended or not self.ended:
            return None
        return self.elapsed / self.ended * (self.size - self.ended)


# An open run has as many jobs as its repositories; its states are counted, not listed.
_LINES = """
    SELECT runs.*, schedules.name AS schedule, (
        SELECT coalesce(jsonb_object_agg(state, jobs), '{{}}')
        FROM (SELECT state, count(*) AS jobs FROM jobs WHERE run_id = runs.id GROUP BY state)
             AS counted
    ) AS jobs
    FROM runs LEFT JOIN schedules ON schedules.id = runs.schedule_id
    WHERE runs.farm = :farm AND {which}
    ORDER BY runs.created_at DESC, runs.id LIMIT :limit
"""

_STAGES = sa.text("""
    SELECT stage,
           count(*) FILTER (WHERE waits AND NOT later) AS waiting,
           count(*) FILTER (WHERE waits AND later) AS held_back,
           count(*) FILTER (WHERE state = 'running') AS running,
           count(*) FILTER (WHERE state = 'done') AS done,
           count(*) FILTER (WHERE state = 'failed') AS failed,
           count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
           count(*) FILTER (
               WHERE state = 'done' AND ended_at > now() - make_interval(secs => :recent)
           ) AS recent
    FROM (
        SELECT steps.*, steps.state = 'waiting' AS waits,
               coalesce(steps.not_before > now(), false) AS later
        FROM steps JOIN jobs ON jobs.id = steps.job_id WHERE jobs.run_id = :run
    ) AS mine
    GROUP BY stage
""")

_OBSTACLES = sa.text("""
    SELECT coalesce(steps.error, 'not due yet') AS reason, count(*) AS steps,
           min(steps.not_before) AS until
    FROM steps JOIN jobs ON jobs.id = steps.job_id
    WHERE jobs.run_id = :run AND steps.state = 'waiting' AND steps.not_before > now()
    GROUP BY reason ORDER BY count(*) DESC LIMIT 5
""")

_STEPS = sa.text("""
    SELECT steps.*, jobs.chunks, repositories.name AS repo
    FROM steps
    JOIN jobs ON jobs.id = steps.job_id
    JOIN repositories ON repositories.id = jobs.repository_id
    WHERE jobs.run_id = :run AND steps.state <> 'done'
    ORDER BY (steps.state = 'failed') DESC, repositories.name, steps.job_id, steps.position, steps.id
    LIMIT :limit
""")


class Overview(Desk):
    """Reads about a farm's runs. Errors: UsageError, Transient, StoreError."""

    def runs(self, limit: int = 50) -> tuple[RunLine, ...]:
        """The latest runs, newest first."""
        return self._lines("true", limit=limit)

    def run(self, name: str) -> RunLine:
        """The run whose id is `name` or begins with it; UsageError unless there is just one."""
        found = self._lines("starts_with(runs.id, :name)", name=name, limit=2) if name else ()
        exact = [line for line in found if line.id == name]
        if len(found) == 1 or exact:
            return (exact or list(found))[0]
        if found:
            raise UsageError(f"several runs begin with {name}", remedy="Write more of the id")
        raise UsageError(f"there is no run {name}", remedy="`sparky runs list` lists them")

    def totals(self, run_id: str) -> Totals:
        """How far the run is, in a few numbers."""
        line = self.run(run_id)
        given = {"run": line.id, "recent": RECENT}
        with self._begin() as connection:
            stages = {row.stage: row for row in connection.execute(_STAGES, given)}
            obstacles = connection.execute(_OBSTACLES, {"run": line.id}).all()
            paused = connection.execute(
                sa.select(t.paused.c.reason).where(t.paused.c.farm == self.farm)
            ).scalar_one_or_none()
            now = connection.execute(sa.select(sa.func.now())).scalar_one()
        return Totals(
            line,
            tuple(
                StageTotals(stage, *(stages[stage][1:] if stage in stages else (0,) * 7))
                for stage in t.STAGES
            ),
            tuple(Obstacle(row.reason, row.steps, row.until) for row in obstacles),
            paused,
            (now - line.created_at).total_seconds(),
        )

    def steps(self, run_id: str, limit: int = 10_000) -> tuple[StepLine, ...]:
        """The run's steps that are not done: the failed ones first, then by repository."""
        with self._begin() as connection:
            return tuple(
                StepLine(
                    row.job_id,
                    row.repo,
                    row.stage,
                    row.position,
                    row.chunks,
                    row.state,
                    row.attempt,
                    row.failures,
                    row.not_before,
                    row.error,
                )
                for row in connection.execute(_STEPS, {"run": run_id, "limit": limit})
            )

    def _lines(self, which: str, **values: Any) -> tuple[RunLine, ...]:
        query = sa.text(_LINES.format(which=which))
        with self._begin() as connection:
            return tuple(
                RunLine(
                    row.id,
                    row.schedule,
                    Window(row.since, row.until),
                    row.state,
                    row.priority,
                    row.options,
                    row.created_at,
                    row.finished_at,
                    row.jobs,
                )
                for row in connection.execute(query, {"farm": self.farm, **values})
            )
