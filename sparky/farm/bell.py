"""Sends the messages that wake workers. A lost one is rung again by the sweeper."""

from __future__ import annotations

from collections.abc import Iterable

import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from sparky.store.desk import Bell

log = structlog.get_logger(__name__)


def ring(app: Celery, bells: Iterable[Bell]) -> bool:
    """Send a message for each step; False when the broker does not answer."""
    return all(send(app, bell.stage, bell.step_id, bell.label) for bell in bells)


def send(app: Celery, task: str, *arguments: int | str) -> bool:
    """Send `sparky.<task>` with these arguments; False when the broker does not answer."""
    try:
        app.send_task(f"sparky.{task}", arguments)
    except OperationalError as error:
        log.warning("the broker does not answer; the sweeper will ring later", error=str(error))
        return False
    return True
