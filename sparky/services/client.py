"""The client's side: find the keeper of a state folder, or start one, and hold a lease on it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sparky
from sparky.errors import ServiceError
from sparky.services import wire
from sparky.services.layout import Layout, prepare
from sparky.services.wire import Endpoints, Wanted

FIND_SECONDS = 90.0
"""To find or start a keeper, one that is just stopping included."""

HELLO_SECONDS = 10.0
QUIET_SECONDS = 300.0
"""The longest silence while services start: each of their own limits is below it."""

LEAVE_SECONDS = 60.0


def _ignore(event: str) -> None:
    del event


@contextlib.contextmanager
def attach(
    state: Path,
    wanted: Wanted,
    *,
    model_name: str = "",
    on_event: Callable[[str], None] = _ignore,
) -> Iterator[Endpoints]:
    """Have the wanted services for as long as the block runs.

    All clients of one state folder share one set, started by the first. When the last leaves, or
    dies, they are stopped; the block's end waits for that. A client that wants another model than
    those before it gets one more llama.cpp server.

    Args:
        state: the folder for databases, sockets and logs; made if there is none.
        wanted: which services.
        model_name: the name under which llama.cpp offers its model; by default the file's stem.
        on_event: called with a line for people at each step of the start.

    Raises:
        ServiceError: a service cannot be started; the message says which, why and what to do.
    """
    if not (wanted.postgres or wanted.valkey or wanted.llama):
        yield Endpoints()
        return
    if wanted.llama:
        wanted = Wanted(wanted.postgres, wanted.valkey, wanted.llama.resolve())
    with contextlib.closing(_connect(prepare(state))) as connection:
        try:
            connection.sendall(wire.wanted_line(wanted, model_name))
            yield _endpoints(connection, on_event)
        finally:
            _leave(connection)


def _connect(layout: Layout) -> socket.socket:
    deadline = time.monotonic() + FIND_SECONDS
    while True:
        # One client at a time, so that not two start a keeper.
        with _start_lock(layout, deadline):
            connection = _dial(layout)
            if connection is None:
                _start_keeper(layout)
                connection = _dial(layout)
        if connection is not None:
            return connection
        if time.monotonic() > deadline:
            raise _no_answer(layout)


def _dial(layout: Layout) -> socket.socket | None:
    """A connection to a keeper that has said hello; None if there is none, or it is stopping."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(HELLO_SECONDS)
    try:
        connection.connect(str(layout.keeper_socket))
        greeting = connection.recv(len(wire.line(hello=1)), socket.MSG_WAITALL)
    except TimeoutError:
        connection.close()
        raise _no_answer(layout) from None
    except (FileNotFoundError, ConnectionError):
        greeting = b""
    if greeting:
        return connection
    connection.close()
    return None


def _no_answer(layout: Layout) -> ServiceError:
    pid = layout.keeper_lock.read_text().strip() if layout.keeper_lock.exists() else "?"
    return ServiceError(
        f"the keeper of {layout.state} (pid {pid}) does not answer", remedy=f"Run: kill -9 {pid}"
    )


@contextlib.contextmanager
def _start_lock(layout: Layout, deadline: float) -> Iterator[None]:
    try:
        lock = os.open(layout.start_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ServiceError(
            f"cannot write to the state folder {layout.state}: {error.strerror}",
            remedy="Make it writable for you, or name another with SPARKY_STATE_DIR.",
        ) from error
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise _no_answer(layout) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(lock)


def _start_keeper(layout: Layout) -> None:
    """Start a keeper and wait until it listens, which may be after another has stopped.

    Its environment is small and fixed: it may outlive this client.
    """
    complaints = layout.logs / "keeper.err"
    complaints.touch(mode=0o600)
    program = [sys.executable, "-P", "-m", "sparky.services.keeper", str(layout.state)]
    environment = {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(Path(sparky.__file__).parent.parent),
    }
    receive, send = os.pipe()
    with os.fdopen(receive, "rb") as ready:
        try:
            with complaints.open("wb") as stderr:
                subprocess.run(
                    program,
                    stdin=subprocess.DEVNULL,
                    stdout=send,
                    stderr=stderr,
                    cwd=layout.state,
                    env=environment,
                    start_new_session=True,
                    check=False,
                )
        finally:
            os.close(send)
        readable, _, _ = select.select([ready], [], [], FIND_SECONDS)
        raw = ready.readline() if readable else b""
    answer: dict[str, Any] = json.loads(raw) if raw else {}
    if "error" in answer:
        raise ServiceError(answer["error"]["message"], remedy=answer["error"]["remedy"])
    if not raw:
        said = complaints.read_text(errors="replace").splitlines() or ["no reason given"]
        raise ServiceError(f"the keeper did not start: {said[-1]}", remedy=f"See {complaints}.")


def _endpoints(connection: socket.socket, on_event: Callable[[str], None]) -> Endpoints:
    connection.settimeout(QUIET_SECONDS)
    with connection.makefile("rb") as lines:
        for raw in lines:
            message = json.loads(raw)
            if "event" in message:
                on_event(message["event"])
            elif "error" in message:
                raise ServiceError(message["error"]["message"], remedy=message["error"]["remedy"])
            else:
                return Endpoints(**message["endpoints"])
    raise ServiceError("the keeper ended while services started", remedy="See logs/keeper.log.")


def _leave(connection: socket.socket) -> None:
    """End the lease; if it was the last, wait until everything has stopped."""
    connection.settimeout(LEAVE_SECONDS)
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(wire.LIMIT):
            pass
