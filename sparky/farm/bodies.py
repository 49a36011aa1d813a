"""What each stage's task does with its claim; the step around it is the same for all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sparky import pipeline, wiring
from sparky.errors import StoreError
from sparky.farm.context import Context
from sparky.farm.step import Body, Outcome
from sparky.ports import Claim
from sparky.store.codec import dump
from sparky.store.fresh import Fresh
from sparky.store.gateway import Gateway
from sparky.store.ledger import Ledger

BEGUN = 3
"""So often a job begins anew, where others read the same repository and find it changed."""


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


def chunk(claim: Claim, at: Context) -> Outcome:
    packed = pipeline.chunk(
        claim.repo, claim.window, store=known(claim, at), backend=at.backend, job_id=claim.job_id
    )
    return Outcome(keys=[c.key for c in packed], job={"chunks": len(packed)})


def summarize(claim: Claim, at: Context) -> Outcome:
    store = known(claim, at)
    return Outcome(
        result=pipeline.summarize(
            claim.key,
            claim.repo,
            claim.window,
            store=store,
            backend=at.traces.watched(at.backend),
            record=ledger(claim, at, store),
        )
    )


def rollup(claim: Claim, at: Context) -> Outcome:
    gathered, store = at.reports.gathered(claim.job_id), known(claim, at)
    digest = pipeline.rollup(
        claim.repo,
        claim.window,
        census=gathered.census,
        summary_keys=gathered.summaries,
        notes=tuple(f"{f.stage} {f.key[:12]} stopped: {f.error}" for f in gathered.failures),
        store=store,
        backend=at.traces.watched(at.backend),
        record=ledger(claim, at, store),
        stored=gathered.activities if gathered.begun < BEGUN else None,
    )
    cost = at.reports.with_usage(digest, claim.job_id).provenance
    job = {"revision": digest.revision, "provenance": dump(cost)}
    return Outcome(job=job, state=None if wiring.publishers(at.settings) else digest.status.value)


def publish(claim: Claim, at: Context) -> Outcome:
    digest = at.store.digest(claim.repo.id, claim.window)
    if digest is None:
        raise StoreError("the digest to publish is gone", remedy="Start the run again")
    for publisher in wiring.publishers(at.settings):
        publisher.publish(digest)
    return Outcome(state=digest.status.value)


def known(claim: Claim, at: Context) -> Gateway:
    """The store; in a run that asks the engine again, without what was answered before it."""
    since = claim.options.get("refresh")
    return Fresh(at.store, since=datetime.fromisoformat(since)) if since else at.store


def ledger(claim: Claim, at: Context, store: Gateway) -> Ledger:
    """Where this step's questions are written down."""
    return Ledger(store, at.backend.engine(), job_id=claim.job_id, stage=claim.stage)


BODIES: Mapping[str, Body] = {
    "fetch": fetch,
    "chunk": chunk,
    "summarize": summarize,
    "rollup": rollup,
    "publish": publish,
}
"""By the stage's name."""
