"""Statements that are written as text, handed to the driver as they are.

The farm sends some for every step, and SQLAlchemy's own way, which serves any database and any type,
costs each of them more processor time. Connections and transactions are SQLAlchemy's all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.rows import namedtuple_row


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


def execute(connection: sa.Connection, query: sa.TextClause, given: Mapping[str, Any]) -> Found:
    """What the statement finds and does in the transaction of this connection.

    Raises psycopg's own errors, which `translated` knows.
    """
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor(row_factory=namedtuple_row) as cursor:
            cursor.execute(_for_driver(query, connection.dialect), given)
            return Found(cursor.fetchall() if cursor.description else (), cursor.rowcount)
    except psycopg.Error:
        if driver.closed:
            connection.invalidate()
        raise


@cache
def _for_driver(query: sa.TextClause, dialect: sa.Dialect) -> str:
    """The text with its parameters as the driver writes them."""
    return str(query.compile(dialect=dialect))
