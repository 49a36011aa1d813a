"""What a test asks the database while faults rage; no answer is no error then."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc


class Rows:
    """A database that may be away."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def one(self, query: str, **values: Any) -> Any:
        """The first value, or None while the database does not answer."""
        try:
            with self._engine.begin() as connection:
                return connection.execute(sa.text(query), values).scalar_one_or_none()
        except exc.DBAPIError:
            return None

    def all(self, query: str, **values: Any) -> list[Any]:
        """All rows; waits until the database answers."""
        while True:
            try:
                with self._engine.begin() as connection:
                    return list(connection.execute(sa.text(query), values).all())
            except exc.DBAPIError:
                time.sleep(0.2)
