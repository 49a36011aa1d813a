"""A task a stage. A message holds a step's id and what a person calls it; never a payload.

A worker that takes the queue of the stage that follows goes on with the job in the same task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from celery import Task

from sparky.errors import SparkyError
from sparky.farm import context, sweeping, ticking
from sparky.farm.app import app
from sparky.farm.bell import ring
from sparky.farm.bodies import BODIES
from sparky.farm.step import Body, Performed, perform
from sparky.settings import failpoints

log = structlog.get_logger(__name__)


class Terse(Task):  # type: ignore[type-arg]  # Celery's class takes no types when it runs
    """A task of which an error that has a name is a line in the log, and any other one a traceback.

    Here come those of the farm's own trade, such as a database that is away. Nothing is lost by them:
    the sweeper, or the next message of beat, does again what was not done.
    """

    throws = (SparkyError,)

    def on_failure(self, exc: Exception, *args: object) -> None:
        del args
        if isinstance(exc, SparkyError):
            log.warning("task failed", task=self.name, error=str(exc))


def stage(name: str) -> Task[Any, Any]:
    """The task `sparky.<name>(step_id, label)` of the stage's body."""

    def then(done: Performed) -> None:
        failpoints.reach(f"{done.stage}.before-{'next' if done.onward else 'send'}")
        ring(app, done.bells)

    @app.task(base=Terse, name=f"sparky.{name}", bind=True)
    def task(self: Any, step_id: int, label: str) -> str:
        done = perform(
            step_id, BODIES[name], context.here(),
            worker=self.request.hostname, onward=_mine(), then=then,
        )  # fmt: skip
        failpoints.reach(f"{name}.before-acknowledge")
        told = ", ".join(f"{step.stage} {step.word}" for step in done)
        return f"{label}: {told or 'nothing to do'}"

    return task


def _mine() -> Mapping[str, Body]:
    """The bodies of the stages whose queues this worker takes."""
    taken = app.amqp.queues.consume_from
    return {name: body for name, body in BODIES.items() if name in taken}


fetch = stage("fetch")
chunk = stage("chunk")
summarize = stage("summarize")
rollup = stage("rollup")
publish = stage("publish")


@app.task(base=Terse, name="sparky.sweep", bind=True)
def sweep(self: Any) -> str:
    """Ring for what waits although it could run, and stop what has killed its workers."""
    return sweeping.sweep(app, context.here(), worker=self.request.hostname)


@app.task(base=Terse, name="sparky.tick")
def tick() -> str:
    """Start the runs of the schedules that are due."""
    return ticking.tick(app, context.here())


@app.task(base=Terse, name="sparky.prune")
def prune() -> str:
    """Forget what the policy keeps no longer."""
    return ticking.prune(context.here())
