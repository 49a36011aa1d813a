"""What the farm's processes have done, counted together in the broker for its watchers.

Each process counts in memory and adds its counts to the broker's every few seconds. A killed
process loses its last few: these are for watching, and Postgres has the truth.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from sparky.store.cache import for_client

log = structlog.get_logger(__name__)

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds of the durations that are counted apart, in seconds."""
PATIENCE = 1.0
"""Seconds that the broker may take."""


class Tally:
    """Counts of one process, and those of all in the broker.

    Args:
        url: the broker's, as Celery takes it.
        prefix: what every key of the farm begins with.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._key = f"{prefix}tally"
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._redis: Any = redis.Redis.from_url(
            for_client(url),
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            retry=Retry(NoBackoff(), retries=0),
        )

    def step(self, stage: str, outcome: str, seconds: float) -> None:
        """One step came to an end: done, wait, retry, anew, stop or void."""
        bound = next((str(one) for one in BUCKETS if seconds <= one), "+Inf")
        with self._lock:
            self._counts[f"steps|{stage}|{outcome}"] += 1
            self._counts[f"bucket|{stage}|{bound}"] += 1
            self._counts[f"millis|{stage}"] += round(seconds * 1000)

    def count(self, name: str, by: int = 1) -> None:
        """Something else happened: `ticks`, `rung`, `seized`."""
        with self._lock:
            self._counts[f"{name}|"] += by

    def flush(self) -> None:
        """Add the counts to the broker's; what it does not take now goes with the next."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            with self._redis.pipeline() as pipe:
                for name, number in counts.items():
                    pipe.hincrby(self._key, name, number)
                pipe.execute()
        except redis.RedisError as error:
            log.info("counts are kept for later", error=str(error))
            with self._lock:
                self._counts += counts

    def read(self) -> Mapping[str, int]:
        """The counts of all processes. Raises redis.RedisError."""
        told: Mapping[bytes, bytes] = self._redis.hgetall(self._key)
        return {name.decode(): int(number) for name, number in told.items()}

    def broker(self, queues: tuple[str, ...], prefix: str) -> Mapping[str, int]:
        """Messages that wait in each queue, and `memory` and its `limit` in bytes. Raises redis.RedisError."""
        with self._redis.pipeline(transaction=False) as pipe:
            for queue in queues:
                pipe.llen(f"{prefix}{queue}")
            pipe.info("memory")
            *lengths, memory = pipe.execute()
        told = dict(zip(queues, lengths, strict=True))
        return told | {"memory": memory["used_memory"], "limit": memory["maxmemory"]}
