"""The lightest client that can be: it keeps a fixed number in flight at each engine, nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit


def run(urls: Sequence[str], in_flight: int, bodies: Sequence[Any]) -> None:
    """Have all requests for a chat answered, each by whichever engine is free first."""
    asyncio.run(_run(urls, in_flight, [json.dumps(body).encode() for body in bodies]))


async def _run(urls: Sequence[str], in_flight: int, bodies: Sequence[bytes]) -> None:
    todo = iter(bodies)

    async def caller(url: str) -> None:
        parts = urlsplit(url)

        async def connected() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 24)

        reader, writer = await connected()
        for body in todo:
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            while True:
                if reader.at_eof():  # llama.cpp closes after each stream
                    writer.close()
                    reader, writer = await connected()
                writer.write(head.encode() + body)
                with suppress(asyncio.IncompleteReadError):
                    answer = await reader.readuntil(b"\r\n\r\n")
                    break
            await reader.readuntil(b"\r\n0\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"{url} answers {answer.decode('latin-1')}")
        writer.close()

    await asyncio.gather(*(caller(url) for _ in range(in_flight) for url in urls))
