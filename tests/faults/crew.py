"""Real workers and beat, started again when they die, as systemd or compose would."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sparky.farm.worker import worker_words
from sparky.services import launch
from sparky.settings import Settings, child_env

ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Member:
    """A process of the farm.

    Args:
        name: its node name, if it is a worker.
        words: arguments of `celery`.
        settings: what it is told.
        app: where it finds its Celery app.
        root: the checkout whose code it runs.
    """

    name: str
    words: Sequence[str]
    settings: Settings
    folder: Path
    app: str = "sparky.farm.app"
    extra: Mapping[str, str] = field(default_factory=dict)
    root: Path = ROOT
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """It dies with us, and its children with it in the end: `kill` takes the whole group."""
        launcher = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid())]
        program = [sys.executable, "-m", "celery", "-A", self.app, *self.words]
        environment = child_env(self.settings) | {"PYTHONPATH": str(self.root)} | dict(self.extra)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*launcher, str(int(signal.SIGKILL)), "-1", "-1", *program],
                cwd=self.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.starts += 1

    def children(self) -> list[int]:
        """The processes of its pool, where it has some."""
        with suppress(OSError):
            text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
            return [int(word) for word in text.split()]
        return []

    def kill(self, part: str = "all") -> None:
        """SIGKILL for all of it, its `main` process only, or one `child` of its pool."""
        with suppress(ProcessLookupError):
            if part == "all":
                os.killpg(self.pid, signal.SIGKILL)
            elif part == "main":
                os.kill(self.pid, signal.SIGKILL)
            else:
                for child in self.children()[:1]:
                    os.kill(child, signal.SIGKILL)

    def end(self) -> None:
        if self.process is not None:
            self.kill()
            self.process.wait(30)


class Crew:
    """Keeps its members running until it is closed."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = {member.name: member for member in members}
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        for member in members:
            member.start()
        self._thread.start()

    def _keep(self) -> None:
        while not self._closing.wait(0.2):
            with self._lock:
                for member in self.members.values():
                    if not member.runs:
                        member.start()

    def replace(self, member: Member) -> None:
        """Tell the one of that name to stop, and let this one follow it once it has."""
        with self._lock:
            before = self.members.pop(member.name)
        assert before.process is not None
        before.process.terminate()
        before.process.wait(90)
        member.start()
        with self._lock:
            self.members[member.name] = member

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        for member in self.members.values():
            member.end()


@contextmanager
def crew(members: Sequence[Member]) -> Iterator[Crew]:
    """The members, running and kept so until the block ends."""
    made = Crew(members)
    try:
        yield made
    finally:
        made.close()


def workers(
    settings: Settings, folder: Path, *, far: Settings | None = None, threads: int = 8
) -> list[Member]:
    """As an operator would start them: pools by what the stages need, and beat.

    Args:
        far: what one more worker for summaries is told, that is connected in another way.
        threads: of each worker for summaries.
    """
    fetching = worker_words("fetch", queues=("fetch", "chunk"), pool="prefork", concurrency=2)
    others = worker_words(
        "rest", queues=("rollup", "publish", "sweep", "tick", "prune"), concurrency=4
    )
    near = worker_words("near", queues=("summarize",), concurrency=threads)
    beat = ["beat", "--schedule", str(folder / "beat"), "--pidfile", ""]
    made = [
        Member("fetch", fetching, settings, folder),
        Member("rest", others, settings, folder),
        Member("near", near, settings, folder),
        Member(
            "beat",
            beat,
            settings,
            folder,
            app="tests.faults.jumping",
            extra={"SPARKY_TEST_CLOCK": str(folder / "clock")},
        ),
    ]
    if far is not None:
        words = worker_words("far", queues=("summarize",), concurrency=threads)
        made.append(Member("far", words, far, folder))
    return made


def pick(random_: random.Random, member: Member) -> str:
    """Which part of it dies."""
    if member.name == "fetch":
        return random_.choice(["all", "main", "child"])
    return "all"


def seconds_since(began: float) -> float:
    return time.monotonic() - began
