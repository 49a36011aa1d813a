"""Postgres in trouble of kinds that a storm does not bring: no connection left, deadlock, many at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
import pytest
import sqlalchemy as sa

from sparky.errors import Transient
from sparky.model import Repo, Window
from sparky.store.connection import connect, translated
from sparky.store.desk import Bell
from sparky.store.dispatch import Dispatch
from sparky.store.gateway import Gateway
from sparky.store.runs import Runs
from sparky.store.work import Work

WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
REPOS = 20


@dataclass(frozen=True)
class Farm:
    url: str
    engine: sa.Engine

    @property
    def dispatch(self) -> Dispatch:
        return Dispatch(self.engine, farm="main")

    def sql(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement))

    def steps(self) -> list[int]:
        with self.engine.begin() as connection:
            return list(connection.execute(sa.text("SELECT id FROM steps ORDER BY id")).scalars())


@pytest.fixture
def farm(database: str) -> Iterator[Farm]:
    engine = connect(database)
    store = Gateway(engine)
    for number in range(REPOS):
        store.add_repo(Repo(f"git:{number}", f"me/{number}", "git", f"/srv/{number}"))
    Runs(engine, farm="main").start("r", WINDOW, [f"git:{n}" for n in range(REPOS)], {})
    yield Farm(database, engine)
    engine.dispose()


def test_with_no_connection_left_a_step_is_tried_again_later(farm: Farm) -> None:
    """The error passes by itself, and so does the trouble when somebody lets a connection go."""
    step = farm.steps()[0]
    farm.engine.dispose()
    held: list[psycopg.Connection] = []
    try:
        with suppress(psycopg.OperationalError):
            while len(held) < 1000:
                held.append(psycopg.connect(farm.url.replace("+psycopg", "")))
        with pytest.raises(Transient):
            Work(farm.engine, farm="main").claim(step, worker="w", lease=60)
    finally:
        for connection in held:
            connection.close()
    assert Work(farm.engine, farm="main").claim(step, worker="w", lease=60) is not None


def test_a_deadlock_is_an_error_that_passes(farm: Farm) -> None:
    """Of two transactions that wait for each other one is told to try again, and the other goes on."""
    both = threading.Barrier(2)

    def lock(first: str, second: str) -> bool:
        query = "SELECT FROM repositories WHERE id = :id FOR UPDATE"
        try:
            with translated(), farm.engine.begin() as connection:
                connection.execute(sa.text(query), {"id": first})
                both.wait(30)
                connection.execute(sa.text(query), {"id": second})
        except Transient:
            return False
        return True

    with ThreadPoolExecutor() as threads:
        one = threads.submit(lock, "git:1", "git:2")
        other = threads.submit(lock, "git:2", "git:1")
        assert sorted([one.result(), other.result()]) == [False, True]


def at_once(count: int, action: Callable[[], tuple[Bell, ...]]) -> list[int]:
    """What so many threads bring that begin together."""
    start = threading.Barrier(count)

    def act() -> list[int]:
        start.wait(30)
        return [bell.step_id for bell in action()]

    with ThreadPoolExecutor(count) as threads:
        results = [threads.submit(act) for _ in range(count)]
        return sorted(step for result in results for step in result.result())


def test_sweepers_at_once_send_each_lost_message_once(farm: Farm) -> None:
    """However many look at the same moment, and whether they find each other's work or not."""
    farm.sql("UPDATE steps SET rung_at = now() - interval '1 minute'")
    assert at_once(4, lambda: farm.dispatch.sweep((), attempts=4)) == farm.steps()


def test_dispatchers_at_once_choose_each_step_once(farm: Farm) -> None:
    """Nothing is rung for twice, and nothing is left out."""
    farm.sql("UPDATE steps SET rung_at = NULL")
    chosen = at_once(4, farm.dispatch.wake)
    assert len(chosen) == len(set(chosen))
    assert sorted([*chosen, *(bell.step_id for bell in farm.dispatch.wake())]) == farm.steps()
