"""One door to the database, and one place where its errors become Sparky's."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from psycopg.pq import TransactionStatus
from sqlalchemy import event, exc

from sparky.errors import StoreError, Transient
from sparky.settings import failpoints

APPLICATION = "sparky"
_ALONE: Final = "AUTOCOMMIT"
_ARGUMENTS: Final = {
    "application_name": APPLICATION,
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    # A server that is gone without a word is noticed in the middle of a statement too.
    "tcp_user_timeout": 60_000,
    # What is sent again and again finds its rows by keys, whatever the values: to plan it anew each
    # time took Postgres as long as to do it.
    "options": "-c timezone=UTC -c idle_in_transaction_session_timeout=60000"
    " -c plan_cache_mode=force_generic_plan",
}


def connect(url: str, *, pool: int = 10) -> sa.Engine:
    """An engine for `url` (`postgresql://…`, with or without `+psycopg`); connects lazily.

    Args:
        pool: connections at most. None beyond them is opened for a moment: that costs more than
            the wait for one that is there.

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
    engine = sa.create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=pool,
        max_overflow=0,
        # The one used last, whose statements are prepared; the others may be recycled.
        pool_use_lifo=True,
        pool_recycle=1800,
        # What comes back in the middle of a transaction is not handed out again.
        pool_reset_on_return=None,
        connect_args=_ARGUMENTS,
    )
    event.listen(engine, "checkout", _refuse_used)
    event.listen(engine, "begin", _hold_commits)
    return engine


def unpooled(engine: sa.Engine) -> sa.Engine:
    """An engine to the same database, each of whose connections is opened anew and then closed.

    For what holds a connection while others are asked for: with those of a pool, as many threads
    as it has would hold one each and wait for each other's.
    """
    return sa.create_engine(engine.url, poolclass=sa.NullPool, connect_args=_ARGUMENTS)


def is_idle(connection: Any) -> bool:
    """Whether the driver's connection is open, and in no transaction."""
    return bool(connection.pgconn.transaction_status == TransactionStatus.IDLE)


def _refuse_used(connection: Any, record: Any, proxy: Any) -> None:
    """Let the pool replace a connection that its server has closed, without asking the server.

    A server that was stopped, or that ended the session, has said so: an idle connection from
    which something can be read is of no use any more. Nor is one in somebody's transaction.
    """
    if not is_idle(connection):
        raise exc.DisconnectionError
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise exc.DisconnectionError


def _hold_commits(connection: sa.Connection) -> None:
    """Let a transaction be one, where its connection was last used for a statement alone."""
    driver: Any = connection.connection.driver_connection
    if driver.autocommit and connection.get_execution_options().get("isolation_level") != _ALONE:
        driver.autocommit = False


LATER = "set_config('synchronous_commit', 'off', true)"
"""Where a statement comes by this, its commit does not wait for the disk."""
SOON = f"{LATER} AS soon"
"""Stands in the FROM of a statement that writes what a step has made, before its end. That end
waits for the disk, and all that was written before it is then there too; what a crash of the
database takes before that end, the step makes again."""


@contextmanager
def transaction(engine: sa.Engine, name: str = "") -> Iterator[sa.Connection]:
    """All that the block does, or nothing of it.

    Args:
        name: what tests call it, who may have the process die right before its commit.

    Raises: Transient, StoreError.
    """
    with translated(), engine.begin() as connection:
        yield connection
        if name:
            failpoints.reach(f"{name}.before-commit")


@contextmanager
def statement(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection for one statement, which is a transaction of its own: one round trip, not three.

    Raises: Transient, StoreError.
    """
    with translated(), engine.connect() as connection:
        yield connection.execution_options(isolation_level=_ALONE)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the driver raises into Transient or StoreError, without any of the data in it."""
    try:
        yield
    except exc.DBAPIError as error:
        raise _translate(error.orig) from error
    except psycopg.Error as error:
        raise _translate(error) from error
    except exc.TimeoutError as error:
        raise Transient("no database connection became free in time") from error


def _translate(origin: BaseException | None) -> StoreError | Transient:
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
