"""An engine that batches continuously, as a model of time: slots, a queue, prefill and decode rates.

It speaks vLLM's protocol over asyncio and does no work: a request's next event is a timer. Prompts
are read one after another; answers are written side by side, at a rate that depends on how many
there are, by the published figures of one machine. `scale` makes its time run faster.

Run it as a program: `python -m tests.engines.batching N SLOTS SCALE MODEL` prints the URLs of N
engines as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import sys
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.engines.speech import obedient, told

GPT_OSS_20B = ((1, 83.4), (8, 233.0), (32, 474.0))
"""Tokens/s of all answers together by how many there are: llama.cpp's page on one DGX Spark."""
PREFILL = 4506.0
"""Prompt tokens/s, from the same page."""
GPT_OSS_120B = ((1, 58.7), (8, 139.0), (32, 262.0))
PREFILL_120B = 2444.0
SILENCE = 5.0
"""Seconds between two pieces of an answer."""
BYTES_A_TOKEN = 4
"""As the model counts its prompts."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What an engine can do."""

    slots: int = 32
    decode: Sequence[tuple[int, float]] = GPT_OSS_20B
    prefill: float = PREFILL
    scale: float = 1.0
    """How much faster its time runs than ours."""

    def together(self, active: int) -> float:
        """Tokens/s of our time for so many answers, between the published ones in a straight line."""
        counts = [count for count, _ in self.decode]
        place = min(bisect_left(counts, active), len(counts) - 1)
        if place == 0 or active >= counts[-1]:
            return self.decode[place][1] * self.scale
        (below, low), (above, high) = self.decode[place - 1], self.decode[place]
        return (low + (high - low) * (active - below) / (above - below)) * self.scale


PUBLISHED = {
    "gpt-oss-20b": Speed(decode=GPT_OSS_20B, prefill=PREFILL),
    "gpt-oss-120b": Speed(decode=GPT_OSS_120B, prefill=PREFILL_120B),
}
"""What is published of one DGX Spark, by model."""


@dataclass(slots=True, eq=False)
class _Request:
    prompt: int
    length: int
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    left: float = 0.0


