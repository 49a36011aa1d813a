"""Connections to one HTTP server, each of whose operations keeps the deadline of the call in progress.

The protocol is spoken by http.client: an answer comes as hundreds of small parts, and it spends less
on each than httpcore does. A timeout for each read is all that either gives, and a server that sends
one byte now and then would outlive any total, so here the socket asks the call's deadline each time.
"""

from __future__ import annotations

import io
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from typing import Any

from sparky.llm.deadline import Deadline, Late

PART = 1 << 16
"""Bytes that are read at once, at most."""


class Line(HTTPConnection):
    """A connection. Raises Late, and what http.client and sockets raise.

    Args:
        timeout: seconds that opening it may take.
        tls: what to trust, where the server wants TLS.
    """

    def __init__(
        self,
        host: str,
        port: int,
        deadline: Deadline,
        *,
        timeout: float,
        tls: ssl.SSLContext | None,
    ) -> None:
        super().__init__(host, port)
        left = min(deadline.left(), timeout)
        self.deadline = deadline
        self._socket: socket.socket = socket.create_connection((host, port), left)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            # Where that fails, it closes the socket itself.
            self._socket = tls.wrap_socket(self._socket, server_hostname=host)
        self.sock: Any = _Ends(self)

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes | None
    ) -> HTTPResponse:
        """Send a question; the head of the answer."""
        self.request(method, path, content, dict(headers))
        return self.getresponse()

    def send_all(self, data: bytes) -> None:
        self._socket.settimeout(self.deadline.left())
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise Late from None

    def receive(self, buffer: Any) -> int:
        self._socket.settimeout(self.deadline.left())
        try:
            return self._socket.recv_into(buffer)
        except TimeoutError:
            raise Late from None

    def is_quiet(self) -> bool:
        """Whether nothing came unasked: neither words nor the end."""
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        return not poll.poll(0)

    def hang_up(self) -> None:
        self._socket.close()


class _Ends:
    """The socket as http.client wants it. It does not decide when the connection is over."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def sendall(self, data: bytes) -> None:
        self._line.send_all(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        del mode
        return io.BufferedReader(_Incoming(self._line), PART)

    def close(self) -> None:
        pass


class _Incoming(io.RawIOBase):
    def __init__(self, line: Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        return self._line.receive(buffer)


def parts(response: HTTPResponse) -> Iterator[bytes]:
    """The body as it comes. Raises IncompleteRead where the server ends it early."""
    while part := response.read1(PART):
        yield part
    if response.length:
        raise IncompleteRead(b"", response.length)


def is_whole(response: HTTPResponse) -> bool:
    """Whether the body was read to its end, and the connection can be used again."""
    if response.will_close:
        return False
    return response.isclosed() if response.chunked else response.length == 0


class Idle:
    """Connections that wait for their next question, for `seconds` each. Safe between threads."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._lines: list[tuple[Line, float]] = []
        """The one used last stands last."""

    def take(self) -> Line | None:
        """One that the server has not closed, as far as can be seen."""
        while True:
            with self._lock:
                if not self._lines:
                    return None
                line, until = self._lines.pop()
            if time.monotonic() < until and line.is_quiet():
                return line
            line.hang_up()

    def put(self, line: Line) -> None:
        now = time.monotonic()
        with self._lock:
            old = [one for one, until in self._lines if until <= now]
            self._lines = [(one, until) for one, until in self._lines if until > now]
            self._lines.append((line, now + self._seconds))
        for one in old:
            one.hang_up()

    def close(self) -> None:
        with self._lock:
            lines, self._lines = self._lines, []
        for line, _ in lines:
            line.hang_up()
