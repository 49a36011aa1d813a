"""One door to the database, and one place where its errors become Sparky's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa
from sqlalchemy import exc

from sparky.errors import StoreError, Transient

APPLICATION = "sparky"


def connect(url: str, *, pool: int = 5) -> sa.Engine:
    """An engine for `url` (`postgresql://…`, with or without `+psycopg`); connects lazily.

    Raises StoreError when the URL is not one of a Postgres database.
    """
    try:
        parsed = sa.make_url(url)
    except (exc.ArgumentError, ValueError):
        raise StoreError(
            "the database URL cannot be read",
            remedy="Set SPARKY_DATABASE_URL to postgresql://user:password@host/name",
        ) from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise StoreError(
            f"the database URL names {parsed.get_backend_name()!r}, but Sparky needs Postgres",
            remedy="Set SPARKY_DATABASE_URL to postgresql://user:password@host/name",
        )
    return sa.create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=pool,
        max_overflow=pool,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args={
            "application_name": APPLICATION,
            "connect_timeout": 10,
            "keepalives_idle": 30,
            "options": "-c timezone=UTC -c idle_in_transaction_session_timeout=60000",
        },
    )


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the driver raises into Transient or StoreError, without any of the data in it."""
    try:
        yield
    except exc.DBAPIError as error:
        raise _translate(error) from error
    except exc.TimeoutError as error:
        raise Transient("no database connection became free in time") from error


def _translate(error: exc.DBAPIError) -> StoreError | Transient:
    origin = error.orig
    state = origin.sqlstate if isinstance(origin, psycopg.Error) else None
    said = str(origin).strip().splitlines()[0] if str(origin).strip() else type(origin).__name__
    if state is None or state[:2] in ("08", "40", "55", "57", "58"):
        return Transient(
            f"the database does not answer: {said}",
            remedy="Look whether Postgres is up; `sparky doctor` tells",
        )
    if state[:2] == "53":
        return Transient(
            f"the database is out of room or connections: {said}",
            remedy="Free disk space or raise max_connections, then try again",
        )
    if state[:2] == "28" or state == "3D000":
        return StoreError(f"the database refuses us: {said}", remedy="Check SPARKY_DATABASE_URL")
    if state in ("42P01", "42703"):
        return StoreError(
            "the database does not have this version's tables", remedy="Run `sparky db upgrade`"
        )
    return StoreError(f"the database refused a write or a query ({state})")
