"""Sparky's app in a process whose clock a test can set: `celery -A tests.faults.jumping beat`.

The file that SPARKY_TEST_CLOCK names holds how many seconds the clock is wrong by.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

from sparky.farm.app import app

__all__ = ["app"]

_FILE = Path(os.environ["SPARKY_TEST_CLOCK"])
_right = app.now


def _now() -> datetime:
    """What Celery asks whenever it looks at the clock."""
    wrong = float(_FILE.read_text()) if _FILE.exists() else 0.0
    return _right() + timedelta(seconds=wrong)


app.now = _now
