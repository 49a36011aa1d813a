"""What `sparky.sweep` does: compare Postgres with the broker, and mend the difference."""

from __future__ import annotations

import base64
import json
from typing import Any

import redis
from celery import Celery

from sparky.farm.app import broker_url, key_prefix
from sparky.farm.bell import ring
from sparky.farm.context import Context
from sparky.retries import Stop
from sparky.settings import Settings, failpoints
from sparky.store.cache import for_client
from sparky.store.tables import STAGES

PATIENCE = 10.0
"""Seconds that the broker may take to tell what it holds."""


def sweep(app: Celery, at: Context, *, worker: str) -> str:
    """Ring for lost messages, silent workers and waits that are over; a word on it for Flower."""
    settings = at.settings
    stopped = 0
    for step_id, attempt in at.dispatch.dead(attempts=settings.attempts):
        claim = at.work.seize(step_id, attempt, worker=worker, lease=settings.lease_seconds)
        if claim is not None:
            said = f"{claim.failures + 1} workers went silent at it"
            ring(app, at.work.fail(claim, Stop(), said) or ())
            stopped += 1
            at.tally.count("stopped")
    bells = at.dispatch.sweep(held(settings), attempts=settings.attempts)
    failpoints.reach("sweep.before-send")
    ring(app, bells)
    at.tally.count("sweeps")
    at.tally.count("rung_again", len(bells))
    at.tally.flush()
    return f"{len(bells)} rung, {stopped} stopped"


def held(settings: Settings) -> set[int]:
    """The steps whose messages wait in the broker's queues; none when it does not answer.

    Not among them is what was delivered and not acknowledged: the broker keeps that for an hour
    also where the worker that took it is dead.
    """
    prefix = key_prefix(settings.farm)
    # Not Celery's own client, which puts the prefix before some commands' keys and not others'.
    broker = for_client(broker_url(settings))
    steps: set[int] = set()
    with redis.Redis.from_url(broker, socket_timeout=PATIENCE) as client:
        try:
            for stage in STAGES:
                waiting: Any = client.lrange(f"{prefix}{stage}", 0, -1)
                steps.update(step for step in map(_step, waiting) if step is not None)
        except redis.RedisError:
            # Nothing can be sent either; the next sweep sees to it.
            return set()
    return steps


def _step(message: bytes) -> int | None:
    """The step that a message is for: the first argument of its task. None where it is not ours."""
    try:
        arguments, *_ = json.loads(base64.b64decode(json.loads(message)["body"]))
        return int(arguments[0])
    except (ValueError, TypeError, LookupError):
        # Somebody else's; a worker refuses it.
        return None
