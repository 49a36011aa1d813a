"""Statements that are written as text, handed to the driver as they are.

The farm sends some for every step, and SQLAlchemy's own way, which serves any database and any type,
costs each of them more processor time. Their connections are those of SQLAlchemy's pool all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.rows import namedtuple_row

from sparky.settings import failpoints
from sparky.store.connection import is_idle, transaction, translated


@dataclass(frozen=True, slots=True)
class Found:
    """What a statement has found and done."""

    rows: Sequence[Any]
    """Named tuples."""
    count: int
    """Rows that were found, or changed."""

    def first(self) -> Any | None:
        return self.rows[0] if self.rows else None

    def scalar(self) -> Any | None:
        """The first column of the first row."""
        return self.rows[0][0] if self.rows else None

    def scalars(self) -> list[Any]:
        """The first column."""
        return [row[0] for row in self.rows]


def once(
    engine: sa.Engine, query: sa.TextClause, given: Mapping[str, Any], name: str = ""
) -> Found:
    """What the statement finds and does in a transaction of its own: one round trip, not three.

    Where tests may kill this process before the commit of `name`, there is one to die before.

    Raises: Transient, StoreError.
    """
    if name and failpoints.armed():
        with transaction(engine, name) as connection:
            return execute(connection, query, given)
    with translated():
        held = engine.raw_connection()
        driver: Any = held.driver_connection
        try:
            if not driver.autocommit:
                driver.autocommit = True  # until a transaction begins on it
            return _ask(driver, engine.dialect, query, given)
        finally:
            if not is_idle(driver):
                held.invalidate()
            held.close()


def execute(connection: sa.Connection, query: sa.TextClause, given: Mapping[str, Any]) -> Found:
    """What the statement finds and does in the transaction of this connection.

    Raises psycopg's own errors, which `translated` knows.
    """
    driver: Any = connection.connection.driver_connection
    try:
        return _ask(driver, connection.dialect, query, given)
    except psycopg.Error:
        if driver.closed:
            connection.invalidate()
        raise


def _ask(driver: Any, dialect: sa.Dialect, query: sa.TextClause, given: Mapping[str, Any]) -> Found:
    text, rows = _for_driver(query, dialect)
    with driver.cursor(row_factory=rows) as cursor:
        cursor.execute(text, given)
        # Only where there are rows, one of them is the next.
        return Found(() if cursor.rownumber is None else cursor.fetchall(), cursor.rowcount)


class _Rows:
    """A row factory for one statement: the names of its columns are read from its first result."""

    def __init__(self) -> None:
        self._made: Callable[[Sequence[Any]], Any] | None = None

    def __call__(self, cursor: Any) -> Callable[[Sequence[Any]], Any]:
        if self._made is None:
            self._made = namedtuple_row(cursor)
        return self._made


@cache
def _for_driver(query: sa.TextClause, dialect: sa.Dialect) -> tuple[str, _Rows]:
    """The text with its parameters as the driver writes them, and what makes its rows."""
    return str(query.compile(dialect=dialect)), _Rows()
