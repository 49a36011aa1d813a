"""The process that keeps one set of services: `python -m sparky.services.keeper STATE`.

It lives for as long as a client does. Each open connection is a lease; the kernel ends it however
its client ends. When the last is gone the keeper stops what it started and ends. If the keeper
itself is killed, the kernel signals its children.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import logging.handlers
import os
import signal
import sys
import time
from pathlib import Path

from sparky.errors import ServiceError
from sparky.services import lease, wire
from sparky.services.child import LOG_BYTES, Log
from sparky.services.disk import is_full, no_space
from sparky.services.layout import Layout, prepare
from sparky.services.llama import Llama
from sparky.services.postgres import Postgres
from sparky.services.unit import Unit
from sparky.services.valkey import Valkey
from sparky.services.wire import Endpoints, Wanted

LOCK_SECONDS = 60.0
"""How long to wait for an earlier keeper that is stopping."""

REQUEST_SECONDS = 20.0
"""How long to wait for a client, and for what it asks."""

log = logging.getLogger("sparky.services.keeper")


class Keeper:
    """The services of one state folder and the leases on them."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._leases = 0
        self._look = asyncio.Event()  # set when there may be nothing left to do
        self._told_to_stop = False
        self._stopping = False
        self._waiting: set[asyncio.StreamWriter] = set()
        self._postgres: Unit[Postgres] | None = None
        self._valkey: Unit[Valkey] | None = None
        self._llamas: dict[tuple[Path, str], Unit[Llama]] = {}
        self._llama_logs: dict[tuple[Path, str], Log] = {}

    async def run(self, ready: int) -> None:
        """Serve until the last lease has ended; then stop everything.

        Args:
            ready: a file descriptor that is told when clients may connect.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop)
        path = self._layout.keeper_socket
        path.unlink(missing_ok=True)  # ours alone, as we hold the lock
        server = await asyncio.start_unix_server(self._serve, path, limit=wire.LIMIT)
        path.chmod(0o600)
        os.write(ready, wire.line(ready=1))
        os.close(ready)
        log.info("ready")
        loop.call_later(REQUEST_SECONDS, self._look.set)
        while (self._leases and not self._told_to_stop) or not self._look.is_set():
            self._look.clear()
            await self._look.wait()
        # From here on a client that connects is turned away, and starts the next keeper.
        self._stopping = True
        server.close()
        path.unlink(missing_ok=True)
        log.info("stopping")
        units = [self._postgres, self._valkey, *self._llamas.values()]
        await asyncio.gather(*(unit.stop() for unit in units if unit))
        if path.parent.parent != self._layout.state:
            with contextlib.suppress(OSError):  # somebody put a file there
                path.parent.rmdir()
        log.info("stopped")

    def _stop(self) -> None:
        self._told_to_stop = True
        self._look.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, from its request to its end."""
        if self._stopping or not lease.is_ours(writer):
            writer.close()
            return
        self._leases += 1
        try:
            writer.write(wire.line(hello=1))
            raw = await asyncio.wait_for(reader.readline(), REQUEST_SECONDS)
            wanted, alias = wire.read_wanted(raw)
            async with lease.hold(reader, writer) as over:
                await self._answer(writer, wanted, alias, over)
                await over
        except (ConnectionError, TimeoutError, ValueError, KeyError) as error:
            log.warning("a client was dropped: %r", error)
        finally:
            self._leases -= 1
            if not self._leases:
                self._look.set()
                # A copy stays open until this process ends: it tells the client that all has stopped.
                with contextlib.suppress(OSError):  # the client was killed
                    os.dup(writer.get_extra_info("socket").fileno())
            writer.close()

    async def _answer(
        self,
        writer: asyncio.StreamWriter,
        wanted: Wanted,
        alias: str,
        over: asyncio.Task[bool],
    ) -> None:
        """Start what is wanted and tell the client, unless it leaves before."""
        self._waiting.add(writer)
        start = asyncio.create_task(self._start(wanted, alias))
        try:
            await asyncio.wait({start, over}, return_when=asyncio.FIRST_COMPLETED)
            if not start.done():
                return
            writer.write(wire.endpoints_line(start.result()))
        except ServiceError as error:
            log.warning("%s", error)
            writer.write(wire.error_line(error))
        finally:
            self._waiting.discard(writer)
            start.cancel()  # this client's waiting; the services go on starting

    async def _start(self, wanted: Wanted, alias: str) -> Endpoints:
        """Start what is wanted and does not run yet; each by itself, all at once."""
        logs = self._layout.logs
        units: list[Unit[Postgres] | Unit[Valkey] | Unit[Llama]] = []
        if wanted.postgres:
            if self._postgres is None or self._postgres.failed:
                postgres = Postgres(self._layout, Log(logs / "postgres.log"), self._say)
                self._postgres = Unit(postgres)
            units.append(self._postgres)
        if wanted.valkey:
            if self._valkey is None or self._valkey.failed:
                valkey = Valkey(self._layout, Log(logs / "valkey.log"), self._say)
                self._valkey = Unit(valkey)
            units.append(self._valkey)
        llama: Unit[Llama] | None = None
        if wanted.llama:
            key = (wanted.llama, alias)
            llama = self._llamas.get(key)
            if llama is None or llama.failed:
                number = len(self._llama_logs) + 1
                own = self._llama_logs.setdefault(key, Log(logs / f"llama-{number}.log"))
                llama = self._llamas[key] = Unit(Llama(*key, own, self._say))
            units.append(llama)
        await asyncio.gather(*(unit.started() for unit in units))
        return Endpoints(
            database_url=self._postgres.service.url if wanted.postgres and self._postgres else None,
            broker_url=self._valkey.service.url if wanted.valkey and self._valkey else None,
            llm_url=llama.service.url if llama else None,
            llm_api_key=llama.service.api_key if llama else None,
        )

    def _say(self, event: str) -> None:
        """Tell every client that waits."""
        log.info("%s", event)
        for writer in self._waiting:
            writer.write(wire.line(event=event))


