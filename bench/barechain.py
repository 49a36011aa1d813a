"""Bare Celery to measure against: `celery -A bench.barechain worker …`, tasks that do nothing.

Its settings are Celery's own but for JSON and no results; the broker is `BENCH_BROKER_URL`.
"""

from __future__ import annotations

import os

import redis
from celery import Celery, chain

DONE = "bench:done"
"""Where the last link of each chain counts itself."""

app = Celery("bare", broker=os.environ["BENCH_BROKER_URL"])
app.conf.update(task_ignore_result=True, task_serializer="json", accept_content=["json"])
_counter = redis.Redis.from_url(os.environ["BENCH_REDIS_URL"])


@app.task
def nothing(number: int) -> None: ...


@app.task
def last(number: int) -> None:
    """Nothing, but to say that the chain has come to its end."""
    _counter.incr(DONE)


def send(count: int) -> None:
    """Send so many chains of four."""
    for number in range(count):
        chain(nothing.si(number), nothing.si(number), nothing.si(number), last.si(number))()
