"""Sends the messages that wake workers. A lost one is rung again by the sweeper."""

from __future__ import annotations

from collections.abc import Iterable

import redis
import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from sparky.store.desk import Bell

log = structlog.get_logger(__name__)


def ring(app: Celery, bells: Iterable[Bell]) -> bool:
    """Send a message for each step; False when the broker takes none."""
    return all(send(app, bell.stage, bell.step_id, bell.label) for bell in bells)


def send(app: Celery, task: str, *arguments: int | str) -> bool:
    """Send `sparky.<task>` with these arguments; False when the broker does not take it."""
    try:
        app.send_task(f"sparky.{task}", arguments)
    except (OperationalError, redis.RedisError) as error:
        # Away, or out of memory: what could not be sent now is sent by the sweeper.
        log.warning("the broker takes no message; the sweeper will ring later", error=str(error))
        return False
    return True
