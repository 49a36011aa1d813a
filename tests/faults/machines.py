"""A Postgres and a Valkey that a test may kill, fill, wipe and start again."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import redis

from sparky.services import cluster, launch, orphans, postgres, remove, valkey
from sparky.services.child import Log
from sparky.services.cluster import Cluster
from sparky.services.layout import prepare

NAMESPACE = "SPARKY_TEST_NAMESPACE"
"""Set in processes whose mounts nobody else sees."""
BLOCK = b"\0" * (1 << 20)


def wait_until(
    true: Callable[[], bool], *, seconds: float = 120.0, what: str = "it", every: float = 0.05
) -> float:
    """Wait until something is so, at most so long; how many seconds that took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"{what} did not come in {seconds:.0f} s"
        time.sleep(every)
    return time.monotonic() - began


def in_namespace(words: Sequence[str]) -> list[str]:
    """The command line with mounts of its own, as root or, where the kernel allows it, as a user."""
    if os.getuid() == 0:
        return ["unshare", "--mount", *words]
    return ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount", *words]


def mount_memory(folder: Path, megabytes: int) -> None:
    """Put a small file system over the folder, in a process with mounts of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={megabytes}m,mode=0755".encode()
    if libc.mount(b"memory", os.fsencode(folder), b"tmpfs", 0, options) != 0:
        raise OSError(ctypes.get_errno(), "mount")


class Machine:
    """A process that dies with the test, and can be started again."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def end(self, number: signal.Signals) -> None:
        """Send the signal and wait until the process has ended."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
            self.process.wait(60)

    def _launch(
        self, program: list[str], log: Path, *, user: tuple[int, int] = (-1, -1), given: bytes = b""
    ) -> None:
        launcher = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid())]
        words = [*launcher, str(int(signal.SIGKILL)), *map(str, user), *program]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=output, stderr=output, cwd="/"
            )
        assert self.process.stdin is not None
        self.process.stdin.write(given)
        self.process.stdin.close()


class Database(Machine):
    """A Postgres of its own.

    Args:
        folder: where its files are to be.
        megabytes: the size of its disk; 0: that of the folder's.
    """

    def __init__(self, folder: Path, *, megabytes: int = 0) -> None:
        super().__init__()
        self.folder = folder
        self.log = folder / "postgres.log"
        self._layout = prepare(folder)
        self._files = asyncio.run(self._make(megabytes))
        self._filler = self._files.data.parent / "filler"
        self.url = f"postgresql+psycopg://sparky@/sparky?host={quote(str(self._files.socket))}"
        self.socket = self._files.socket / ".s.PGSQL.5432"

    async def _make(self, megabytes: int) -> Cluster:
        log = Log(self.folder / "initdb.log")
        files = await cluster.find(self._layout, log)
        if megabytes:
            home = files.data.parent
            mount_memory(home, megabytes)
            account = files.account
            for inner in (home, home / "socket"):
                inner.mkdir(mode=0o700, exist_ok=True)
                if account is not None:
                    os.chown(inner, account.uid, account.gid)
        await cluster.make(files, log)
        log.close()
        return files

    def start(self, *, wait: bool = True) -> None:
        """Start it; return once it takes queries."""
        options = postgres.SETTINGS | {"unix_socket_directories": str(self._files.socket)}
        flags = [flag for key, value in options.items() for flag in ("-c", f"{key}={value}")]
        account = self._files.account
        program = [str(self._files.programs / "postgres"), "-D", str(self._files.data), *flags]
        user = (account.uid, account.gid) if account else (-1, -1)
        # What a server that was killed has left would keep this one out.
        (self._files.data / "postmaster.pid").unlink(missing_ok=True)
        self._launch(program, self.log, user=user)
        if wait:
            wait_until(self._ready, what="Postgres")

    def _ready(self) -> bool:
        assert self.runs, self.log.read_text(errors="replace")[-2000:]
        assert self.process is not None
        return orphans.pid_file(self._files.data)[::7] == [str(self.process.pid), "ready"]

    def stop_at_once(self) -> None:
        """Immediate mode: no checkpoint, and the next start recovers."""
        self.end(signal.SIGQUIT)

    def fill(self) -> None:
        """Leave not one byte free on its disk."""
        with self._filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(BLOCK)

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        self.end(signal.SIGQUIT)
        remove(self.folder)


class Broker(Machine):
    """A Valkey on loopback that wants a password and keeps nothing."""

    password = "a-broker-of-the-tests"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://:{self.password}@127.0.0.1:{self.port}/0"
        self.client = redis.Redis.from_url(self.url, socket_timeout=5)

    def start(self) -> None:
        config = (
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\nsave ''\n"
            f"appendonly no\nmaxmemory 256mb\nmaxmemory-policy noeviction\ndir {self.folder}\n"
        )
        program = [str(valkey._program()), "-"]
        self._launch(program, self.folder / "valkey.log", given=config.encode())
        wait_until(self._answers, what="Valkey")

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def full(self, *, yes: bool) -> None:
        """Let it be out of memory, or no longer."""
        self.client.config_set("maxmemory", "1" if yes else "256mb")

    def close(self) -> None:
        self.client.close()
        self.end(signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def machines(folder: Path, *, megabytes: int = 0) -> Iterator[tuple[Database, Broker]]:
    """Both, running."""
    database, broker = Database(folder, megabytes=megabytes), Broker(folder)
    try:
        database.start()
        broker.start()
        yield database, broker
    finally:
        broker.close()
        database.close()
