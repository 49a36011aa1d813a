"""Answers in Redis, in front of those in Postgres: what is asked again comes without a query.

Postgres has them all; Redis holds the latest few that were asked for twice, as most never are, and
may lose them, be slow or be away.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote

import redis
import sqlalchemy as sa
from redis.backoff import NoBackoff
from redis.retry import Retry

from sparky.ports import Answer
from sparky.store import tables as t
from sparky.store.calls import CACHED
from sparky.store.codec import dump, load
from sparky.store.connection import connect, translated
from sparky.store.gateway import Gateway

T = TypeVar("T")

KEPT = timedelta(days=1)
"""How long an answer stays in Redis."""
MOST = 10_000
"""How many do: a hundred megabytes at the very most."""
PATIENCE = 0.5
"""Seconds that Redis may take before it counts as away."""
AWAY = 30.0
"""Seconds for which it is left alone then."""


class Hot:
    """The latest answers, in Redis. Never raises: without Redis it is empty.

    Args:
        url: as Celery takes it.
        prefix: what every key begins with.
        now: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        url: str,
        prefix: str,
        *,
        most: int = MOST,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        # redis-py's types are those of its two kinds of client at once.
        self._redis: Any = redis.Redis.from_url(
            for_client(url),
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            retry=Retry(NoBackoff(), retries=0),
        )
        self._prefix = f"{prefix}answer:"
        self._used = f"{prefix}answers"
        """Keys by when they were last used."""
        self._most = most
        self._now = now
        self._away_until = float("-inf")

    def get(self, key: str) -> Answer | None:
        return self._reach(lambda: self._get(key))

    def put(self, key: str, answer: Answer) -> None:
        self._reach(lambda: self._put(key, answer))

    def forget(self, key: str) -> None:
        self._reach(lambda: self._redis.delete(self._prefix + key))

    def clear(self) -> None:
        """Forget all."""
        self._reach(self._clear)

    def size(self) -> int | None:
        """How many answers it holds at most; None when Redis is away."""
        return self._reach(lambda: int(self._redis.zcard(self._used)))

    def _get(self, key: str) -> Answer | None:
        raw = self._redis.get(self._prefix + key)
        if raw is None:
            return None
        self._redis.zadd(self._used, {key: time.time()})
        return load(Answer, json.loads(raw))

    def _put(self, key: str, answer: Answer) -> None:
        pipe = self._redis.pipeline(transaction=False)
        pipe.set(self._prefix + key, json.dumps(dump(replace(answer, cached=False))), ex=KEPT)
        pipe.zadd(self._used, {key: time.time()})
        pipe.zcard(self._used)
        *_, count = pipe.execute()
        if count > self._most:
            oldest = self._redis.zpopmin(self._used, count - self._most)
            self._redis.delete(*(self._prefix + name.decode() for name, _ in oldest))

    def _clear(self) -> None:
        names = self._redis.zrange(self._used, 0, -1)
        self._redis.delete(self._used, *(self._prefix + name.decode() for name in names))

    def close(self) -> None:
        self._redis.close()

    def _reach(self, action: Callable[[], T]) -> T | None:
        """What the action returns; None while Redis is away or what it holds cannot be read."""
        if self._now() < self._away_until:
            return None
        try:
            return action()
        except (redis.RedisError, OSError, ValueError):
            self._away_until = self._now() + AWAY
            return None


class CachedGateway(Gateway):
    """A gateway that looks for answers in Redis first."""

    def __init__(self, engine: sa.Engine, hot: Hot) -> None:
        super().__init__(engine)
        self.hot = hot

    @classmethod
    def over(cls, url: str, hot: Hot) -> CachedGateway:
        """A gateway to the database at `url` with these answers in front."""
        return cls(connect(url), hot)

    def close(self) -> None:
        self.hot.close()
        super().close()

    def answer(self, key: str) -> Answer | None:
        found = self.hot.get(key)
        if found is not None:
            return replace(found, cached=True)
        found = super().answer(key)
        if found is not None:
            self.hot.put(key, found)
        return found

    def replaced(self, key: str) -> None:
        self.hot.forget(key)


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What is kept, and what it was good for."""

    answers: int
    bytes: int
    """Their size in Postgres, with its index."""
    calls: int
    """Questions to engines, those that the cache answered not among them."""
    hits: int
    models: dict[str, int]
    """Answers by the model that wrote them."""


def stats(store: Gateway) -> CacheStats:
    """Count the answers that Postgres keeps. Errors: Transient, StoreError."""
    c = t.llm_calls.c
    model = t.answers.c.payload["model"].astext
    counted = sa.select(model, sa.func.count()).group_by(model).order_by(sa.func.count().desc())
    with _begin(store) as connection:
        models = {str(name): int(count) for name, count in connection.execute(counted)}
        size = connection.execute(sa.select(sa.func.pg_total_relation_size("answers"))).scalar_one()
        calls, hits = connection.execute(
            sa.select(
                sa.func.count().filter(c.outcome != CACHED),
                sa.func.count().filter(c.outcome == CACHED),
            )
        ).one()
    return CacheStats(sum(models.values()), size, calls, hits, models)


def prune(store: Gateway, *, unused: timedelta, model: str | None = None) -> int:
    """Forget answers that were not used for so long, of one model or of all; how many.

    Errors: Transient, StoreError.
    """
    c = t.answers.c
    gone = sa.delete(t.answers).where(c.used_at <= sa.func.now() - unused)
    if model is not None:
        gone = gone.where(c.payload["model"].astext == model)
    with _begin(store) as connection:
        count = connection.execute(gone).rowcount
    if isinstance(store, CachedGateway):
        store.hot.clear()
    return count


@contextmanager
def _begin(store: Gateway) -> Iterator[sa.Connection]:
    with translated(), store.engine.begin() as connection:
        yield connection


def for_client(url: str) -> str:
    """A broker's URL as redis-py reads it; Celery writes Unix sockets in another way."""
    scheme, _, rest = url.partition("://")
    if scheme != "redis+socket":
        return url
    path, _, query = rest.partition("?")
    database = parse_qs(query).get("virtual_host", ["0"])[0]
    return f"unix://{unquote(path)}?db={database}"
