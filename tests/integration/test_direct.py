"""Statements that go to the driver as text, over connections of the pool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa

from sparky.errors import StoreError, Transient
from sparky.store.connection import connect, statement, transaction
from sparky.store.direct import once

WHO = sa.text("SELECT pg_backend_pid() AS server")
PUT = sa.text("INSERT INTO paused (farm, reason) VALUES (:farm, :reason)")
FARMS = sa.text("SELECT farm FROM paused ORDER BY farm")


@pytest.fixture
def engine(database: str) -> Iterator[sa.Engine]:
    made = connect(database, pool=1)
    yield made
    made.dispose()


def test_a_statement_is_done_when_it_returns(engine: sa.Engine, database: str) -> None:
    """Another connection sees it at once, and its rows have names."""
    assert once(engine, PUT, {"farm": "day", "reason": "lunch"}).count == 1
    other = connect(database)
    (row,) = once(other, sa.text("SELECT farm, reason FROM paused"), {}).rows
    other.dispose()
    assert (row.farm, row.reason) == ("day", "lunch")


def test_a_statement_that_fails_leaves_the_next_one_its_connection(engine: sa.Engine) -> None:
    """The same connection goes on, and nothing of the failed statement is there."""
    server = once(engine, WHO, {}).scalar()
    with pytest.raises(StoreError, match="refused a write or a query"):
        once(engine, sa.text("SELECT 1 / :zero"), {"zero": 0})
    assert once(engine, WHO, {}).scalar() == server


def test_a_transaction_after_a_statement_is_one(engine: sa.Engine) -> None:
    """What commits by itself is a property of a statement, and not of the connection it used."""
    once(engine, WHO, {})
    with suppress(LookupError), transaction(engine) as connection:
        connection.execute(PUT, {"farm": "night", "reason": "x"})
        raise LookupError
    assert once(engine, FARMS, {}).scalars() == []


def test_a_connection_that_the_server_has_ended_is_replaced(
    engine: sa.Engine, database: str
) -> None:
    """Nobody who asks next sees an error of it."""
    server = once(engine, WHO, {}).scalar()
    other = connect(database)
    once(other, sa.text("SELECT pg_terminate_backend(:server)"), {"server": server})
    gone = sa.text("SELECT count(*) FROM pg_stat_activity WHERE pid = :server")
    while once(other, gone, {"server": server}).scalar():
        pass
    other.dispose()
    assert once(engine, WHO, {}).scalar() != server


def test_a_server_that_ends_in_the_middle_of_a_statement_is_an_error_that_passes(
    engine: sa.Engine,
) -> None:
    """The statement says that the database does not answer, and the next one has a new connection."""
    with pytest.raises(Transient, match="does not answer"):
        once(engine, sa.text("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(60)"), {})
    assert once(engine, WHO, {}).scalar()


def test_a_connection_in_somebody_s_transaction_is_not_handed_out(engine: sa.Engine) -> None:
    """Who died without an end of his transaction leaves none of it to the next one."""
    held = engine.raw_connection()
    driver: Any = held.driver_connection
    driver.execute("INSERT INTO paused (farm, reason) VALUES ('left', 'open')")
    held.close()
    assert once(engine, FARMS, {}).scalars() == []
    with statement(engine) as connection:
        assert connection.execute(FARMS).scalars().all() == []


def test_a_query_by_sqlalchemy_alone_commits_by_itself_and_survives_its_server(
    engine: sa.Engine, database: str
) -> None:
    """What it wrote another connection sees; a server that ends in its middle is an error that passes."""
    with statement(engine) as connection:
        connection.execute(PUT, {"farm": "day", "reason": "lunch"})
        other = connect(database)
        assert once(other, FARMS, {}).scalars() == ["day"]
        other.dispose()
    with pytest.raises(Transient, match="does not answer"), statement(engine) as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(60)"))
    with statement(engine) as connection:
        assert connection.execute(FARMS).scalars().all() == ["day"]
