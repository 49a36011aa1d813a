"""No worker sits on work that another one could do: real workers of the summarize queue."""

from __future__ import annotations

import redis
import sqlalchemy as sa

from sparky.farm.app import key_prefix
from sparky.farm.worker import worker_words
from sparky.store.cache import for_client
from tests.engines.fleet import fleet, trouble
from tests.faults.crew import Member, crew
from tests.faults.machines import wait_until
from tests.faults.test_edges import Edge, edge

__all__ = ["edge"]

AT_WORK = """
    SELECT count(*) FROM steps WHERE state = 'running' AND stage = 'summarize' AND worker LIKE :who
"""
OPEN = """
    SELECT count(*) FROM steps WHERE stage = 'summarize' AND state = 'waiting' AND rung_at IS NOT NULL
"""
PARTED = "SELECT count(*) FROM jobs WHERE stage <> 'summarize'"


def test_what_a_busy_worker_has_no_thread_for_stays_in_the_broker(edge: Edge) -> None:
    """One thread holds one message; a worker that comes later gets the others at once."""
    broker = redis.Redis.from_url(for_client(edge.settings.broker_url.get_secret_value()))
    queue = f"{key_prefix(edge.settings.farm)}summarize"
    words = worker_words("first", queues=("fetch", "chunk"), concurrency=2)
    with fleet(1, slots=8, scale=200) as (url,):
        settings = edge.settings.with_changes(llm_url=url, lease_seconds=120)

        def worker(name: str, threads: int) -> Member:
            asks = worker_words(name, queues=("summarize",), concurrency=threads)
            return Member(name, asks, settings, edge.folder)

        def at_work(name: str) -> int:
            with edge.engine.begin() as connection:
                found = connection.execute(sa.text(AT_WORK), {"who": f"{name}@%"})
                return int(found.scalar_one())

        edge.begin()
        with crew([Member("parts", words, settings, edge.folder)]):
            wait_until(lambda: edge.value(PARTED) == 0, what="chunks of all repositories")
        waiting = edge.value(OPEN)
        assert waiting == broker.llen(queue) > 2, "a worker that took two would still leave one"
        trouble(url, "slow", after=1, slowness=1e6)  # the first prompt only tries it out
        with crew([worker("busy", 1)]):
            wait_until(lambda: at_work("busy") == 1, what="its thread at work")
            assert broker.llen(queue) == waiting - 1
            with crew([worker("idle", waiting)]):
                wait_until(lambda: at_work("idle") == waiting - 1, what="the rest at work")
                assert at_work("busy") == 1
    broker.close()