def _lock(layout: Layout) -> int:
    """Take the keeper's lock, which the kernel gives back when its holder ends.

    Raises:
        ServiceError: another keeper has it and does not end.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        lock = os.open(layout.keeper_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (
                layout.keeper_lock.exists()
                and layout.keeper_lock.stat().st_ino == os.fstat(lock).st_ino
            ):
                os.ftruncate(lock, 0)
                os.write(lock, f"{os.getpid()}\n".encode())
                return lock
        except BlockingIOError:
            if time.monotonic() > deadline:
                pid = layout.keeper_lock.read_text().strip()
                raise ServiceError(
                    f"the keeper of {layout.state} (pid {pid}) neither answers nor ends",
                    remedy=f"Run: kill -9 {pid}",
                ) from None
        os.close(lock)  # held by another, or removed meanwhile
        time.sleep(0.02)


def _log_to(path: Path) -> None:
    logging.raiseExceptions = False  # a full disk must not stop the services
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def main() -> None:
    """Become a daemon and keep the services of the state folder named by the only argument."""
    if os.fork():
        os._exit(0)  # so that the keeper is no child of the client that started it
    os.umask(0o077)
    ready = os.dup(sys.stdout.fileno())
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, sys.stdout.fileno())
    state = Path(sys.argv[1])
    try:
        layout = prepare(state)
        lock = _lock(layout)
    except ServiceError as error:
        os.write(ready, wire.error_line(error))
        return
    except OSError as error:
        failed = ServiceError(f"cannot use the state folder {state}: {error.strerror}")
        os.write(ready, wire.error_line(no_space(state) if is_full(error) else failed))
        return
    _log_to(layout.logs / "keeper.log")

    async def keep() -> None:
        await Keeper(layout).run(ready)

    asyncio.run(keep())
    os.close(lock)  # before the kernel tells the last client


if __name__ == "__main__":
    main()
