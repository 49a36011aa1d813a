"""Named points at which a test can have this process killed. Nothing happens anywhere else.

They are on only where SPARKY_TEST_FAILPOINTS names a folder. A process that reaches a point whose
name is a file in that folder takes the file away and dies at once, as by `kill -9`:

    <transaction>.before-commit   all is written, nothing of it counts yet
    <stage>.before-send           committed, and no message sent that says so
    <stage>.before-next           committed, and the step that follows claimed and not begun
    <task>.before-acknowledge     sent, and the broker not told that the message is done
"""

from __future__ import annotations

import os
import signal
from functools import cache
from pathlib import Path

from sparky.settings.environment import FAILPOINTS, process_env


def reach(name: str) -> None:
    """Die here if a test wants it; at each other time do nothing."""
    folder = _folder()
    if folder is None:
        return
    try:
        # Of all that come by, the one that takes the file dies.
        (folder / name).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def armed() -> bool:
    """Whether a test may want this process to die."""
    return _folder() is not None


@cache
def _folder() -> Path | None:
    named = process_env().get(FAILPOINTS)
    return Path(named) if named else None