class Batch:
    """The scheduler: who waits, whose prompt is read, who is being answered."""

    def __init__(self, speed: Speed) -> None:
        self.speed = speed
        self.slowness = 1.0
        """Makes it slower by this factor."""
        self.written = 0
        self.read = 0
        self.answers = 0
        self.peak = 0
        """Most requests that it held at once, those in the queue among them."""
        self._queue: deque[_Request] = deque()
        self._reading: _Request | None = None
        self._active: list[_Request] = []
        self._at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def held(self) -> int:
        """Requests that it has now, those in the queue among them."""
        return len(self._queue) + len(self._active) + bool(self._reading)

    def add(self, request: _Request) -> None:
        self._queue.append(request)
        self.peak = max(self.peak, self.held)
        self._admit()

    def drop(self, request: _Request) -> None:
        """Its caller has gone."""
        if request in self._queue:
            self._queue.remove(request)
        if request in self._active:
            self._advance()
            self._active.remove(request)
            self._arm()

    def _admit(self) -> None:
        room = self.speed.slots - len(self._active)
        if self._reading is None and self._queue and room > 0:
            self._reading = self._queue.popleft()
            rate = self.speed.prefill * self.speed.scale / self.slowness
            loop = asyncio.get_running_loop()
            loop.call_later(self._reading.prompt / rate, self._read)

    def _read(self) -> None:
        request, self._reading = self._reading, None
        assert request is not None
        self._advance()
        self.read += request.prompt
        request.left = float(request.length)
        request.begun.set()
        self._active.append(request)
        self._arm()
        self._admit()

    def _rate(self) -> float:
        """Tokens/s of one answer."""
        active = len(self._active)
        return self.speed.together(active) / active / self.slowness

    def _advance(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._active:
            tokens = (now - self._at) * self._rate()
            for request in self._active:
                request.left -= tokens
        self._at = now

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._active:
            wait = max(min(request.left for request in self._active), 0.0) / self._rate()
            self._timer = asyncio.get_running_loop().call_later(wait, self._finish)

    def _finish(self) -> None:
        self._timer = None
        self._advance()
        for request in [request for request in self._active if request.left <= 1e-6]:
            self._active.remove(request)
            self.written += request.length
            self.answers += 1
            request.ended.set()
        self._arm()
        self._admit()


class Batching:
    """One engine's address. Its troubles are switched by POST /trouble {"kind": …, "after": …}."""

    def __init__(self, speed: Speed, context: int = 32768, model: str = "gpt-oss-20b") -> None:
        self.batch = Batch(speed)
        self.model = model
        self.asked: list[dict[str, Any]] = []
        """Every request's body, as it came, when it began and ended, and whether it was answered."""
        self.context = context
        self.trouble = ""
        """`hang`: answers nothing. `corrupt`: writes nonsense. `reset`: breaks connections off."""
        self._later: dict[str, Any] = {}
        """Trouble that begins after so many prompts."""
        self._prompts = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._forever = asyncio.Event()

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=1024)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = next(
                    (
                        int(line.partition(":")[2])
                        for line in head.split("\r\n")
                        if line.lower().startswith("content-length:")
                    ),
                    0,
                )
                body = await reader.readexactly(length)
                method, path, _ = head.split(" ", 2)
                if not await self._answer(method, path, body, reader, writer):
                    break
        self._writers.discard(writer)
        writer.close()

    async def _answer(
        self,
        method: str,
        path: str,
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Whether the connection goes on."""
        if path == "/trouble":
            self._later = json.loads(body)
            self._worsen(writer)
            return self._send(writer, {})
        if path == "/figures":
            batch = self.batch
            figures = {"written": batch.written, "read": batch.read, "answers": batch.answers}
            return self._send(writer, figures | {"peak": batch.peak, "held": batch.held})
        if path == "/asked":
            return self._send(writer, self.asked)
        if self.trouble == "reset":
            writer.transport.abort()
            return False
        if self.trouble == "hang":
            await self._forever.wait()
        match method, path:
            case "GET", "/v1/models":
                card = {"id": self.model, "owned_by": "vllm", "max_model_len": self.context}
                return self._send(writer, {"data": [card]})
            case "POST", "/tokenize":
                count = len(json.loads(body)["prompt"].encode()) // BYTES_A_TOKEN + 1
                return self._send(writer, {"count": count, "tokens": [0] * count})
            case "POST", "/v1/chat/completions":
                return await self._chat(json.loads(body), reader, writer)
        return self._send(writer, {})

    def _worsen(self, spared: asyncio.StreamWriter | None = None) -> None:
        """Begin the trouble that is due; whoever asks for it gets an answer."""
        if not self._later or self._prompts < self._later.get("after", 0):
            return
        self.trouble = self._later["kind"]
        self.batch.slowness = self._later.get("slowness", 1.0)
        self._later = {}
        if self.trouble == "reset":
            for writer in self._writers - {spared}:
                writer.transport.abort()

    async def _chat(
        self, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        self._prompts += 1
        self._worsen()
        row: dict[str, Any] = {"body": body, "began": time.time(), "ended": None, "whole": False}
        self.asked.append(row)
        asked = "".join(message["content"] for message in body["messages"])
        shape = body.get("response_format") or {}
        schema = (shape.get("json_schema") or {}).get("schema")
        text = told(schema, asked) or obedient(schema, asked)
        prompt = len(asked.encode()) // BYTES_A_TOKEN + 1
        length = _length(asked, text if schema else "", body["max_tokens"])
        if self.trouble == "corrupt":
            text = "\ufffd" * 12
        request = _Request(prompt, length)
        self.batch.add(request)
        try:
            await request.begun.wait()
            # A client that leaves closes the connection, which aborts its request.
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            )
            said = 0
            while not request.ended.is_set():
                # Not each token, which would be work, but often enough to be heard.
                piece = text[said : min(said + 1 + len(text) // 100, len(text) - 1)]
                _event(writer, self._chunk(piece))
                said += len(piece)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(request.ended.wait(), SILENCE)
                if writer.transport.is_closing():
                    return False
            usage = {
                "prompt_tokens": prompt,
                "completion_tokens": length,
                "prompt_tokens_details": {"cached_tokens": 0},
            }
            _event(writer, self._chunk(text[said:]))
            _event(writer, self._chunk("", "stop"))
            _event(writer, {"model": self.model, "choices": [], "usage": usage})
            data = b"data: [DONE]\n\n"
            writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))
            await writer.drain()
            row["whole"] = True
        finally:
            row["ended"] = time.time()
            self.batch.drop(request)
        return True

    def _chunk(self, text: str, finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
        return {"model": self.model, "choices": [choice]}

    def _send(self, writer: asyncio.StreamWriter, value: Any) -> bool:
        data = json.dumps(value).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (len(data), data)
        )
        return True


def _event(writer: asyncio.StreamWriter, value: Any) -> None:
    data = b"data: " + json.dumps(value).encode() + b"\n\n"
    writer.write(b"%x\r\n%s\r\n" % (len(data), data))


def _length(asked: str, text: str, most: int) -> int:
    """Tokens of the answer, the same for the same prompt: its text and 50 to 250 of thought before
    it, or 100 to 500 where there is no text to speak of."""
    lot = int.from_bytes(hashlib.sha256(asked.encode("utf-8", "replace")).digest()[:4], "big")
    written = 50 + lot % 200 + len(text.encode()) // BYTES_A_TOKEN if text else 100 + lot % 400
    return min(written, most)


async def _run(count: int, speed: Speed, model: str) -> None:
    """Serve until stdin closes."""
    engines = [Batching(speed, model=model) for _ in range(count)]
    servers = [await engine.serve() for engine in engines]
    urls = [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in servers]
    sys.stdout.write(json.dumps(urls) + "\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    _number, _slots, _scale, _model = sys.argv[1:]
    _speed = replace(PUBLISHED[_model], slots=int(_slots), scale=float(_scale))
    asyncio.run(_run(int(_number), _speed, _model))
