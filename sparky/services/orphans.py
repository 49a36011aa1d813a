"""Processes of an earlier keeper that still work on a Postgres data folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

from sparky.services.child import Log

STEPS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
"""How to end them, and the seconds after each step: with a checkpoint, without, at once."""


async def clear(data: Path, socket: Path, log: Log) -> None:
    """Wait until nothing works on `data`, then remove the files with which Postgres locks it.

    Postgres refuses to start if a process that has nothing to do with it has by now the process id
    in such a file. The caller holds the keeper's lock, so whatever still works there is an orphan.

    Args:
        data: a data folder.
        socket: the folder of its socket.
        log: where to say what was ended.
    """
    for number, seconds in STEPS:
        left = _working_on(data)
        if not left:
            break
        # A server that still lives stops its own processes.
        for pid in left & {int(words) for words in pid_file(data)[:1]} or left:
            log.write(f"pid {pid} is left from before: {number.name}")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while _working_on(data) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
    for path in (data / "postmaster.pid", *socket.glob(".s.PGSQL.*")):
        path.unlink(missing_ok=True)


def pid_file(data: Path) -> list[str]:
    """The lines of Postgres's own pid file, the first is the process id; none without a file."""
    try:
        return [words.strip() for words in (data / "postmaster.pid").read_text().splitlines()]
    except FileNotFoundError:
        return []


def _working_on(data: Path) -> set[int]:
    """Process ids whose working folder is `data`: Postgres changes into it at once."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # gone meanwhile, or somebody else's
            if (entry / "cwd").readlink() == data:
                found.add(int(entry.name))
    return found
