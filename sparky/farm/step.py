"""What every task shares: claim, heartbeat, completion, fan-in, retry, log context.

The one broad `except` of Sparky stands here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from sparky.errors import SparkyError
from sparky.farm.context import Context
from sparky.ports import Claim
from sparky.retries import Policy, Stop, decide
from sparky.store.desk import Bell

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a task's body achieved."""

    keys: Sequence[str] = ()
    """Keys of the next stage's steps, where this stage fans out."""
    result: str | None = None
    job: Mapping[str, Any] | None = None
    """Columns of the job to set."""
    state: str | None = None
    """The state in which the job ends, if it does."""


Body = Callable[[Claim, Context], Outcome]


def perform(
    step_id: int, body: Body, context: Context, *, worker: str
) -> tuple[tuple[Bell, ...], str]:
    """Do one step, if it is there to be done.

    Returns: the bells to ring now that all is committed, and what happened in a word for Flower.
    """
    settings = context.settings
    claim = context.work.claim(step_id, worker=worker, lease=settings.lease_seconds)
    if claim is None:
        return (), "nothing to do"
    begun = time.monotonic()
    policy = Policy(attempts=settings.attempts)
    with (
        structlog.contextvars.bound_contextvars(
            run=claim.run_id, repository=claim.repo.name, stage=claim.stage, attempt=claim.attempt
        ),
        context.heart.holding(claim),
    ):
        try:
            done = body(claim, context)
            bells = context.work.complete(
                claim, keys=done.keys, result=done.result, job=done.job, outcome=done.state
            )
            word = "done"
        except Exception as error:
            decision = decide(error, claim.failures, policy=policy, seed=str(step_id))
            said = str(error) if isinstance(error, SparkyError) else f"bug: {error!r}"
            log.log(
                40 if isinstance(decision, Stop) else 30,
                "step failed",
                error=said,
                decision=type(decision).__name__.lower(),
                exc_info=not isinstance(error, SparkyError),
            )
            bells = context.work.fail(claim, decision, said)
            word = type(decision).__name__.lower()
    if bells is None:
        bells, word = (), "void"
    context.tally.step(claim.stage, word, time.monotonic() - begun)
    return bells, word
