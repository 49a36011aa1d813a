"""A worker that is told to stop: it ends what it can within the grace time and hands the rest back.

Celery's own soft shutdown sleeps for the whole of its time when one task runs, however soon that
ends, and waits for threads without an end. So TERM begins Celery's warm shutdown, which takes
nothing new and ends with the last task, and here is the end of its patience. A second TERM is it.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import Any

import structlog
from celery.signals import worker_ready, worker_shutting_down

from sparky.errors import SparkyError
from sparky.farm import context
from sparky.farm.app import app
from sparky.farm.bell import ring

log = structlog.get_logger(__name__)

_told = threading.Event()
_again = threading.Event()
_pools: list[Any] = []
"""This worker's pool, once it works."""


@worker_ready.connect
def _remember(sender: Any, **_: Any) -> None:
    _pools.append(sender.pool)


@worker_shutting_down.connect
def _begin(sender: str, **_: Any) -> None:
    if _told.is_set():
        _again.set()
        return
    _told.set()
    # In a thread, as this runs inside of a signal handler.
    threading.Thread(target=_leave, args=[sender], daemon=True).start()


def _leave(worker: str) -> None:
    """Hand back what this worker still has in work after the grace time, tell others, and end."""
    at = context.here()
    _again.wait(at.settings.grace_seconds)
    try:
        bells = at.dispatch.hand_back(worker)
        ring(app, bells)
        log.info("handed back", steps=len(bells))
    except SparkyError as error:
        # The sweeper does it, once the leases have run out.
        log.warning("nothing could be handed back", error=str(error))
    finally:
        for pool in _pools:
            for child in pool.info.get("processes", ()):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        os._exit(0)
