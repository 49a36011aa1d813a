"""A task a stage. A message holds a step's id and what a person calls it; never a payload."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from celery import Task

from sparky import pipeline, wiring
from sparky.errors import StoreError
from sparky.farm import context, sweeping, ticking
from sparky.farm.app import app
from sparky.farm.bell import ring
from sparky.farm.context import Context
from sparky.farm.step import Body, Outcome, perform
from sparky.pipeline import Record
from sparky.ports import Answer, Claim
from sparky.settings import failpoints
from sparky.store.codec import dump
from sparky.store.fresh import Fresh
from sparky.store.gateway import Gateway


def stage(name: str) -> Callable[[Body], Task[Any, Any]]:
    """Make a task of a body: `sparky.<name>(step_id, label)`."""

    def decorate(body: Body) -> Task[Any, Any]:
        @app.task(name=f"sparky.{name}", bind=True)
        def task(self: Any, step_id: int, label: str) -> str:
            bells, word = perform(step_id, body, context.here(), worker=self.request.hostname)
            failpoints.reach(f"{name}.before-send")
            ring(app, bells)
            failpoints.reach(f"{name}.before-acknowledge")
            return f"{label}: {word}"

        return task

    return decorate


@stage("fetch")
def fetch(claim: Claim, at: Context) -> Outcome:
    got = pipeline.fetch(claim.repo, claim.window, source=at.source, store=at.store)
    job = {"activities": got.activities, "census": dump(got.census)}
    # A digest that says more than there is now is made anew.
    skipped = (
        got.is_quiet
        and not claim.options.get("even_empty")
        and at.store.digest(claim.repo.id, claim.window) is None
    )
    return Outcome(job=job, state="skipped" if skipped else None)


@stage("chunk")
def chunk(claim: Claim, at: Context) -> Outcome:
    packed = pipeline.chunk(
        claim.repo, claim.window, store=at.store, backend=at.backend, job_id=claim.job_id
    )
    return Outcome(keys=[c.key for c in packed], job={"chunks": len(packed)})


@stage("summarize")
def summarize(claim: Claim, at: Context) -> Outcome:
    return Outcome(
        result=pipeline.summarize(
            claim.key,
            claim.repo,
            window=claim.window,
            store=known(claim, at),
            backend=at.backend,
            record=recorder(claim, at),
        )
    )


@stage("rollup")
def rollup(claim: Claim, at: Context) -> Outcome:
    gathered = at.reports.gathered(claim.job_id)
    digest = pipeline.rollup(
        claim.repo,
        claim.window,
        census=gathered.census,
        summary_keys=gathered.summaries,
        notes=tuple(f"{f.stage} {f.key[:12]} stopped: {f.error}" for f in gathered.failures),
        store=known(claim, at),
        backend=at.backend,
        record=recorder(claim, at),
    )
    cost = at.reports.with_usage(digest, claim.job_id).provenance
    job = {"revision": digest.revision, "provenance": dump(cost)}
    return Outcome(job=job, state=None if wiring.publishers(at.settings) else digest.status.value)


@stage("publish")
def publish(claim: Claim, at: Context) -> Outcome:
    digest = at.store.digest(claim.repo.id, claim.window)
    if digest is None:
        raise StoreError("the digest to publish is gone", remedy="Start the run again")
    for publisher in wiring.publishers(at.settings):
        publisher.publish(digest)
    return Outcome(state=digest.status.value)


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


def known(claim: Claim, at: Context) -> Gateway:
    """The store; in a run that asks the engine again, without what was answered before it."""
    since = claim.options.get("refresh")
    return Fresh(at.store, since=datetime.fromisoformat(since)) if since else at.store


def recorder(claim: Claim, at: Context) -> Record:
    """Writes each engine call of this step down."""
    engine = at.backend.engine()

    def record(answer: Answer | None, seconds: float, outcome: str) -> None:
        at.reports.record_call(
            claim.job_id,
            claim.stage,
            engine.name,
            engine.model,
            answer,
            seconds=seconds,
            outcome=outcome,
        )

    return record
