"""One engine server over HTTP: pooled connections, deadlines that hold, and typed errors.

Nothing is followed or guessed: no redirects, no proxies, no cookies, no retries (but where a
server closed an idle connection in the moment of its reuse).
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from sparky.errors import BadAnswer, EngineError, SparkyError, Transient, UsageError
from sparky.llm.deadline import Deadline, Late
from sparky.llm.faults import fault
from sparky.llm.line import Idle, Line, is_whole, parts
from sparky.ports import Clock

LARGEST = 8 << 20
"""Bytes of the largest answer that is read; what is longer is a runaway."""
KEEP_ALIVE = 1.0
"""Seconds that an idle connection is kept: well under the 5 s after which these servers close theirs."""
LINGER = 1.0
"""Seconds that the end of a stream may take after its last word."""


def utcnow() -> datetime:
    """The time, zone-aware."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a call may take, part by part."""

    connect: float = 5.0
    first: float = 300.0
    """Until the first token: the server's queue and the reading of the prompt."""
    idle: float = 60.0
    """Between two tokens."""
    total: float = 900.0
    """For one answer, all in all."""
    probe: float = 30.0
    """For a question about the server itself, such as its models or a count of tokens."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer to a question about the server."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return self.status == 200

    def document(self) -> Mapping[str, Any]:
        """The body as a JSON object; empty where it is something else."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


