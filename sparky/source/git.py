"""Running git so that nothing in what it reads can run a program, hang or fill the disk.

Every call goes through `Git`: a closed environment, settings that beat those of the repository, a
time limit on the whole process group, and errors in Sparky's own words.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Timer
from typing import IO, cast

from sparky.errors import SourceError, Transient
from sparky.ports import Clock
from sparky.source import complaints
from sparky.source.limits import Limits

BLOCK = 1 << 18
"""Most bytes taken from a pipe at once."""
_SAID = 1 << 14
"""Bytes looked at of what git complains of."""


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


_KEPT = frozenset(
    "PATH HOME TMPDIR SSH_AUTH_SOCK SSL_CERT_FILE SSL_CERT_DIR"
    " HTTPS_PROXY ALL_PROXY NO_PROXY https_proxy all_proxy no_proxy".split()
)
"""What git may know of the environment outside."""

_CLOSED = {
    "LC_ALL": "C.UTF-8",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=30",
    "GIT_TERMINAL_PROMPT": "0",
}

# A repository may name a remote to bring what it lacks, a program to bring it with, and a work
# tree anywhere; the folder itself is as good as any.
_ALONE = {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "", "GIT_WORK_TREE": "."}
_TO_REMOTES = {"GIT_ALLOW_PROTOCOL": "https:ssh:git:file"}

_SETTINGS = {
    "core.attributesFile": os.devnull,
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "diff.algorithm": "default",
    "diff.ignoreSubmodules": "none",
    "diff.orderFile": os.devnull,
    "diff.relative": "false",
    "gc.auto": "0",
    "log.showRoot": "true",
    "log.showSignature": "false",
    "mailmap.file": os.devnull,
    "protocol.ext.allow": "never",
    "submodule.recurse": "false",
    # Nothing is ever checked out, so these checks, which come on top of each object's hash, would
    # guard nothing; they refuse many real histories for old slips in dates and file modes.
    "transfer.fsckObjects": "false",
}
"""Beats what the repository's own configuration says."""


@dataclass(frozen=True, slots=True)
class Pipes:
    """A running git's standard input (if it was asked for) and output."""

    input: IO[bytes]
    output: IO[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """Git on one repository. Errors: SourceError, Transient, Throttled."""

    folder: Path
    """The git directory itself: naming it spares git the search, and the question who owns it."""
    subject: str
    """What messages call the repository: its path or URL, without credentials."""
    environment: Mapping[str, str]
    """The one outside; git gets the few names that it needs."""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Added where a remote is asked: GIT_ASKPASS, and what that program reads."""
    limits: Limits = field(default_factory=Limits)
    clock: Clock = utc_now

    def run(
        self,
        *arguments: str,
        given: bytes = b"",
        network: bool = False,
        objects: Path | None = None,
    ) -> bytes:
        """All that git prints; for answers that are known to be small.

        Args:
            arguments: the command and what belongs to it.
            given: what git reads from its standard input.
            network: whether git may ask a remote; what it writes is then bounded.
            objects: a folder of objects to read instead of the repository's own.
        """
        with self.process(*arguments, given=given, network=network, objects=objects) as pipes:
            return pipes.output.read()

    def ask(self, *arguments: str) -> str | None:
        """The line that git answers, or None where it says no without a word (exit status 1)."""
        with self.process(*arguments, may_refuse=True) as pipes:
            return pipes.output.read().decode("utf-8", "replace").strip() or None

    def stream(self, *arguments: str) -> Generator[bytes, None, None]:
        """What git prints, block by block. Closing the iterator ends git."""
        with self.process(*arguments) as pipes:
            fd = pipes.output.fileno()
            while block := os.read(fd, BLOCK):
                yield block

    @contextmanager
    def process(
        self,
        *arguments: str,
        given: bytes | None = b"",
        network: bool = False,
        may_refuse: bool = False,
        objects: Path | None = None,
    ) -> Iterator[Pipes]:
        """Run git for the length of a block; with `given` None, its standard input is a pipe.

        At the block's end git must have ended well. An exception in the block kills git.
        """
        try:
            with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as said:
                asked.write(given or b"")
                asked.seek(0)
                stdin = subprocess.PIPE if given is None else asked
                child = self._start(arguments, stdin, said, network, objects)
                expired = Event()

                def expire() -> None:
                    expired.set()
                    _signal(child)

                timer = Timer(self.limits.seconds, expire)
                timer.daemon = True
                timer.start()
                try:
                    yield Pipes(cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout))
                    if child.stdin is not None:
                        child.stdin.close()
                    status = child.wait()
                finally:
                    timer.cancel()
                    _kill(child)
                if status != 0:
                    self._failed(status, said, expired=expired.is_set(), may_refuse=may_refuse)
        except OSError as error:
            raise complaints.from_os(error, self.subject) from error

    def _start(
        self,
        arguments: tuple[str, ...],
        stdin: int | IO[bytes],
        stderr: IO[bytes],
        network: bool,
        objects: Path | None,
    ) -> subprocess.Popen[bytes]:
        command = ["git", "--no-pager", "--literal-pathspecs", f"--git-dir={self.folder}"]
        for name, value in _SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        command += ["-c", f"core.bigFileThreshold={self.limits.blob_bytes}", *arguments]
        environment = {k: v for k, v in self.environment.items() if k in _KEPT} | _CLOSED
        environment |= _TO_REMOTES | dict(self.credentials) if network else _ALONE
        # Whoever waits for an answer needs it at once; whoever reads a stream is faster with blocks.
        environment["GIT_FLUSH"] = "1" if stdin == subprocess.PIPE else "0"
        if objects is not None:
            environment["GIT_OBJECT_DIRECTORY"] = str(objects)
        if network:
            command = _bounded(command, self.limits.bytes)
        if shutil.which("git", path=environment.get("PATH", os.defpath)) is None:
            raise SourceError("git is not installed", remedy="Install git 2.37 or newer")
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )

    def _failed(self, status: int, said: IO[bytes], *, expired: bool, may_refuse: bool) -> None:
        if expired:
            raise Transient(
                f"git worked on {self.subject} for more than {self.limits.seconds:g} s",
                remedy="Raise SPARKY_GIT_TIMEOUT_SECONDS",
            )
        text = _tail(said)
        if not (may_refuse and status == 1 and not text.strip()):
            raise complaints.from_git(text, self.subject, self.clock())


def _bounded(command: list[str], size: int) -> list[str]:
    """The command, unable to write a file (so no pack either) that is larger than `size` bytes."""
    blocks = max(size, 0) // 512
    return ["/bin/sh", "-c", 'ulimit -f "$0" && exec "$@"', str(blocks), *command]


def _kill(child: subprocess.Popen[bytes]) -> None:
    """End a process and those that it started, if they have not ended, and tidy up."""
    _signal(child)
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()


def _signal(child: subprocess.Popen[bytes]) -> None:
    # Once it has been waited for, its number may be another's.
    if child.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def _tail(said: IO[bytes]) -> str:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(size - _SAID, 0))
    return said.read().decode("utf-8", "replace")
