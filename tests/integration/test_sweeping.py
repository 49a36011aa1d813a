"""What the sweeper sees in a real broker, and what it makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa

from sparky.farm import app as celery
from sparky.farm import context, sweeping
from sparky.farm.app import key_prefix
from sparky.farm.bell import ring
from sparky.farm.context import Context
from sparky.model import Repo, Window
from sparky.settings import Settings
from sparky.store.cache import for_client
from sparky.store.runs import Runs
from tests.servers import Servers

WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
REPOS = 5


@pytest.fixture
def at(servers: Servers, database: str, tmp_path: Path) -> Iterator[Context]:
    settings = Settings(
        state_dir=tmp_path / "state",
        cache_dir=tmp_path / "cache",
        database_url=database,  # type: ignore[arg-type]
        broker_url=servers.broker_url,  # type: ignore[arg-type]
        farm="sweeping",
    )
    made = context.of(settings)
    yield made
    made.store.close()


@pytest.fixture
def broker(servers: Servers) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(for_client(servers.broker_url)) as client:
        client.flushall()
        yield client
        client.config_set("maxmemory", "256mb")
        client.flushall()


def begin(at: Context) -> None:
    """A run whose fetches have all been sent, a while ago."""
    for number in range(REPOS):
        at.store.add_repo(Repo(f"git:{number}", f"me/{number}", "git", f"/srv/{number}"))
    runs = Runs(at.store.engine, farm="sweeping")
    ring(celery.make(at.settings), runs.start("r", WINDOW, [f"git:{n}" for n in range(REPOS)], {}))
    age(at)


def age(at: Context) -> None:
    with at.store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE steps SET rung_at = rung_at - interval '1 minute'"))


def sweep(at: Context) -> str:
    return sweeping.sweep(celery.make(at.settings), at, worker="w")


def waiting(broker: redis.Redis) -> int:
    return int(broker.llen(f"{key_prefix('sweeping')}fetch"))  # type: ignore[arg-type]


def test_a_queue_that_nobody_empties_does_not_grow(at: Context, broker: redis.Redis) -> None:
    """Messages that wait for slow workers are seen, and not sent again at each sweep."""
    begin(at)
    for _ in range(3):
        assert sweep(at) == "0 rung, 0 stopped"
        age(at)
    assert waiting(broker) == REPOS


def test_an_emptied_broker_is_filled_again(at: Context, broker: redis.Redis) -> None:
    """After FLUSHALL each message that was lost is sent once."""
    begin(at)
    broker.flushall()
    assert sweep(at) == f"{REPOS} rung, 0 stopped"
    assert waiting(broker) == REPOS


def test_a_message_that_died_with_its_worker_is_sent_again(
    at: Context, broker: redis.Redis
) -> None:
    """What a killed worker had taken and not begun is not waited for until the broker gives it back."""
    begin(at)
    prefix = key_prefix("sweeping")
    taken = broker.rpop(f"{prefix}fetch")
    # As kombu notes what it has delivered: it stays there long after the worker's death.
    broker.hset(f"{prefix}unacked", "tag", taken)  # type: ignore[arg-type]
    assert sweep(at) == "1 rung, 0 stopped"
    assert waiting(broker) == REPOS


def test_a_full_broker_is_tried_again_later(at: Context, broker: redis.Redis) -> None:
    """A broker out of memory raises nothing, and gets what was meant for it when it has room."""
    begin(at)
    broker.flushall()
    broker.config_set("maxmemory", "1")
    sweep(at)
    assert waiting(broker) == 0
    broker.config_set("maxmemory", "256mb")
    age(at)
    assert sweep(at) == f"{REPOS} rung, 0 stopped"
    assert waiting(broker) == REPOS
