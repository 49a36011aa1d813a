"""Answers in Redis and Postgres: quick when Redis is there, and right when it is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import redis
import sqlalchemy as sa

from sparky.ports import Answer
from sparky.store.cache import AWAY, CachedGateway, Hot, for_client, prune, stats
from sparky.store.calls import Calls
from sparky.store.connection import connect
from sparky.store.fresh import Fresh
from tests.servers import Servers

ANSWER = Answer("Done.", "m", 100, 7, engine="vllm", server="http://gpu")
PREFIX = "sparky:test_cache:"


class Watch:
    """Seconds that pass when a test says so."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def hot(servers: Servers) -> Iterator[Hot]:
    hot = Hot(servers.broker_url, PREFIX, most=3)
    hot.clear()
    yield hot
    hot.close()


@pytest.fixture
def store(database: str, hot: Hot) -> Iterator[CachedGateway]:
    store = CachedGateway(connect(database), hot)
    yield store
    store.close()


def forget_in_postgres(store: CachedGateway) -> None:
    with store.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM answers"))


def test_an_answer_comes_back_as_it_was_marked_as_cached(store: CachedGateway) -> None:
    store.put_answer("k", ANSWER)
    for _ in range(2):
        found = store.answer("k")
        assert found is not None
        assert (found.text, found.server, found.cached) == ("Done.", "http://gpu", True)
    assert store.answer("other") is None


def test_what_was_asked_for_again_redis_answers_without_postgres(store: CachedGateway) -> None:
    store.put_answer("k", ANSWER)
    assert store.answer("k") is not None
    forget_in_postgres(store)
    assert store.answer("k") is not None


def test_what_redis_lost_postgres_has_and_redis_learns_it_again(
    store: CachedGateway, hot: Hot
) -> None:
    store.put_answer("k", ANSWER)
    hot.clear()
    assert hot.get("k") is None
    assert store.answer("k") is not None
    assert hot.get("k") is not None


def test_redis_keeps_the_latest_few(hot: Hot) -> None:
    for number in range(6):
        hot.put(f"k{number}", ANSWER)
    assert hot.size() == 3
    assert [hot.get(f"k{number}") is not None for number in range(6)] == [False] * 3 + [True] * 3


def test_what_it_cannot_read_is_no_answer(servers: Servers, hot: Hot) -> None:
    """Another version wrote it, or somebody else did."""
    client = redis.Redis.from_url(for_client(servers.broker_url))
    client.set(f"{PREFIX}answer:k", "no JSON")
    client.close()
    assert hot.get("k") is None


def test_without_redis_everything_works_and_redis_is_left_alone_for_a_while(
    database: str, servers: Servers
) -> None:
    watch = Watch()
    hot = Hot("redis://127.0.0.1:1/0", PREFIX, now=watch)
    store = CachedGateway(connect(database), hot)
    store.put_answer("k", ANSWER)
    assert store.answer("k") is not None
    assert hot.size() is None
    # It is back, but is asked only when the pause is over.
    hot._redis = redis.Redis.from_url(for_client(servers.broker_url))
    assert hot.size() is None
    watch.seconds = AWAY
    assert hot.size() is not None
    store.close()


def test_an_answer_that_was_replaced_is_forgotten_near_at_hand(store: CachedGateway) -> None:
    """A run that asks the engine again must not be answered by Redis with what was said before."""
    store.put_answer("k", ANSWER)
    assert store.answer("k") is not None
    Fresh(store, since=datetime.now(UTC) + timedelta(hours=1)).put_answer(
        "k", replace(ANSWER, text="Done again.")
    )
    found = store.answer("k")
    assert found is not None
    assert found.text == "Done again."


def test_pruned_answers_are_gone_everywhere(store: CachedGateway) -> None:
    store.put_answer("a", ANSWER)
    store.put_answer("b", Answer("Done.", "other", 1, 1))
    assert prune(store, unused=timedelta(days=1)) == 0
    assert prune(store, unused=timedelta(0), model="other") == 1
    assert store.answer("b") is None
    assert store.answer("a") is not None
    assert prune(store, unused=timedelta(0)) == 1
    assert store.answer("a") is None


def test_the_figures_tell_what_it_is_good_for(store: CachedGateway) -> None:
    store.put_answer("a", ANSWER)
    calls = Calls(store.engine)
    calls.record(None, "summarize", "vllm", "m", ANSWER, seconds=1.0, outcome="ok")
    calls.record(None, "summarize", "vllm", "m", ANSWER, seconds=0.0, outcome="cached")
    found = stats(store)
    assert (found.answers, found.calls, found.hits) == (1, 1, 1)
    assert found.models == {"m": 1}
    assert found.bytes > 0
