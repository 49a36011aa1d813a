"""Deadlines that hold: each operation on a connection gets at most the time that its call has left.

httpx and httpcore give every read a timeout of its own, so a server that sends one byte now and
then would outlive any total. Here the network beneath httpcore asks the call's deadline each time.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore


class Deadline:
    """When a call must be over, and until when it may be silent."""

    def __init__(self, total: float, silence: float, now: Callable[[], float]) -> None:
        self._now = now
        self._end = now() + total
        self._silence_ends = now() + silence
        self.total = total
        self.silence = silence
        self.opened = False
        """Whether a connection was opened for this call; else it goes over one that others used."""

    def heard(self, silence: float) -> None:
        """A token came: from here the server may be silent for `silence` seconds."""
        self.silence = silence
        self._silence_ends = self._now() + silence

    def left(self, timeout: float | None, late: type[httpcore.TimeoutException]) -> float:
        """Seconds that the next operation may take; raises `late` when there are none."""
        left = min(self._end, self._silence_ends) - self._now()
        if left <= 0:
            raise late
        return left if timeout is None else min(left, timeout)

    def explain(self) -> str:
        """What ran out, in words."""
        if self._now() >= self._end:
            return f"gave no complete answer within {self.total:g} s"
        return f"was silent for {self.silence:g} s"


_DEADLINE: ContextVar[Deadline] = ContextVar("deadline")


@contextmanager
def keeping(deadline: Deadline) -> Iterator[None]:
    """Within the block, whatever this thread does on a connection of `Network` keeps `deadline`."""
    token = _DEADLINE.set(deadline)
    try:
        yield
    finally:
        _DEADLINE.reset(token)


class _Stream(httpcore.NetworkStream):
    """A connection whose every operation keeps the deadline of the call in progress."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = _DEADLINE.get().left(timeout, httpcore.ReadTimeout)
        return self._inner.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _DEADLINE.get().left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _DEADLINE.get().left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class Network(httpcore.NetworkBackend):
    """Opens connections that keep deadlines."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        deadline = _DEADLINE.get()
        deadline.opened = True
        left = deadline.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.connect_tcp(host, port, left, local_address, socket_options))
