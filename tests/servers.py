"""Real servers for tests: Sparky's own embedded ones, in a folder of the test session's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from sparky.services import Wanted, attach, remove
from sparky.store import schema
from sparky.store.connection import connect
from sparky.store.tables import metadata


@dataclass(frozen=True)
class Servers:
    """A Postgres with Sparky's tables, and a Valkey."""

    database_url: str
    broker_url: str

    def empty(self) -> None:
        """Take every row out of every table."""
        engine = connect(self.database_url)
        names = ", ".join(table.name for table in metadata.sorted_tables)
        with engine.begin() as connection:
            connection.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY"))
        engine.dispose()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    state = tmp_path_factory.mktemp("state")
    with attach(state, Wanted(postgres=True, valkey=True, llama=None)) as ends:
        assert ends.database_url is not None
        assert ends.broker_url is not None
        schema.upgrade(ends.database_url)
        yield Servers(ends.database_url, ends.broker_url)
    # As root, Postgres keeps its files outside the folder.
    remove(state)


@pytest.fixture
def database(servers: Servers) -> str:
    """The URL of a migrated database without a row in it."""
    servers.empty()
    return servers.database_url
