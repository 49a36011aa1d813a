"""A TCP proxy that can stop forwarding without closing anything, or refuse everybody."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path

Target = tuple[str, int] | Path
"""Host and port, or a Unix socket."""


class Proxy:
    """Forwards from a port on loopback for as long as its block runs."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._refuses = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    def __enter__(self) -> Proxy:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def stall(self) -> None:
        """Forward nothing more: connections stay open, new ones too, and nobody is told."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def refuse(self) -> None:
        """Break every connection off, and each new one."""
        self._loop.call_soon_threadsafe(self._break)

    def heal(self) -> None:
        """Forward again."""
        self._loop.call_soon_threadsafe(self._mend)

    def _mend(self) -> None:
        self._refuses = False
        self._open.set()

    def _break(self) -> None:
        self._refuses = True
        for writer in self._writers:
            writer.transport.abort()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=256)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._open.set()
        self._listening.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self._refuses:
                writer.transport.abort()
                return
            await self._open.wait()
            inward, outward = await self._dial()
            self._writers.add(outward)
            try:
                await asyncio.gather(self._pump(reader, outward), self._pump(inward, writer))
            finally:
                self._writers.discard(outward)
                outward.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, Path):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection(*self._target)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
