"""One child process of the keeper: started so that it dies with the keeper, its output logged."""

from __future__ import annotations

import asyncio
import collections
import logging
import logging.handlers
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sparky.services import launch

LOG_BYTES = 1_000_000
TAIL_LINES = 20


@dataclass(frozen=True, slots=True)
class Account:
    """The user that a child runs as."""

    uid: int
    gid: int


class Log:
    """A bounded log file that remembers its last lines for error messages."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self._handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8", delay=True
        )

    def write(self, text: str) -> None:
        """Add one line."""
        self.tail.append(text)
        record = logging.LogRecord("child", logging.INFO, "", 0, text, None, None)
        self._handler.handle(record)

    def close(self) -> None:
        """Close the file; the next line would open it again."""
        self._handler.close()

    async def drain(self, stream: asyncio.StreamReader) -> None:
        """Copy `stream` until it ends; lines that are too long are cut."""
        while True:
            try:
                raw = await stream.readline()
            except ValueError:  # longer than the stream's limit, which readline has dropped
                continue
            if not raw:
                return
            self.write(raw.decode("utf-8", "replace").rstrip())


class Child:
    """A running child process. Make it with `spawn`."""

    def __init__(self, process: asyncio.subprocess.Process, log: Log) -> None:
        self._process = process
        self._log = log
        output = cast(asyncio.StreamReader, process.stdout)  # a pipe, as `spawn` asks
        self._drained = asyncio.create_task(log.drain(output))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait until it has ended and its last words are in the log; its exit status."""
        status = await self._process.wait()
        # A grandchild can hold the pipe open for longer.
        await asyncio.wait([self._drained], timeout=1)
        return status

    async def stop(self, *steps: tuple[signal.Signals, float]) -> None:
        """Send each signal in turn, waiting so many seconds after it; at last SIGKILL."""
        for number, seconds in (*steps, (signal.SIGKILL, 10.0)):
            if not self.running:
                break
            self._process.send_signal(number)
            try:
                await asyncio.wait_for(self._process.wait(), seconds)
            except TimeoutError:
                self._log.write(f"pid {self.pid} still runs {seconds} s after {number.name}")
        self._drained.cancel()


async def spawn(
    program: Sequence[str | Path],
    *,
    log: Log,
    on_parent_death: signal.Signals,
    stdin: bytes = b"",
    account: Account | None = None,
    folder: Path = Path("/"),
    environment: dict[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Child:
    """Start `program` (an absolute path first).

    Its environment is small and fixed, so that no secret of the keeper's caller reaches it.
    """
    launcher = [sys.executable, "-I", "-S", launch.__file__]
    uid, gid = (account.uid, account.gid) if account else (-1, -1)
    words = [str(os.getpid()), str(int(on_parent_death)), str(uid), str(gid)]
    process = await asyncio.create_subprocess_exec(
        *launcher,
        *words,
        *map(str, program),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env={"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": "UTC", **(environment or {})},
        pass_fds=pass_fds,
    )
    child = Child(process, log)
    feed = cast(asyncio.StreamWriter, process.stdin)
    try:
        feed.write(stdin)
        await feed.drain()
        feed.close()
    except ConnectionError:
        pass  # it has ended already; whoever waits for it says why
    return child