class Wire:
    """The way to one server. Safe to share between threads; the key is never shown.

    Args:
        url: `http(s)://host[:port][/prefix]`; a trailing `/v1` is left out.
        api_key: sent as a bearer token.
        clock: for the moment until which a server asks us to wait.
        now: seconds of a clock that never goes back.
        tls: what to trust; the system's certificates when left out.

    Raises:
        UsageError: the URL or the key cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeouts: Timeouts | None = None,
        clock: Clock = utcnow,
        now: Callable[[], float] = time.monotonic,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.url = _base(url)
        self.timeouts = timeouts or Timeouts()
        self.now = now
        self._clock = clock
        self._key = api_key
        headers = {"User-Agent": "sparky", "Accept": "application/json, text/event-stream"}
        if api_key:
            if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
                raise UsageError(
                    "the engine's API key has a space, a line end or another character that"
                    " HTTP does not allow",
                    remedy="Correct SPARKY_LLM_API_KEY",
                )
            headers["Authorization"] = f"Bearer {api_key}"
        self._headers = headers
        split = urlsplit(self.url)
        self._host, self._prefix = split.hostname or "", split.path
        self._tls = (tls or ssl.create_default_context()) if split.scheme == "https" else None
        self._port = split.port or (443 if self._tls else 80)
        # Whoever calls decides how much is in flight.
        self._idle = Idle(KEEP_ALIVE)

    def __repr__(self) -> str:
        return f"Wire({self.url!r})"

    def close(self) -> None:
        self._idle.close()

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """Ask something about the server; any status is a reply. Raises Transient, EngineError."""
        probe = self.timeouts.probe
        deadline = Deadline(probe, probe, self.now)
        with self._open(method, path, body, deadline) as response:
            return self._whole(response, deadline)

    def get(self, path: str) -> Mapping[str, Any]:
        """The JSON object at `path`; empty for a 404. Raises what any other status means."""
        return self.expect(self.ask("GET", path))

    def expect(self, reply: Reply) -> Mapping[str, Any]:
        """The reply's JSON object; empty for a 404. Raises what any other status means."""
        if reply.ok:
            return reply.document()
        if reply.status == 404:
            return {}
        raise self._fault(reply.status, reply.headers, reply.body)

    def deadline(self) -> Deadline:
        """A fresh deadline for one answer."""
        return Deadline(self.timeouts.total, self.timeouts.first, self.now)

    @contextmanager
    def stream(
        self, path: str, body: Mapping[str, Any], deadline: Deadline
    ) -> Iterator[Iterator[Mapping[str, Any]]]:
        """Post `body`; yields the JSON objects of the answer as they come.

        The answer may be server-sent events, lines of JSON, or one object. Leaving the block
        early closes the connection, which these servers take as an abort.

        Raises:
            Transient, Throttled, EngineError: as the table in `faults.py` says.
        """
        with self._open("POST", path, body, deadline) as response:
            if response.status != 200:
                reply = self._whole(response, deadline)
                raise self._fault(reply.status, reply.headers, reply.body)
            yield self._objects(response, deadline)

    def _whole(self, response: HTTPResponse, deadline: Deadline) -> Reply:
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, headers, b"".join(self._read(response, deadline)))

    def _objects(self, response: HTTPResponse, deadline: Deadline) -> Iterator[Mapping[str, Any]]:
        lines = _lines(self._read(response, deadline))
        for line in lines:
            text = line.strip()
            for prefix in (b"data:", b"error:"):
                text = text.removeprefix(prefix).strip()
            if not text or text.startswith((b":", b"event:", b"id:", b"retry:")):
                continue
            if text == b"[DONE]":
                self._end(lines, deadline)
                return
            try:
                value = json.loads(text)
            except ValueError as error:
                raise Transient(f"the engine at {self.url} sent something that is not JSON") from (
                    error
                )
            if not isinstance(value, dict):
                raise Transient(f"the engine at {self.url} sent JSON that is not an object")
            if value.get("error") or value.get("object") == "error":
                raise self._fault(_code(value), {}, text)
            deadline.heard(self.timeouts.idle)
            yield value

    def _end(self, lines: Iterator[bytes], deadline: Deadline) -> None:
        """Read the last bytes of an answer that is whole, so that its connection can be used again.

        A server that does not send them has answered all the same.
        """
        deadline.heard(LINGER)
        with suppress(Transient):
            for _ in lines:
                pass

    @contextmanager
    def _open(
        self, method: str, path: str, body: Mapping[str, Any] | None, deadline: Deadline
    ) -> Iterator[HTTPResponse]:
        headers, content = self._headers, None
        if body is not None:
            headers = headers | {"Content-Type": "application/json"}
            content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        line, response = self._respond(method, path, headers, content, deadline)
        try:
            yield response
        finally:
            # What is left unread is not wanted: its end tells the server so.
            if is_whole(response):
                response.close()
                self._idle.put(line)
            else:
                line.hang_up()

    def _respond(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes | None,
        deadline: Deadline,
    ) -> tuple[Line, HTTPResponse]:
        """A connection and the head of the answer. A server may close an idle connection in the moment
        of its reuse: then it has not read the question, which is asked again over another one.
        """
        while True:
            line = self._idle.take()
            used = line is not None
            if line is None:
                line = self._connected(deadline)
            line.deadline = deadline
            try:
                return line, line.ask(method, self._prefix + path, headers, content)
            except (HTTPException, OSError, Late) as error:
                line.hang_up()
                if not used or isinstance(error, Late):
                    raise self._broken(error, deadline) from error

    def _connected(self, deadline: Deadline) -> Line:
        """A new connection."""
        timeout = self.timeouts.connect
        try:
            return Line(self._host, self._port, deadline, timeout=timeout, tls=self._tls)
        except Late as error:
            raise self._broken(error, deadline) from error
        except TimeoutError as error:
            raise Transient(
                f"the engine at {self.url} took no connection within {timeout:g} s",
                remedy="Check that it runs and that SPARKY_LLM_URL is right",
            ) from error
        except OSError as error:
            raise self._unreachable(error) from error

    def _read(self, response: HTTPResponse, deadline: Deadline) -> Iterator[bytes]:
        """The body as it comes. Raises Transient, BadAnswer."""
        size = 0
        try:
            for part in parts(response):
                size += len(part)
                if size > LARGEST:
                    raise BadAnswer(f"the engine's answer is longer than {LARGEST >> 20} MiB")
                yield part
        except (HTTPException, OSError, Late) as error:
            raise self._broken(error, deadline) from error

    def _broken(self, error: Exception, deadline: Deadline) -> Transient:
        if isinstance(error, Late):
            return Transient(f"the engine at {self.url} {deadline.explain()}")
        return Transient(f"the engine at {self.url} broke the connection off ({_reason(error)})")

    def _unreachable(self, error: OSError) -> SparkyError:
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
            return EngineError(
                f"no trusted TLS connection to the engine at {self.url}"
                f" ({getattr(error, 'verify_message', '') or error.reason or error})",
                remedy="Trust its certificate (SSL_CERT_FILE), or correct SPARKY_LLM_URL",
            )
        return Transient(
            f"the engine at {self.url} cannot be reached ({_reason(error)})",
            remedy="Check that it runs and that SPARKY_LLM_URL is right",
        )

    def _fault(self, status: int, headers: Mapping[str, str], body: bytes) -> SparkyError:
        text = body.decode("utf-8", "replace")
        if self._key:
            text = text.replace(self._key, "***")
        return fault(status, text, headers, server=self.url, now=self._clock())


def _base(url: str) -> str:
    remedy = "Give SPARKY_LLM_URL as http://host:port"
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise UsageError("the engine's URL cannot be read", remedy=remedy) from None
    if parts.username or parts.password:
        raise UsageError(
            "the engine's URL holds a user or a password",
            remedy="Give the key as SPARKY_LLM_API_KEY instead",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UsageError(f"the engine's URL {url.strip()!r} is not one of HTTP", remedy=remedy)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}"


def _lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        yield from lines
    yield rest


def _code(value: Mapping[str, Any]) -> int:
    """The status that an error in mid-stream speaks of; 500 where it names none."""
    inner = value.get("error")
    for holder in (inner, value):
        for name in ("code", "status"):
            code = holder.get(name) if isinstance(holder, dict) else None
            if isinstance(code, int) and 400 <= code <= 599:
                return code
    return 500


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
