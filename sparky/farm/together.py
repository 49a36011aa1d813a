"""Events of tasks, for Flower: many in one message, a few times a second.

Celery sends those of a worker with each turn of its loop, which costs a busy worker a fifth of its
main process. What a person watches need not come sooner than a person sees it.
"""

from __future__ import annotations

from typing import Any

from celery import bootsteps

SECONDS = 0.25


class Together(bootsteps.StartStopStep):
    """A worker's step: lets its events gather, and sends what has come together."""

    requires = ("celery.worker.consumer.events:Events",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._timer: Any = None

    def start(self, parent: Any) -> None:
        events = parent.event_dispatcher
        # At once it sends only what has filled its buffer.
        events.on_send_buffered = None
        self._timer = parent.timer.call_repeatedly(SECONDS, events.flush)

    def stop(self, parent: Any) -> None:
        """Let what still ends be told at once: there is no timer any more."""
        if self._timer is not None:
            self._timer.cancel()
        if parent.event_dispatcher is not None and parent.hub:
            parent.event_dispatcher.on_send_buffered = parent.on_send_event_buffered
