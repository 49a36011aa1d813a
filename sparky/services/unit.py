"""One service under the keeper's care: started once, and again a few times when it dies."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from typing import Generic, Protocol, TypeVar

from sparky.errors import ServiceError
from sparky.services.child import Child

RESTARTS = 3
WELL_SECONDS = 600.0
"""A service that has run for so long is well again: earlier deaths count no longer."""

log = logging.getLogger("sparky.services.keeper")


class Service(Protocol):
    """What the keeper asks of a service."""

    @property
    def name(self) -> str:
        """What people call it."""

    async def start(self) -> Child:
        """Start it and return once it answers; leave nothing running on an error."""

    async def stop(self, child: Child) -> None:
        """Stop what `start` gave; return once it has ended."""


S = TypeVar("S", bound=Service)


class Unit(Generic[S]):
    """A service that is starting, running, or has failed."""

    def __init__(self, service: S) -> None:
        self.service = service
        self._up = _future()
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._ended)

    @property
    def failed(self) -> bool:
        """Whether it neither runs nor is tried again."""
        return self._task.done()

    async def started(self) -> None:
        """Wait until it answers.

        Raises:
            ServiceError: it did not start.
        """
        await asyncio.shield(self._up)

    async def stop(self) -> None:
        """Stop it, whatever it is doing."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        child = await self.service.start()
        try:
            self._up.set_result(None)
            deaths = 0
            while True:
                began = time.monotonic()
                status = await child.wait()
                deaths = 1 if time.monotonic() - began > WELL_SECONDS else deaths + 1
                if deaths > RESTARTS:
                    log.error("%s ended with status %s; given up", self.service.name, status)
                    return
                log.error("%s ended with status %s; starting it again", self.service.name, status)
                self._up = _future()  # who asks now waits for the new start
                child = await self.service.start()
                self._up.set_result(None)
        finally:
            await self.service.stop(child)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is None:
            error = ServiceError(f"{self.service.name} was stopped")
        else:
            log.error("%s: %s", self.service.name, error, exc_info=error)
        if not self._up.done():
            self._up.set_exception(_for_people(self.service.name, error))
            self._up.exception()  # somebody may have waited for it, or nobody


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


def _for_people(name: str, error: BaseException) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ServiceError(f"{name} did not start: no disk space left", remedy="Free some.")
    return ServiceError(f"{name} did not start: {error}", remedy="See keeper.log.")
