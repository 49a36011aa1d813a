"""What `sparky.tick` and `sparky.prune` do: start what is due, forget what is old."""

from __future__ import annotations

from celery import Celery

from sparky.farm.bell import ring
from sparky.farm.context import Context
from sparky.settings import failpoints
from sparky.store.retention import Policy, Retention
from sparky.store.schedules import Schedules

MOST_BATCHES = 100
"""A tick that finds more than so many batches due leaves the rest to the next one."""


def tick(app: Celery, at: Context) -> str:
    """Start the runs of all schedules that are due; a word on it for Flower."""
    schedules = Schedules(at.store.engine, farm=at.settings.farm)
    due = runs = 0
    for _ in range(MOST_BATCHES):
        ticked = schedules.tick()
        if not ticked.schedules:
            break
        due += ticked.schedules
        runs += ticked.runs
        failpoints.reach("tick.before-send")
        ring(app, ticked.bells)
    at.tally.count("ticks")
    at.tally.flush()
    return f"{due} due, {runs} runs"


def prune(at: Context) -> str:
    """Forget what the settings keep no longer; a word on it for Flower."""
    settings = at.settings
    policy = Policy(
        activities_days=settings.retain_activities_days,
        runs_days=settings.retain_runs_days,
        answers_days=settings.retain_answers_days,
        digests_days=settings.retain_digests_days,
        revisions=settings.retain_revisions,
    )
    gone = Retention(at.store.engine).prune(policy)
    return (
        ", ".join(f"{count} {name}" for name, count in gone.items() if count) or "nothing to prune"
    )
