"""What people ask about runs: which there are, how far they are, and what keeps them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
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
FEW = 5
"""So many steps of a stage must have ended before they tell its pace."""
_SHARED = {"chunk": "fetch", "rollup": "summarize"}
"""Stages that wait for the same as another: the same processes, the same engines."""
NOT_DONE = tuple(state for state in t.STEP_STATES if state != "done")


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
    """Of those done, the ones of the last `seconds`."""
    seconds: float
    """A minute, or as long as the run has been there."""

    @property
    def open(self) -> int:
        """Steps that have not ended."""
        return self.waiting + self.held_back + self.running

    @property
    def ended(self) -> int:
        """Steps that ended well, or for good."""
        return self.done + self.failed

    @property
    def rate(self) -> float:
        """Steps a second of late."""
        return self.recent / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Busy:
    """A repository with chunks to be summarised."""

    repo: str
    activities: int
    chunks: int
    chunks_done: int


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
        """Seconds left by the pace of late; None before each stage that is needed has found one.

        Steps beget steps: what the earlier stages still have to do comes on top of what a stage
        has, as much for each as it was so far. Who shares workers or engines shares a pace, and
        the slowest says how long.
        """
        if self.run.ended:
            return None
        steps, pace = Counter[str](), Counter[str]()
        before, ended_before = 0.0, 0
        for stage in self.stages:
            made = stage.open + stage.ended
            to_come = stage.open + (before * made / ended_before if ended_before else 0.0)
            if stage.open and stage.ended < FEW <= to_come:
                return None
            steps[_SHARED.get(stage.stage, stage.stage)] += math.ceil(to_come)
            pace[_SHARED.get(stage.stage, stage.stage)] += stage.recent
            before, ended_before = to_come, stage.ended
        span = self.stages[0].seconds
        return max((steps[one] * span / pace[one] for one in steps if pace[one]), default=0) or None


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

_BUSIEST = sa.text("""
    SELECT repositories.name AS repo, jobs.activities, jobs.chunks, jobs.pending
    FROM jobs JOIN repositories ON repositories.id = jobs.repository_id
    WHERE jobs.run_id = :run AND jobs.state = 'running' AND jobs.stage = 'summarize'
    ORDER BY jobs.pending DESC, repositories.name LIMIT :limit
""")

_STEPS = sa.text("""
    SELECT steps.*, jobs.chunks, repositories.name AS repo
    FROM steps
    JOIN jobs ON jobs.id = steps.job_id
    JOIN repositories ON repositories.id = jobs.repository_id
    WHERE jobs.run_id = :run AND steps.state = ANY(CAST(:states AS text[]))
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
        with self._begin() as connection:
            now = connection.execute(sa.select(sa.func.now())).scalar_one()
            elapsed = (now - line.created_at).total_seconds()
            span = min(RECENT, elapsed)
            given = {"run": line.id, "recent": span}
            stages = {row.stage: row for row in connection.execute(_STAGES, given)}
            obstacles = connection.execute(_OBSTACLES, {"run": line.id}).all()
            paused = connection.execute(
                sa.select(t.paused.c.reason).where(t.paused.c.farm == self.farm)
            ).scalar_one_or_none()
        return Totals(
            line,
            tuple(_totals(stage, stages.get(stage), span) for stage in t.STAGES),
            tuple(Obstacle(row.reason, row.steps, row.until) for row in obstacles),
            paused,
            elapsed,
        )

    def busiest(self, run_id: str, limit: int) -> tuple[Busy, ...]:
        """The repositories with most chunks to be summarised."""
        with self._begin() as connection:
            return tuple(
                Busy(row.repo, row.activities, row.chunks, row.chunks - row.pending)
                for row in connection.execute(_BUSIEST, {"run": run_id, "limit": limit})
            )

    def steps(
        self, run_id: str, limit: int = 10_000, *, states: Sequence[str] = NOT_DONE
    ) -> tuple[StepLine, ...]:
        """The run's steps in these states: the failed ones first, then by repository."""
        given = {"run": run_id, "limit": limit, "states": list(states)}
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
                for row in connection.execute(_STEPS, given)
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


def _totals(stage: str, row: Any, seconds: float) -> StageTotals:
    counts = row[1:] if row is not None else (0,) * 7
    waiting, held_back, running, done, failed, cancelled, recent = counts
    return StageTotals(stage, waiting, held_back, running, done, failed, cancelled, recent, seconds)
