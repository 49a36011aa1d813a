"""A file that a living process of the farm touches, for whoever watches it from outside.

A worker touches it with each heartbeat that reaches the broker, beat with each message that it sends.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from celery.signals import after_task_publish, heartbeat_sent

NAME = "alive"


def watch(state: Path) -> None:
    """Touch the file in this folder from now on, as long as the process gets through."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)

    def touch(**_: Any) -> None:
        (state / NAME).touch()

    # Signals keep weak references unless they are told not to.
    heartbeat_sent.connect(touch, weak=False)
    after_task_publish.connect(touch, weak=False)
