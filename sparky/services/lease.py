"""A client's lease on the services: its open connection, as long as its process lives."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator

from sparky.services import wire

CREDENTIALS = struct.Struct("3i")


def is_ours(writer: asyncio.StreamWriter) -> bool:
    """Whether the other end is this user, or root."""
    return _peer(writer)[1] in (os.getuid(), 0)


@contextlib.asynccontextmanager
async def hold(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncIterator[asyncio.Task[bool]]:
    """A task that ends when the client hangs up or its process ends.

    The process is watched too, as a fork of it could hold the connection open after its death.
    """
    loop = asyncio.get_running_loop()
    over = asyncio.Event()

    async def until_closed() -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(wire.LIMIT):
                pass
        over.set()

    tasks = (asyncio.create_task(over.wait()), asyncio.create_task(until_closed()))
    try:
        process = os.pidfd_open(_peer(writer)[0])
    except OSError:  # it has ended already, or cannot be seen from here
        process = -1
    else:
        loop.add_reader(process, over.set)
    try:
        yield tasks[0]
    finally:
        if process >= 0:
            loop.remove_reader(process)
            os.close(process)
        for task in tasks:
            task.cancel()


def _peer(writer: asyncio.StreamWriter) -> tuple[int, int, int]:
    """Process, user and group of the other end, as the kernel knows them."""
    raw = writer.get_extra_info("socket").getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size
    )
    pid, uid, gid = CREDENTIALS.unpack(raw)
    return pid, uid, gid
