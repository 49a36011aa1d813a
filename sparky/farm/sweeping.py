"""What `sparky.sweep` does: compare Postgres with the broker, and mend the difference."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from sparky.farm.app import key_prefix
from sparky.farm.bell import ring
from sparky.farm.context import Context
from sparky.retries import Stop
from sparky.store.tables import STAGES


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
    bells = at.dispatch.sweep(held(app, settings.farm), attempts=settings.attempts)
    ring(app, bells)
    return f"{len(bells)} rung, {stopped} stopped"


def held(app: Celery, farm: str) -> Counter[str]:
    """Messages of each stage that the broker holds, waiting or delivered and not acknowledged."""
    prefix = key_prefix(farm)
    counts: Counter[str] = Counter()
    with app.connection_for_read() as connection:
        try:
            # Only kombu's Redis transport has one, and Sparky has no other.
            client: Any = connection.default_channel.client  # type: ignore[attr-defined]
            for stage in STAGES:
                counts[stage] += client.execute_command("LLEN", f"{prefix}{stage}")
            for raw in client.execute_command("HVALS", f"{prefix}unacked"):
                counts[json.loads(raw)[2]] += 1
        except OperationalError:
            # Nothing can be sent either; the next sweep sees to it.
            return Counter()
    return counts
