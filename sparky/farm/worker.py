"""Celery processes that Sparky starts itself: they die with the process that started them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sparky import settings as configuration
from sparky.errors import ServiceError
from sparky.farm.app import QUEUES
from sparky.services import launch
from sparky.settings import Settings

THREADS = 64
"""Most threads of a worker: more than that wait for each other, and further workers do better."""
LOG_BYTES = 10_000_000
"""A log that is longer is begun anew, and the one before it kept."""


@dataclass(frozen=True, slots=True)
class Process:
    """A running process, and where its output goes."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self.popen.poll() is not None

    def check(self) -> None:
        """Raise ServiceError if it has ended, with the last line that it wrote."""
        code = self.popen.poll()
        if code is not None:
            lines = self.log.read_text(errors="replace").strip().splitlines()
            raise ServiceError(
                f"the {self.name} ended with status {code}: {lines[-1] if lines else 'no output'}",
                remedy=f"Its log is {self.log}",
            )

    def bound_log(self) -> None:
        """Begin a log anew that has become too long; the process goes on writing into the same file."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            with suppress(OSError):  # such as no room: then what was said before is gone
                shutil.copyfile(self.log, self.log.with_name(f"{self.log.name}.1"))
            os.truncate(self.log, 0)

    def stop(self, grace: float) -> None:
        """End it: TERM, and after `grace` seconds KILL for it and all that it started."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(grace)
        # The group outlives its leader when a child does.
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


@contextmanager
def started(
    name: str, words: Sequence[str], settings: Settings, *, log: Path, grace: float = 5.0
) -> Iterator[Process]:
    """Run `python -m celery -A sparky.farm.app <words>` with these settings for the block."""
    process = start(name, words, settings, log=log)
    try:
        yield process
    finally:
        process.stop(grace)


def start(
    name: str,
    words: Sequence[str],
    settings: Settings,
    *,
    log: Path,
    again: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Process:
    """Start `python -m celery -A sparky.farm.app <words>`; the caller stops it.

    Args:
        log: takes its output; begun anew unless the process is started `again`.
        environment: variables on top of the settings.
    """
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    launcher = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid())]
    program = [sys.executable, "-m", "celery", "-A", "sparky.farm.app", *words]
    if not again:
        log.unlink(missing_ok=True)
    with log.open("ab") as output:
        popen = subprocess.Popen(
            [*launcher, str(int(signal.SIGKILL)), "-1", "-1", *program],
            env={**configuration.child_env(settings), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for us; we stop it ourselves.
            start_new_session=True,
        )
    return Process(name, popen, log)


def worker_words(
    node: str, *, queues: Sequence[str] = QUEUES, pool: str = "threads", concurrency: int
) -> list[str]:
    """Arguments for a worker named `node` on these queues."""
    quiet = ["--without-gossip", "--without-mingle"]
    return [
        "worker", "-n", f"{node}@%h", "-Q", ",".join(queues), "-P", pool, "-c", str(concurrency),
        *quiet,
    ]  # fmt: skip
