"""Flower on a live farm: what a person reads there, and what it still knows after a restart."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sparky.farm import app as celery
from sparky.farm.bell import send
from sparky.farm.worker import Process, started, worker_words
from sparky.settings import Settings
from tests.servers import Servers

USER, PASSWORD = "sparky", "let me see"


@pytest.fixture
def settings(servers: Servers, database: str, tmp_path: Path) -> Settings:
    """A farm of its own, whose Flower has a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Settings(
        state_dir=tmp_path / "state",
        cache_dir=tmp_path / "cache",
        database_url=database,  # type: ignore[arg-type]
        broker_url=servers.broker_url,  # type: ignore[arg-type]
        farm="seen",
        flower_password=PASSWORD,  # type: ignore[arg-type]
        flower_port=port,
    )


@contextmanager
def flower(settings: Settings) -> Iterator[Process]:
    """Flower as somebody starts it by hand, until it is stopped with TERM."""
    words = ["flower", "--address=127.0.0.1", f"--port={settings.flower_port}"]
    log = settings.state_dir / "flower.log"
    with started("flower", words, settings, log=log, grace=20.0) as process:
        until(lambda: page(settings, "/healthcheck") is not None, process)
        yield process


def page(settings: Settings, path: str) -> str | None:
    """What a person who knows the password gets; None while nobody answers."""
    url = f"http://127.0.0.1:{settings.flower_port}{path}"
    try:
        answer = httpx.get(url, auth=(USER, PASSWORD), trust_env=False, timeout=30)
    except httpx.TransportError:
        return None
    return answer.raise_for_status().text


def fetched(settings: Settings) -> dict[str, Any] | None:
    """What Flower tells of a fetch that has succeeded."""
    tasks = json.loads(page(settings, "/api/tasks") or "{}").values()
    named = [t for t in tasks if t["name"] == "sparky.fetch" and t["state"] == "SUCCESS"]
    return dict(named[0]) if named else None


def until(true: Callable[[], object], *processes: Process) -> None:
    deadline = time.monotonic() + 60
    while not true():
        for process in processes:
            process.check()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_flower_names_the_repository_and_remembers_it(settings: Settings) -> None:
    """Task, repository and outcome stand in its table, also when Flower was started anew."""
    words = worker_words("seen", queues=("fetch",), concurrency=1)
    with flower(settings) as watching:
        shown = re.findall(r'data-column="(\w+)"', page(settings, "/tasks") or "")
        assert {"name", "args", "state", "result"} <= set(shown)
        with started("worker", words, settings, log=settings.state_dir / "worker.log") as worker:
            # There is no such step, so the worker has nothing to do, and says so.
            assert send(celery.make(settings), "fetch", 4711, "acme/kettle")
            until(lambda: fetched(settings), worker, watching)
        seen = fetched(settings)
    assert seen is not None
    assert "'acme/kettle'" in seen["args"]
    assert "acme/kettle: nothing to do" in seen["result"]
    with flower(settings) as watching:
        until(lambda: fetched(settings), watching)
        assert fetched(settings) == seen
