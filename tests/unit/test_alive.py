"""What tells a container's health check that a process of the farm is alive."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.signals import after_task_publish, heartbeat_sent

from sparky.farm import alive

ROOT = Path(__file__).parents[2]
SIGNALS = [heartbeat_sent, after_task_publish]


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Whoever listened before listens after; nobody else does."""
    before = [list(signal.receivers) for signal in SIGNALS]
    yield
    for signal, receivers in zip(SIGNALS, before, strict=True):
        signal.receivers[:] = receivers


def check(state: Path) -> int:
    """The exit code of the check that the image brings."""
    words = [str(ROOT / "swarm/alive")]
    return subprocess.run(
        words, check=False, env=os.environ | {"SPARKY_STATE_DIR": str(state)}
    ).returncode


@pytest.mark.parametrize("signal", SIGNALS, ids=["worker", "beat"])
def test_a_process_that_gets_through_is_alive(signal: object, tmp_path: Path) -> None:
    """A worker by its heartbeat, beat by what it sends; before that, nothing is said."""
    state = tmp_path / "state"
    alive.watch(state)
    assert check(state) == 1
    signal.send(sender=None)  # type: ignore[attr-defined]
    assert check(state) == 0


def test_a_process_that_was_alive_long_ago_is_not(tmp_path: Path) -> None:
    """Two minutes without a sign, and the container is not healthy."""
    file = tmp_path / alive.NAME
    file.touch()
    os.utime(file, (file.stat().st_mtime - 130,) * 2)
    assert check(tmp_path) == 1
