"""When beat sends what it has to, whatever happens to the machine's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.beat import ScheduleEntry, Scheduler

from sparky.farm import steady
from sparky.farm.app import make
from sparky.settings import Settings

PRUNING = datetime(2026, 11, 29, 3, 17, tzinfo=UTC)


class Beat(Scheduler):
    """Celery's scheduler, without a broker; what it would have sent."""

    producer = None

    def __init__(self, *given: Any, **named: Any) -> None:
        self.sent: list[str] = []
        super().__init__(*given, **named)

    def apply_entry(self, entry: ScheduleEntry, producer: object = None) -> None:
        self.sent.append(entry.task)


@pytest.mark.parametrize("wrong", [-600, 0, 600])
def test_a_clock_that_was_set_wrong_stops_no_sweep_in_the_hour_of_pruning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: float
) -> None:
    """In two minutes around it, beat sends a sweep each 10 s and has the night's pruning done once."""
    begin, passed = PRUNING - timedelta(seconds=60), 0.0
    monkeypatch.setattr(steady, "_STARTED", begin)
    monkeypatch.setattr(steady, "time", SimpleNamespace(monotonic=lambda: passed))
    given = {"state_dir": tmp_path, "cache_dir": tmp_path, "broker_url": "redis://localhost:1/0"}
    app = make(Settings.model_validate(given))
    app.now = lambda: begin + timedelta(seconds=passed + wrong)
    beat = Beat(app, lazy=True)
    beat.setup_schedule()
    while passed < 120:
        passed += max(0.01, min(beat.tick(), 1.0))
    assert 11 <= beat.sent.count("sparky.sweep") <= 13
    assert beat.sent.count("sparky.prune") == 1
