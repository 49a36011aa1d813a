"""What all stand-ins share: HTTP on loopback in a thread, a script of what to say, and a record."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.engines.speech import obedient, words


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent; `body` is None where it was no JSON object."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back: `body` whole, or `parts` one by one as they come."""

    status: int = 200
    body: Any = None
    parts: Iterable[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "application/json"


@dataclass(slots=True)
class Script:
    """What the engine says to the next prompts."""

    text: str | None = None
    """Left out: the smallest answer to the schema, or a sentence."""
    reasoning: str = ""
    finish: str = "stop"
    usage: bool = True
    """Whether the answer says how many tokens there were."""
    reply: Reply | None = None
    """Goes back in place of any answer to a prompt."""

    def tokens(self, schema: Mapping[str, Any] | None, body: Mapping[str, Any]) -> list[str]:
        """The answer to a request, in tokens."""
        asked = body["messages"][-1]["content"]
        return words(obedient(schema, asked) if self.text is None else self.text)


def events(values: Iterable[Any]) -> Iterator[bytes]:
    """Values as server-sent events, with the end mark of OpenAI's protocol."""
    for value in values:
        yield b"data: " + json.dumps(value).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


class StandIn:
    """A server for as long as its block runs. A subclass says what each request gets."""

    model = "stand-in"
    context = 512
    """Tokens of prompt and answer together."""
    address = "127.0.0.1"
    """Where it listens."""
    wanted_port = 0
    """A free one is taken where it is 0."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.script = Script()
        self.key: str | None = None
        """The key that requests must carry; None lets everybody in."""
        stand_in = self

        class Handler(_Handler):
            owner = stand_in

        self._server = ThreadingHTTPServer((self.address, self.wanted_port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def asked(self) -> dict[str, Any]:
        """The body of the latest prompt."""
        return [r.body for r in self.requests if r.body and "messages" in r.body][-1] or {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: Request) -> Reply:
        raise NotImplementedError


class _Handler(BaseHTTPRequestHandler):
    owner: StandIn
    protocol_version = "HTTP/1.1"
    timeout = 10
    disable_nagle_algorithm = True  # head and body go out apart, and must not wait for each other

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client went away, as it may
            super().handle()

    def do_GET(self) -> None:
        self._serve(None)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        self._serve(body if isinstance(body, dict) else None)

    def _serve(self, body: dict[str, Any] | None) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        self.owner.requests.append(request)
        self._send(self.owner.answer(request))

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.parts is None:
            body = b""
            if reply.body is not None:
                text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
                body = text.encode()
                self.send_header("Content-Type", reply.kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("Content-Type", reply.kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in reply.parts:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base's name
        del format, args
