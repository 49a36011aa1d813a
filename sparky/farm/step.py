"""What every task shares: claim, heartbeat, completion, fan-in, retry, log context.

The one broad `except` of Sparky stands here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import structlog

from sparky.errors import SparkyError
from sparky.farm.context import Context
from sparky.ports import Claim
from sparky.retries import Policy, Stop, decide
from sparky.store.desk import Bell
from sparky.store.work import Ended

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


@dataclass(frozen=True, slots=True)
class Performed:
    """A step that has come to an end, with its transaction committed."""

    stage: str
    word: str
    """What happened, for Flower: done, retry, wait, anew, stop, void."""
    bells: tuple[Bell, ...] = ()
    """To ring now."""
    onward: bool = False
    """Whether this worker goes on with the step that follows."""


def perform(
    step_id: int,
    body: Body,
    context: Context,
    *,
    worker: str,
    onward: Mapping[str, Body] = MappingProxyType({}),
    then: Callable[[Performed], None] = lambda _: None,
) -> tuple[Performed, ...]:
    """Do one step, if it is there to be done, and those of its job that follow it alone.

    Args:
        onward: the bodies of the stages that this worker does too. It goes on with them at once:
            a message would only come back to it, or wait for another worker.
        then: told of each step as soon as that is committed, before the next one begins.

    Returns: the steps that have come to an end.
    """
    claim = context.work.claim(step_id, worker=worker, lease=context.settings.lease_seconds)
    performed = []
    while claim is not None:
        done, claim = _perform(claim, body, context, worker=worker, onward=onward)
        then(done)
        performed.append(done)
        if claim is not None:
            body = onward[claim.stage]
    return tuple(performed)


def _perform(
    claim: Claim, body: Body, context: Context, *, worker: str, onward: Mapping[str, Body]
) -> tuple[Performed, Claim | None]:
    """Do the claimed step; the claim of the one that follows, where there is one."""
    settings = context.settings
    begun = time.monotonic()
    policy = Policy(attempts=settings.attempts)
    with (
        structlog.contextvars.bound_contextvars(
            run=claim.run_id, repository=claim.repo.name, stage=claim.stage, attempt=claim.attempt
        ),
        context.heart.holding(claim),
        context.traces.step(claim) as told,
    ):
        said = None
        try:
            done = body(claim, context)
            ended = context.work.complete(
                claim,
                keys=done.keys,
                result=done.result,
                job=done.job,
                outcome=done.state,
                onward=onward.keys(),
                worker=worker,
                lease=settings.lease_seconds,
            )
            word = "done"
        except Exception as error:
            decision = decide(error, claim.failures, policy=policy, seed=str(claim.step_id))
            said = str(error) if isinstance(error, SparkyError) else f"bug: {error!r}"
            log.log(
                40 if isinstance(decision, Stop) else 30,
                "step failed",
                error=said,
                decision=type(decision).__name__.lower(),
                exc_info=not isinstance(error, SparkyError),
            )
            bells = context.work.fail(claim, decision, said)
            ended = None if bells is None else Ended(bells)
            word = type(decision).__name__.lower()
        if ended is None:
            ended, word = Ended(), "void"
        told(word, said)
    context.tally.step(claim.stage, word, time.monotonic() - begun)
    return Performed(claim.stage, word, ended.bells, ended.onward is not None), ended.onward
