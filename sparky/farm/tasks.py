"""A task a stage. A message holds a step's id and what a person calls it; never a payload."""

from __future__ import annotations

from typing import Any

from celery import Task

from sparky.farm import context, sweeping, ticking
from sparky.farm.app import app
from sparky.farm.bell import ring
from sparky.farm.bodies import BODIES
from sparky.farm.step import perform
from sparky.settings import failpoints


def stage(name: str) -> Task[Any, Any]:
    """The task `sparky.<name>(step_id, label)` of the stage's body."""

    @app.task(name=f"sparky.{name}", bind=True)
    def task(self: Any, step_id: int, label: str) -> str:
        bells, word = perform(step_id, BODIES[name], context.here(), worker=self.request.hostname)
        failpoints.reach(f"{name}.before-send")
        ring(app, bells)
        failpoints.reach(f"{name}.before-acknowledge")
        return f"{label}: {word}"

    return task


fetch = stage("fetch")
chunk = stage("chunk")
summarize = stage("summarize")
rollup = stage("rollup")
publish = stage("publish")


@app.task(name="sparky.sweep", bind=True)
def sweep(self: Any) -> str:
    """Ring for what waits although it could run, and stop what has killed its workers."""
    return sweeping.sweep(app, context.here(), worker=self.request.hostname)


@app.task(name="sparky.tick")
def tick() -> str:
    """Start the runs of the schedules that are due."""
    return ticking.tick(app, context.here())


@app.task(name="sparky.prune")
def prune() -> str:
    """Forget what the policy keeps no longer."""
    return ticking.prune(context.here())
