"""What a worker tells Flower of its tasks, on a real broker."""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any

import redis

from sparky.farm import app as celery
from sparky.farm.bell import send
from sparky.farm.worker import started, worker_words
from sparky.settings import Settings
from sparky.store.cache import for_client
from tests.faults.machines import wait_until
from tests.servers import Servers

TASKS = 60


def events(message: bytes) -> list[dict[str, Any]]:
    """The events that one of Celery's messages holds."""
    found: list[dict[str, Any]] = json.loads(base64.b64decode(json.loads(message)["body"]))
    return found


def test_each_event_of_a_task_is_told_and_many_share_a_message(
    servers: Servers, database: str, tmp_path: Path
) -> None:
    """Received, started and succeeded of every task, in far fewer messages than events."""
    settings = Settings(
        state_dir=tmp_path / "state",
        cache_dir=tmp_path / "cache",
        database_url=database,  # type: ignore[arg-type]
        broker_url=servers.broker_url,  # type: ignore[arg-type]
        farm="told",
    )
    app = celery.make(settings)
    told: Counter[str] = Counter()
    client = redis.Redis.from_url(for_client(servers.broker_url))
    listening = client.pubsub()
    listening.psubscribe("*celeryev/task.multi")
    words = worker_words("told", queues=("fetch",), pool="prefork", concurrency=1)

    with started("worker", words, settings, log=tmp_path / "worker.log"):
        for number in range(TASKS):
            # There is no such step: a task that finds nothing to do.
            assert send(app, "fetch", -1 - number, "me/repo")

        def all_told() -> bool:
            while message := listening.get_message(timeout=0.1):
                if message["type"] == "pmessage":
                    told["messages"] += 1
                    told.update(event["type"] for event in events(message["data"]))
            return told["task-succeeded"] == TASKS

        wait_until(all_told, what="every task's end")
    listening.close()
    client.close()
    assert told["task-received"] == told["task-started"] == TASKS
    assert told["messages"] < 3 * TASKS / 4
